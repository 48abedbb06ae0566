"""The pages of a training: what they hold, and writing them whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.outputs.atomic import write_atomically
from pipeline.outputs.report.page import render
from pipeline.training.config import TrainingConfig
from pipeline.training.dashboard.colours import contrasting
from pipeline.training.dashboard.crops import Patch, Size, extremes, fixed, patches
from pipeline.training.dashboard.figures import curves, read_history
from pipeline.training.dashboard.overlay import data_url, draw_overlay, part_of, picture_of
from pipeline.training.score.predicted import PlacePrediction, Scored
from pipeline.training.validate import Trial
from pipeline.training.volumes.outputs import VolumePrediction
from pipeline.training.volumes.sections import sections_of

REFRESH_S = 30
"""Seconds after which the live page reads itself again."""
_SCRIPTS = ("dom.js", "charts.js", "training.js")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShownCrops:
    """Squares of a split, and how they are drawn."""

    predictions: Sequence[PlacePrediction]
    """What was predicted of the split; of volumes, sections."""
    shown: Mapping[str, Sequence[Patch]]
    """``fixed``, ``best`` and ``worst``."""
    size: Size
    """Rows and columns of a square."""
    colours: tuple[str, ...]
    """Of what was found, made up and missed."""
    threshold: float
    """Probability from which a pixel belongs to a class."""
    classes: int
    """How many there are."""

    def parts(self, group: str) -> list[PlacePrediction]:
        """Return the squares of a group."""
        return [part_of(self.predictions[p.output], p, size=self.size) for p in self.shown[group]]


def crops_of(whole: Sequence[Scored], config: TrainingConfig, *, threshold: float) -> ShownCrops:
    """Return the squares that are shown of a split; the fixed ones depend on its truth alone.

    Of volumes they are the middle inline sections of crops, samples down.
    """
    classes, box = len(config.classes), config.box
    size = (box[0], box[0]) if config.volumes is None else (box[2], box[1])
    predictions = [one for one in whole if isinstance(one, PlacePrediction)]
    for one in whole:
        if isinstance(one, VolumePrediction):
            predictions.extend(sections_of(one, box=box, classes=classes))
    every = patches(predictions, size=size, classes=classes, threshold=threshold)
    best, worst = extremes(every)
    still = fixed(every)
    seen = [picture_of(part_of(predictions[p.output], p, size=size)) for p in still]
    return ShownCrops(
        predictions=predictions,
        shown={"fixed": still, "best": best, "worst": worst},
        size=size,
        colours=tuple(contrasting(seen)),
        threshold=threshold,
        classes=classes,
    )


def write_live(
    folder: Path, config: TrainingConfig, crops: ShownCrops | None, *, step: int, done: bool = False
) -> None:
    """Write ``live.html``: curves of the run's history, and pictures once there are any.

    Raises:
        ExportError: The file could not be written.
    """
    data = _common(folder, config, crops, step=step)
    data |= {"page": "live", "refresh_s": 0 if done else REFRESH_S, "split": "validation"}
    _write(folder / "live.html", f"{folder.name}: training", data)


def write_test(
    folder: Path,
    config: TrainingConfig,
    crops: ShownCrops,
    *,
    split: str,
    found: Trial,
    trials: Sequence[Trial],
) -> None:
    """Write ``test.html``: how good the trained network is.

    Args:
        folder: The run's.
        config: The training.
        crops: Squares of the split at the chosen threshold.
        split: Which one it is.
        found: Figures of the split at the chosen threshold.
        trials: What each threshold gives on the validation split.

    Raises:
        ExportError: The file could not be written.
    """
    data = _common(folder, config, crops, step=config.schedule.steps)
    data |= {
        "page": "test",
        "refresh_s": 0,
        "split": split,
        "found": asdict(found),
        "thresholds": [asdict(trial) for trial in trials],
        "wanted_precision": config.score.precision,
        "score": config.score.kind,
    }
    _write(folder / "test.html", f"{folder.name}: test", data)


def _common(
    folder: Path, config: TrainingConfig, crops: ShownCrops | None, *, step: int
) -> dict[str, Any]:
    names = ("found", "made_up", "missed")
    return {
        "title": folder.name,
        "step": step,
        "steps": config.schedule.steps,
        "loss": config.loss.name,
        "classes": [known.name for known in config.classes],
        "curves": curves(read_history(folder)),
        "threshold": crops.threshold if crops else None,
        "colours": dict(zip(names, crops.colours, strict=True)) if crops else None,
        "crops": {group: _drawn(crops, group) for group in crops.shown} if crops else None,
    }


def _drawn(crops: ShownCrops, group: str) -> list[dict[str, Any]]:
    shown = []
    for patch, one in zip(crops.shown[group], crops.parts(group), strict=True):
        over = draw_overlay(
            one, classes=crops.classes, threshold=crops.threshold, colours=crops.colours
        )
        shown.append(
            {
                "name": one.name,
                "row": patch.row,
                "col": patch.col,
                "iou": round(patch.iou, 4),
                "image": data_url(picture_of(one)),
                "overlay": data_url(over),
            }
        )
    return shown


def _write(path: Path, title: str, data: Mapping[str, Any]) -> None:
    text = render(title=title, data=_finite(data), body="training.html", scripts=_SCRIPTS)
    with write_atomically(path) as part:
        part.write_text(text, encoding="utf-8")


def _finite(value: Any) -> Any:
    """Return values with None for what JSON cannot hold."""
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    if isinstance(value, float) and not -1e300 < value < 1e300:
        return None
    return value
