"""Squares of what was predicted: fixed ones, the best and the worst."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.training.score.predicted import PlacePrediction

Size = tuple[int, int]
"""Rows and columns."""
FIXED, EXTREME = 12, 6
"""Crops that stay the same all through a training; best and worst ones."""
LEAST_KNOWN = 0.5
"""Part of a crop that must be labelled."""
LEAST_SHARE = 0.02
"""Part of a crop that objects must cover for it to be shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """A square of an answer, with pixel counts over the classes."""

    output: int
    """Which answer it is cut from."""
    row: int
    """Its first row."""
    col: int
    """Its first column."""
    tp: int
    """Pixels found, and of that class."""
    fp: int
    """Pixels found that are not."""
    fn: int
    """Pixels of a class that were not found."""
    share: float
    """Part of it that objects cover."""

    @property
    def iou(self) -> float:
        """Return ``tp / (tp + fp + fn)``, 1 where there is nothing at all."""
        every = self.tp + self.fp + self.fn
        return self.tp / every if every else 1.0


def kinds_of(
    predictions: PlacePrediction, *, classes: int, threshold: float
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the class of each pixel as found and as it is, 0 for none, (rows, cols) each.

    Of several classes above the threshold the likeliest is found.
    """
    shown = predictions.probability[:classes]
    found = np.where(shown.max(axis=0) >= threshold, shown.argmax(axis=0) + 1, 0)
    return found.astype(np.uint8), predictions.level.classes(predictions.level.instances)


def patches(
    predictions: Sequence[PlacePrediction], *, size: Size, classes: int, threshold: float
) -> list[Patch]:
    """Return all squares of ``size`` side by side, where enough is labelled.

    Levels smaller than that are one square; at the far edges the last square is moved in.
    """
    every = []
    for number, one in enumerate(predictions):
        found, true = kinds_of(one, classes=classes, threshold=threshold)
        rows, cols = found.shape
        for row in _starts(rows, size[0]):
            for col in _starts(cols, size[1]):
                here = (slice(row, row + size[0]), slice(col, col + size[1]))
                known = one.level.known[here]
                if known.mean() < LEAST_KNOWN:
                    continue
                own, truth = found[here][known], true[here][known]
                tp = int(((own == truth) & (truth > 0)).sum())
                every.append(
                    Patch(
                        output=number,
                        row=row,
                        col=col,
                        tp=tp,
                        fp=int((own > 0).sum()) - tp,
                        fn=int((truth > 0).sum()) - tp,
                        share=float((truth > 0).mean()),
                    )
                )
    return every


def _starts(length: int, size: int) -> list[int]:
    if length <= size:
        return [0]
    starts = list(range(0, length - size + 1, size))
    return starts if starts[-1] + size == length else [*starts, length - size]


def fixed(every: Sequence[Patch]) -> list[Patch]:
    """Return squares that depend on the truth alone: evenly spread over those with objects."""
    full = [patch for patch in every if patch.share >= LEAST_SHARE] or list(every)
    at = np.unique(np.linspace(0, len(full) - 1, min(FIXED, len(full))).astype(int))
    return [full[number] for number in at] if full else []


def extremes(every: Sequence[Patch]) -> tuple[list[Patch], list[Patch]]:
    """Return the squares of the highest and of the lowest IoU; no square is in both."""
    pixels = LEAST_SHARE * max((p.tp + p.fn) / max(p.share, 1e-9) for p in every) if every else 0
    right = sorted((p for p in every if p.share >= LEAST_SHARE), key=lambda p: -p.iou)
    best = right[: min(EXTREME, (len(right) + 1) // 2)]
    left = [p for p in every if p not in best and (p.tp + p.fp + p.fn) >= pixels]
    return best, sorted(left, key=lambda p: (p.iou, -(p.fp + p.fn)))[:EXTREME]
