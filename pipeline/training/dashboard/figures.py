"""Figures of a training: its history as curves, and the loss on validation crops."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.training.callbacks import HISTORY
from pipeline.training.config import LossConfig, TrainingConfig
from pipeline.training.data.batches import targets_of
from pipeline.training.data.warp import Crop
from pipeline.training.score.predicted import PlacePrediction
from pipeline.training.step.objective import loss_of

CURVES = ("loss", "iou", "dice", "precision", "recall")
MOST_POINTS = 400
"""Points of a curve that a page holds at most."""


def read_history(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of a run's history; one that a kill cut short is left out."""
    path = folder / HISTORY
    if not path.exists():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(row, dict) and isinstance(row.get("step"), int):
            rows.append(row)
    return rows


def curves(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, list[list[float]]]]:
    """Return steps and values by figure, then by ``train`` and ``validation``.

    Of lines about one step the last one counts: a resumed training repeats steps. Values
    that are no finite numbers are left out.
    """
    found: dict[str, dict[str, dict[int, float]]] = {
        name: {"train": {}, "validation": {}} for name in CURVES
    }
    for row in rows:
        if row.get("kind") not in ("train", "validation"):
            continue
        for name in CURVES:
            value = row.get(name)
            if name == "dice" and value is None:
                value = _dice(row.get("iou"))
            if isinstance(value, int | float) and math.isfinite(value):
                found[name][row["kind"]][row["step"]] = float(value)
    return {
        name: {kind: thinned(sorted(points.items())) for kind, points in kinds.items()}
        for name, kinds in found.items()
    }


def _dice(iou: object) -> float | None:
    """Return ``2 iou / (1 + iou)``, which is Dice of the same pixels."""
    return 2 * iou / (1 + iou) if isinstance(iou, int | float) else None


def thinned(points: Sequence[tuple[int, float]]) -> list[list[float]]:
    """Return at most `MOST_POINTS` of them, first and last included."""
    at = np.unique(np.linspace(0, len(points) - 1, min(len(points), MOST_POINTS)).astype(int))
    return [[points[number][0], round(points[number][1], 5)] for number in at] if points else []


def validation_loss(parts: Sequence[PlacePrediction], config: TrainingConfig) -> float:
    """Return the mean loss of squares; pixels weigh 1 where known: contacts are not counted.

    Args:
        parts: What was predicted of them, and the truth.
        config: Which loss, and of what.
    """
    loss = loss_of(config.loss, classes=len(config.classes))
    found = []
    for one in parts:
        level = one.level
        crop = Crop(
            image=level.image,
            instances=level.instances,
            contact=level.contact,
            known=level.known,
            pixel_size_m=level.pixel_size_m,
        )
        target = targets_of(crop, level, config.targets, classes=len(config.classes))
        logits = logits_of(torch.from_numpy(one.probability), config.loss, len(config.classes))
        weight = torch.from_numpy(level.known.astype(np.float32))
        found.append(
            float(loss(logits[None], torch.from_numpy(target).float()[None], weight[None]))
        )
    return float(np.mean(found)) if found else math.nan


def logits_of(probability: torch.Tensor, config: LossConfig, classes: int) -> torch.Tensor:
    """Return logits of which `probabilities` gives ``probability``, up to rounding.

    Args:
        probability: (channels, rows, cols), from 0 to 1.
        config: Whether classes exclude each other.
        classes: How many there are.
    """
    inside = probability.float().clamp(1e-6, 1 - 1e-6)
    if not config.softmax:
        return inside.logit()
    rest = (1 - inside[:classes].sum(dim=0, keepdim=True)).clamp_min(1e-6)
    return torch.cat([rest.log(), inside[:classes].log(), inside[classes:].logit()])
