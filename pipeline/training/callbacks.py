"""What happens around the steps: progress, checkpoints, scored exports."""

from __future__ import annotations

import json
import logging
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from pipeline.malloc import malloc_trim
from pipeline.training.data.batches import Batch
from pipeline.training.module import Segmenter
from pipeline.training.step import state as states

log = logging.getLogger(__name__)

HISTORY = "history.jsonl"
"""One line of figures per report of progress and per scored export, in the run's folder."""


class TrainingTimer(pl.Callback):
    """How long steps take, and which part of it goes into drawing batches."""

    def __init__(self) -> None:
        """Start at nothing; `Keeper` sets what was spent before."""
        self.seconds = 0.0
        self.drawing = 0.0
        self._ended: float | None = None
        self._began = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to wait for the first batch."""
        self._ended = time.monotonic()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Count the wait for the batch."""
        self._began = time.monotonic()
        if self._ended is not None:
            self.drawing += self._began - self._ended
            self.seconds += self._began - self._ended

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Count the step."""
        now = time.monotonic()
        self.seconds += now - self._began
        self._ended = now


class Interrupts(pl.Callback):
    """Keeps SIGINT handled: Lightning ignores it while it ends an interrupted training."""

    def __init__(self) -> None:
        """Keep the present handler."""
        self._handler = signal.getsignal(signal.SIGINT)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Handle it again, so that a second one ends the process."""
        if isinstance(exception, KeyboardInterrupt):
            signal.signal(signal.SIGINT, self._handler)


class Advance(pl.Callback):
    """Ends a step; goes before the callbacks that look at what it left."""

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Take the new weights into the average."""
        _segmenter(pl_module).advance()


class ProgressCallback(pl.Callback):
    """A line on the log, and one in `HISTORY`, every so many steps."""

    def __init__(self, clock: TrainingTimer, folder: Path, *, every: int) -> None:
        """Log every ``every`` steps, and write them below ``folder``."""
        self.clock = clock
        self.folder = folder
        self.every = every
        self._losses: list[float] = []

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Keep the loss; log it at intervals."""
        module = _segmenter(pl_module)
        self._losses.append(float(outputs["loss"] if isinstance(outputs, dict) else outputs))
        steps = module.config.schedule.steps
        if module.step % self.every and module.step != steps:
            return
        figures = {
            "step": module.step,
            "loss": sum(self._losses) / len(self._losses),
            **module.taken(),
            "rate": trainer.optimizers[0].param_groups[0]["lr"],
            "s_per_step": self.clock.seconds / module.step,
            "drawing": self.clock.drawing / max(self.clock.seconds, 1e-9),
            "redrawn": module.redrawn,
            "skipped": module.skipped,
        }
        self._losses.clear()
        if trainer.is_global_zero:
            note(self.folder, {"kind": "train", **figures})
            log.info("%s", _line(figures, steps))
            if trainer.logger is not None:
                trainer.logger.log_metrics(
                    {f"train/{name}": value for name, value in figures.items()}, module.step
                )


def _line(figures: dict[str, float], steps: int) -> str:
    """Return what people read of a report of progress."""
    skipped = f"  {figures['skipped']} crops without labels skipped" if figures["skipped"] else ""
    return (
        f"step {figures['step']}/{steps}  loss {figures['loss']:.4f}  "
        f"dice {figures['dice']:.3f}  iou {figures['iou']:.3f}  rate {figures['rate']:.2e}  "
        f"{figures['s_per_step']:.3f} s/step  drawing {100 * figures['drawing']:.0f} %{skipped}"
    )


class Keeper(pl.Callback):
    """Checkpoints of our own, whole or not at all: tensors and plain values.

    Lightning's hold its loops, which do not know that a batch is a function of its step.
    """

    def __init__(
        self, clock: TrainingTimer, folder: Path, *, every: int, state: dict[str, Any] | None
    ) -> None:
        """Save every ``every`` steps under ``folder``; first go on from ``state``."""
        self.clock = clock
        self.folder = folder
        self.every = every
        self.state = state

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Set the optimiser back; the network was set back before."""
        if self.state is not None:
            trainer.optimizers[0].load_state_dict(self.state["optimizer"])
            self.clock.seconds, self.clock.drawing = self.state["seconds"], self.state["drawing"]

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Save now and then, and after the last step."""
        module = _segmenter(pl_module)
        due = module.step % self.every == 0 or module.step == module.config.schedule.steps
        if due and trainer.is_global_zero:
            states.save_state(self.folder, module.step, snapshot(module, trainer, self.clock))


class Scorer(pl.Callback):
    """A scored export every so many minutes."""

    def __init__(self, export: Callable[[Segmenter], None], *, minutes: float) -> None:
        """Call ``export`` every ``minutes``."""
        self.export = export
        self.every_s = 60 * minutes
        self._last = time.monotonic()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Export when it is time; the last step's export comes after the loop."""
        module = _segmenter(pl_module)
        late = time.monotonic() - self._last > self.every_s
        if late and trainer.is_global_zero and module.step < module.config.schedule.steps:
            self.export(module)
            malloc_trim()  # whole scenes went through the network
            self._last = time.monotonic()


def snapshot(module: Segmenter, trainer: pl.Trainer, clock: TrainingTimer) -> dict[str, Any]:
    """Return all that a resumption needs: tensors and plain values."""
    return {
        "digest": module.config.digest(),
        "step": module.step,
        "seconds": clock.seconds,
        "drawing": clock.drawing,
        "redrawn": module.redrawn,
        "skipped": module.skipped,
        "network": module.network.state_dict(),
        "average": module.average.state,
        "optimizer": trainer.optimizers[0].state_dict(),
    }


def restore_training(module: Segmenter, state: dict[str, Any]) -> None:
    """Set network and average back to a snapshot; `Keeper` does so for the optimiser."""
    module.network.load_state_dict(state["network"])
    module.average.state = state["average"]
    module.step = state["step"]
    module.redrawn, module.skipped = state["redrawn"], state["skipped"]


def note(folder: Path, figures: dict[str, Any]) -> None:
    """Add a line to the run's history."""
    with (folder / HISTORY).open("a", encoding="utf-8") as file:
        file.write(json.dumps(figures) + "\n")


def _segmenter(module: pl.LightningModule) -> Segmenter:
    if not isinstance(module, Segmenter):
        raise TypeError(f"{type(module).__name__} is no Segmenter")
    return module
