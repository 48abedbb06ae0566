"""A whole training: data in, checkpoints on the way, a model folder at the end."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import TensorBoardLogger

from pipeline.errors import ConfigError
from pipeline.malloc import keep_freed_memory
from pipeline.training.callbacks import (
    Advance,
    Interrupts,
    Keeper,
    ProgressCallback,
    Scorer,
    TrainingTimer,
    restore_training,
)
from pipeline.training.config import read_config
from pipeline.training.dashboard.callback import Live
from pipeline.training.export.finish import Run, finish, score_now
from pipeline.training.module import Segmenter
from pipeline.training.read_data import read_splits
from pipeline.training.split_overlap import check_split_overlap
from pipeline.training.step import state as states
from pipeline.training.step.device import on_cuda
from pipeline.training.step.network import check_network, described_by
from pipeline.training.step.precision import precision_of

log = logging.getLogger(__name__)


def fit(config_path: Path, out_dir: Path, *, resume: bool = False) -> dict[str, Any]:
    """Train by a config file and return the summary.

    Args:
        config_path: YAML, see `TrainingConfig`; its paths are relative to where you are.
        out_dir: Gets checkpoints, `HISTORY`, TensorBoard's events and the model.
        resume: Go on from the newest checkpoint there.

    Raises:
        ConfigError: Config, data or checkpoint are unusable, or splits share ground or traces.
        SceneError: A scene cannot be trained on.
        ModelError: The loss is no longer a number.
    """
    config = read_config(config_path)
    check_network(config, config_path)
    state = states.load_state(out_dir, digest=config.digest()) if resume else None
    if not resume and states.checkpoints(out_dir):
        raise ConfigError(f"{out_dir}: holds a training; go on with --resume, or choose another")
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    keep_freed_memory()
    out_dir.mkdir(parents=True, exist_ok=True)
    if config.volumes is not None:
        described_by(config)  # refuses, before hours of training, what could not be mapped with
    data = read_splits(config, cache=out_dir)
    check_split_overlap(data, config.split_overlap, gap=config.volumes.gap if config.volumes else 0)
    module = Segmenter(config, data.draws(config))
    if state is None:
        module.begin()
    else:
        restore_training(module, state)
        log.info("going on after step %d", module.step)
    live = Live(out_dir, config)
    run = Run(config=config, data=data, folder=out_dir, clock=TrainingTimer(), live=live)
    with silence_lightning():
        trainer = trainer_of(run, state)
        if module.step < config.schedule.steps:
            with interruptible():
                trainer.fit(module)
    if not trainer.is_global_zero:
        return {}
    return finish(run, module)


def trainer_of(run: Run, state: dict[str, Any] | None) -> pl.Trainer:
    """Return Lightning's trainer of a run, going on from a checkpoint's state.

    Raises:
        ConfigError: The device that is asked for is not there.
    """
    config = run.config
    # In this order: what comes after the clock is in no step's time but in the next wait.
    callbacks: Sequence[pl.Callback] = (
        Interrupts(),
        Advance(),
        run.clock,
        ProgressCallback(run.clock, run.folder, every=config.log_every),
        Keeper(run.clock, run.folder, every=config.save_every, state=state),
        run.live,
        Scorer(lambda module: score_now(run, module), minutes=config.score_every_minutes),
    )
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device: cuda: torch sees no CUDA device here; use cpu or auto")
    cuda = on_cuda(config)
    return pl.Trainer(
        accelerator="gpu" if cuda else "cpu",
        devices=config.devices,
        strategy="ddp" if config.devices > 1 else "auto",
        sync_batchnorm=config.devices > 1,
        precision=precision_of(config, cuda=cuda),
        max_epochs=1,
        callbacks=list(callbacks),
        logger=TensorBoardLogger(run.folder, name="", version="tensorboard"),
        log_every_n_steps=config.log_every,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
    )


@contextmanager
def interruptible() -> Iterator[None]:
    """Let KeyboardInterrupt through, which Lightning turns into an exit with code 1."""
    try:
        yield
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise error.__context__ from None
        raise


@contextmanager
def silence_lightning() -> Iterator[None]:
    """Keep Lightning's hints off the log: they concern what is chosen on purpose."""
    text = logging.getLogger("lightning.pytorch")
    before = text.level
    text.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*does not have many workers.*")
            warnings.filterwarnings("ignore", ".*number of training batches.*")
            warnings.filterwarnings("ignore", ".*isinstance.treespec, LeafSpec.*")
            # A machine of a SLURM cluster, used by hand.
            warnings.filterwarnings("ignore", ".*`srun` command is available.*")
            yield
    finally:
        text.setLevel(before)
