"""A whole training: data in, checkpoints on the way, a model folder at the end."""

from __future__ import annotations

import json
import logging
import math
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from safetensors.torch import save as to_safetensors
from torch import nn

from pipeline.errors import ConfigError
from pipeline.training import network as networks
from pipeline.training import state as states
from pipeline.training.batches import draw_batch
from pipeline.training.callbacks import Advance, Clock, Keeper, Progress, Scorer, note, restore
from pipeline.training.config import TrainingConfig, read_config
from pipeline.training.data import Data, read_data
from pipeline.training.leaks import check_leaks
from pipeline.training.module import Segmenter
from pipeline.training.places import Place
from pipeline.training.ship import card_of, write_model
from pipeline.training.show_batch import show_batch
from pipeline.training.validate import Trial, answers, chosen, reported, trials

log = logging.getLogger(__name__)

WEIGHTS = "averaged.safetensors"
"""The averaged weights of the last export, in full precision."""
MODEL = "model"
"""Folder of the model in a run's folder: what `overtile map --model` takes."""


@dataclass(slots=True, kw_only=True)
class Run:
    """A training that is under way."""

    config: TrainingConfig
    """What it is."""
    data: Data
    """What it reads."""
    folder: Path
    """Where it writes."""
    clock: Clock
    """How long it took."""


def fit(config_path: Path, out_dir: Path, *, resume: bool = False) -> dict[str, Any]:
    """Train as a config file says and return the summary of what came out.

    Args:
        config_path: YAML, see `TrainingConfig`; its paths are relative to where you are.
        out_dir: Gets checkpoints, `HISTORY`, TensorBoard's events and the model.
        resume: Go on from the newest checkpoint there.

    Raises:
        ConfigError: Config, data or checkpoint are unusable, or splits share ground.
        SceneError: A scene cannot be trained on.
        ModelError: The loss is no longer a number.
    """
    config = read_config(config_path)
    state = states.load(out_dir, digest=config.digest()) if resume else None
    if not resume and states.checkpoints(out_dir):
        raise ConfigError(f"{out_dir}: holds a training; go on with --resume, or choose another")
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    out_dir.mkdir(parents=True, exist_ok=True)
    data = read_data(config, cache=out_dir)
    check_leaks(data, config.leaks)
    module = Segmenter(config, data.draws(config))
    if state is None:
        module.begin()
    else:
        restore(module, state)
        log.info("going on after step %d", module.step)
    run = Run(config=config, data=data, folder=out_dir, clock=Clock())
    with _quiet():
        trainer = _trainer(run, state)
        if module.step < config.schedule.steps:
            trainer.fit(module)
    if not trainer.is_global_zero:
        return {}
    return finish(run, module)


def preview(config_path: Path, out_dir: Path, picture: Path) -> dict[str, Any]:
    """Draw the first batch as the network will see it; train nothing.

    Args:
        config_path: YAML, see `TrainingConfig`.
        out_dir: Keeps made scenes.
        picture: The PNG to be.

    Raises:
        ConfigError: Config or data are unusable.
        SceneError: A scene cannot be trained on.
        ExportError: The picture cannot be written.
    """
    config = read_config(config_path)
    data = read_data(config, cache=out_dir)
    names = [known.name for known in config.classes] + ["interior"] * config.targets.interior
    show_batch(draw_batch(data.train, data.made, config, 0), picture, names=names)
    return {"picture": str(picture), "crops": config.batch}


def _trainer(run: Run, state: dict[str, Any] | None) -> pl.Trainer:
    config = run.config
    # In this order: what comes after the clock is in no step's time but in the next wait.
    callbacks: Sequence[pl.Callback] = (
        Advance(),
        run.clock,
        Progress(run.clock, run.folder, every=config.log_every),
        Keeper(run.clock, run.folder, every=config.save_every, state=state),
        Scorer(lambda module: _score_now(run, module), minutes=config.score_every_minutes),
    )
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device: cuda: torch sees no CUDA device here; use cpu or auto")
    kinds = {"auto": "gpu" if torch.cuda.is_available() else "cpu", "cpu": "cpu", "cuda": "gpu"}
    return pl.Trainer(
        accelerator=kinds[config.device],
        devices=config.devices,
        strategy="ddp" if config.devices > 1 else "auto",
        sync_batchnorm=config.devices > 1,
        precision="bf16-mixed" if config.bfloat16 else "32-true",
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
def _quiet() -> Iterator[None]:
    """Keep Lightning's hints off the log: they speak of what is chosen on purpose."""
    told = logging.getLogger("lightning.pytorch")
    before = told.level
    told.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*does not have many workers.*")
            warnings.filterwarnings("ignore", ".*number of training batches.*")
            warnings.filterwarnings("ignore", ".*isinstance.treespec, LeafSpec.*")
            yield
    finally:
        told.setLevel(before)


def averaged(module: Segmenter) -> nn.Module:
    """Return the network with the averaged weights, on the CPU, ready to predict."""
    network = networks.build(module.config, started=False)
    network.load_state_dict({name: kept.cpu() for name, kept in module.average.state.items()})
    return network.eval()


def _score_now(run: Run, module: Segmenter) -> None:
    """Write the averaged weights and note how good they are at threshold 0.5."""
    network = averaged(module)
    _write_weights(run, network)
    if not run.data.validation:
        return
    half = run.config.model_copy(
        update={"score": run.config.score.model_copy(update={"thresholds": (0.5,)})}
    )
    best = chosen(trials(answers(network, run.data.validation, half), half), half.score)
    note(run.folder, {"kind": "validation", "step": module.step, **asdict(best)})
    log.info(
        "validation at step %d: %s %.4f, pixel IoU %.4f at threshold 0.5",
        module.step,
        run.config.score.kind,
        best.score,
        best.iou,
    )


def _write_weights(run: Run, network: nn.Module) -> None:
    plain = states.plain(network.state_dict())
    states.write_whole(run.folder / WEIGHTS, to_safetensors(plain))


def finish(run: Run, module: Segmenter) -> dict[str, Any]:
    """Choose the threshold on validation, score, pack the model; return the summary."""
    config, network = run.config, averaged(module)
    _write_weights(run, network)
    best, scores = _chosen_and_scored(run, network)
    training = {
        "steps": module.step,
        "hours": round(run.clock.seconds / 3600, 3),
        "seed": config.seed,
        "batch": config.batch,
        "crop": config.crop,
        "data": [place.name for place in config.places] or str(config.images and "images"),
        "recipe": json.loads(config.model_dump_json(exclude={"ship", "places", "validation"})),
        "least_px": best.least_px,
        "redrawn_crops": module.redrawn,
        "skipped_crops": module.skipped,
    }
    training["recipe"] = _without_paths(training["recipe"])
    card = card_of(network, config, threshold=best.threshold, training=training, scores=scores)
    card = write_model(run.folder / MODEL, network.state_dict(), card)
    summary = {
        "model": str(run.folder / MODEL),
        "sha256": card.sha256,
        "steps": module.step,
        "hours": training["hours"],
        "s_per_step": round(run.clock.seconds / max(module.step, 1), 4),
        "drawing": round(run.clock.drawing / max(run.clock.seconds, 1e-9), 4),
        "reach_px": card.network.reach,
        "threshold": best.threshold,
        "least_px": best.least_px,
        "skipped_crops": module.skipped,
        "scores": scores,
    }
    states.write_whole(run.folder / "summary.json", json.dumps(summary, indent=2).encode())
    return summary


def _chosen_and_scored(run: Run, network: nn.Module) -> tuple[Trial, dict[str, Any]]:
    config, data = run.config, run.data
    best = Trial(
        threshold=0.5, least_px=0, score=math.nan, precision=math.nan, recall=math.nan, iou=math.nan
    )
    scores: dict[str, Any] = {}
    if data.validation:
        said = answers(network, data.validation, config)
        curve = trials(said, config)
        best = chosen(curve, config.score)
        if config.score.precision is not None and best.precision < config.score.precision:
            log.warning(
                "no threshold reaches precision %.2f on validation; %.2f at %.2f is the best",
                config.score.precision,
                best.precision,
                best.threshold,
            )
        scores["val"] = reported(said, config, best)
        states.write_whole(
            run.folder / "thresholds.json",
            json.dumps([asdict(trial) for trial in curve], indent=1).encode(),
        )
        note(run.folder, {"kind": "validation", "step": config.schedule.steps, **asdict(best)})
    if data.test:
        scores["test"] = _test_scores(network, data.test, config, best)
    return best, scores


def _test_scores(
    network: nn.Module, places: Sequence[Place], config: TrainingConfig, best: Trial
) -> dict[str, Any]:
    return reported(answers(network, places, config), config, best)


def _without_paths(value: Any) -> Any:
    """Return a recipe without where its files lay: only their names."""
    if isinstance(value, dict):
        return {key: _without_paths(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_without_paths(part) for part in value]
    return os.path.basename(value) if isinstance(value, str) and "/" in value else value  # noqa: PTH119
