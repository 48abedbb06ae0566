"""Pixel scores from counts that add up over windows of any size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64, UInt8

from pipeline.core.compiled import compiled
from pipeline.core.metrics import ratios

LEVELS = 251
"""Quantised probabilities: 0..250 stand for 0..1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelScores:
    """What a class got right, in pixels; a ratio is None where it does not exist."""

    tp: int
    """Pixels of the class in both."""
    fp: int
    """Pixels predicted as the class that are not."""
    fn: int
    """Pixels of the class that were not predicted."""
    precision: float | None
    """Share of the predicted pixels that are right."""
    recall: float | None
    """Share of the true pixels that were found."""
    f1: float | None
    """Harmonic mean of precision and recall; the same number as Dice."""
    iou: float | None
    """Intersection over union."""
    reason: str | None
    """Why some of them do not exist."""


def confusion(
    predicted: UInt8[np.ndarray, "rows cols"],
    reference: UInt8[np.ndarray, "rows cols"],
    valid: Bool[np.ndarray, "rows cols"],
    *,
    classes: int,
) -> Int64[np.ndarray, "references predictions"]:
    """Return how many valid pixels have each pair of classes, reference along rows.

    Args:
        predicted: 0 background, then classes from 1.
        reference: The same classes.
        valid: False where a pixel does not count: no data, or outside the labelled area.
        classes: Number of classes without the background; greater values are counted as
            background.
    """
    counts = np.zeros((classes + 1, classes + 1), np.int64)
    _confuse(predicted, reference, valid, counts)
    return counts


def class_scores(counts: Int64[np.ndarray, "references predictions"], label: int) -> PixelScores:
    """Return the scores of one class."""
    tp = int(counts[label, label])
    return pixel_scores(
        tp=tp, fp=int(counts[:, label].sum()) - tp, fn=int(counts[label].sum()) - tp
    )


def foreground_scores(counts: Int64[np.ndarray, "references predictions"]) -> PixelScores:
    """Return the scores of all classes taken as one, against the background."""
    return pixel_scores(
        tp=int(counts[1:, 1:].sum()), fp=int(counts[0, 1:].sum()), fn=int(counts[1:, 0].sum())
    )


def pixel_scores(*, tp: int, fp: int, fn: int) -> PixelScores:
    """Return the scores that follow from counts."""
    return PixelScores(
        tp=tp,
        fp=fp,
        fn=fn,
        precision=ratios.precision(tp=tp, fp=fp),
        recall=ratios.recall(tp=tp, fn=fn),
        f1=ratios.f1(tp=tp, fp=fp, fn=fn),
        iou=ratios.iou(tp=tp, fp=fp, fn=fn),
        reason=ratios.why_undefined(tp=tp, fp=fp, fn=fn),
    )


def levels(
    probability: UInt8[np.ndarray, "rows cols"],
    reference: Bool[np.ndarray, "rows cols"],
    valid: Bool[np.ndarray, "rows cols"],
) -> Int64[np.ndarray, "2 levels"]:
    """Return how many valid pixels have each quantised probability: false ones, then true ones.

    Args:
        probability: 0..250, 255 for no data.
        reference: True on the class.
        valid: False where a pixel does not count.
    """
    counts = np.zeros((2, LEVELS), np.int64)
    _level(probability, reference, valid, counts)
    return counts


@compiled
def _confuse(
    predicted: UInt8[np.ndarray, "rows cols"],
    reference: UInt8[np.ndarray, "rows cols"],
    valid: Bool[np.ndarray, "rows cols"],
    counts: Int64[np.ndarray, "references predictions"],
) -> None:
    """Add the valid pixels of each pair of classes to ``counts``."""
    side = counts.shape[0]
    for row in range(valid.shape[0]):
        for col in range(valid.shape[1]):
            if valid[row, col]:
                found, other = predicted[row, col], reference[row, col]
                counts[other if other < side else 0, found if found < side else 0] += 1


@compiled
def _level(
    probability: UInt8[np.ndarray, "rows cols"],
    reference: Bool[np.ndarray, "rows cols"],
    valid: Bool[np.ndarray, "rows cols"],
    counts: Int64[np.ndarray, "2 levels"],
) -> None:
    """Add the valid pixels at each level to ``counts``: false ones, then true ones."""
    for row in range(valid.shape[0]):
        for col in range(valid.shape[1]):
            if valid[row, col] and probability[row, col] < LEVELS:
                counts[1 if reference[row, col] else 0, probability[row, col]] += 1
