"""What Lightning calls so that the training can be watched."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
from lightning.pytorch.loggers import TensorBoardLogger

from pipeline.errors import ExportError
from pipeline.training.callbacks import note
from pipeline.training.config import TrainingConfig
from pipeline.training.dashboard.figures import validation_loss
from pipeline.training.dashboard.overlay import draw_overlay, picture_of
from pipeline.training.dashboard.page import ShownCrops, crops_of, write_live, write_test
from pipeline.training.score.predicted import Scored
from pipeline.training.validate import Trial

log = logging.getLogger(__name__)

PICTURES = 4
"""Crops that go to TensorBoard at each validation."""


class Live(pl.Callback):
    """``live.html`` and TensorBoard's validation figures, renewed at each validation."""

    def __init__(self, folder: Path, config: TrainingConfig) -> None:
        """Write under ``folder``."""
        self.folder = folder
        self.config = config
        self._logger: object = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the page before there is anything to see, or with what a killed run left."""
        self._logger = trainer.logger
        if trainer.is_global_zero:
            step = int(getattr(pl_module, "step", 0))
            with _going_on():
                write_live(self.folder, self.config, None, step=step)

    def validated(
        self,
        predictions: Sequence[Scored],
        best: Trial,
        *,
        step: int,
        done: bool = False,
    ) -> None:
        """Note the figures of a validation, and draw it.

        Args:
            predictions: What was predicted of the validation split.
            best: Its figures, and the threshold that they were taken at.
            step: Steps taken.
            done: Whether this was the last validation.
        """
        crops = crops_of(predictions, self.config, threshold=best.threshold)
        figures = asdict(best) | {"loss": validation_loss(crops.parts("fixed"), self.config)}
        note(self.folder, {"kind": "validation", "step": step, **figures})
        if isinstance(self._logger, TensorBoardLogger):
            _to_tensorboard(self._logger.experiment, crops, figures, step)
        with _going_on():
            write_live(self.folder, self.config, crops, step=step, done=done)


def _to_tensorboard(writer: Any, crops: ShownCrops, figures: dict[str, Any], step: int) -> None:
    for name in ("loss", "iou", "precision", "recall", "score"):
        writer.add_scalar(f"validation/{name}", figures[name], step)
    for number, one in enumerate(crops.parts("fixed")[:PICTURES], start=1):
        over = draw_overlay(
            one, classes=crops.classes, threshold=crops.threshold, colours=crops.colours
        )
        both = np.concatenate([picture_of(one), over], axis=1)
        writer.add_image(f"validation/crop {number}", both, step, dataformats="HWC")
    writer.flush()


def final_page(
    folder: Path,
    config: TrainingConfig,
    predictions: Sequence[Scored],
    *,
    split: str,
    found: Trial,
    trials: Sequence[Trial],
) -> None:
    """Write ``test.html`` for what was predicted of a split, see `write_test`."""
    crops = crops_of(predictions, config, threshold=found.threshold)
    with _going_on():
        write_test(folder, config, crops, split=split, found=found, trials=trials)


@contextmanager
def _going_on() -> Iterator[None]:
    """Log that a page could not be written: a training of hours does not end for it."""
    try:
        yield
    except ExportError as error:
        log.warning("%s", error)
