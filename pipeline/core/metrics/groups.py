"""Where the errors are: by size, by confidence, near seams, merged and split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from jaxtyping import Bool, Float64, Int64, Shaped

from pipeline.core.metrics import ratios
from pipeline.core.metrics.matching import Matching
from pipeline.core.metrics.overlaps import Overlaps


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupScores:
    """Counts and ratios of one group of objects; a ratio is None where it does not exist."""

    references: int
    """Reference objects of the group."""
    detected: int
    """Those of them that were detected."""
    predictions: int
    """Predictions of the group."""
    correct: int
    """Those of them that are correct."""
    precision: float | None
    """``correct / predictions``."""
    recall: float | None
    """``detected / references``."""
    f1: float | None
    """Harmonic mean of both."""


def group_scores(
    matching: Matching,
    predicted: Bool[np.ndarray, " predictions"],
    reference: Bool[np.ndarray, " references"],
) -> GroupScores:
    """Return the scores of the predictions and references that belong to a group.

    A match may join two groups: it then counts in the prediction's group for
    precision and in the reference's group for recall.
    """
    found, missed = matching.found & reference, matching.missed & reference
    right, wrong = matching.right & predicted, matching.wrong & predicted
    return group_of(
        references=int((found | missed).sum()),
        detected=int(found.sum()),
        predictions=int((right | wrong).sum()),
        correct=int(right.sum()),
    )


def group_of(*, references: int, detected: int, predictions: int, correct: int) -> GroupScores:
    """Return the scores that follow from a group's counts."""
    precision, recall = ratios.ratio(correct, predictions), ratios.ratio(detected, references)
    both = (precision or 0.0) + (recall or 0.0)
    f1 = None
    if precision is not None and recall is not None:
        f1 = 2 * precision * recall / both if both else 0.0
    return GroupScores(
        references=references,
        detected=detected,
        predictions=predictions,
        correct=correct,
        precision=precision,
        recall=recall,
        f1=f1,
    )


def merged(pairs: Overlaps, *, covered: float = 0.5) -> Int64[np.ndarray, " predictions"]:
    """Return how many references each prediction covers, each by at least ``covered`` of its area.

    Two or more: the prediction merged them. Of `Overlaps.exchanged` it is how many
    predictions lie on each reference: two or more, and the reference was split.
    """
    mostly = pairs.shared >= covered * pairs.reference_area[pairs.reference]
    return np.bincount(pairs.predicted[mostly], minlength=len(pairs.predicted_area))


def best_iou(pairs: Overlaps) -> Float64[np.ndarray, " predictions"]:
    """Return the greatest IoU of each prediction with any reference, taken or not; 0 where none.

    Of `Overlaps.exchanged` it is the greatest IoU of each reference with any prediction.
    """
    found = np.zeros(len(pairs.predicted_area))
    np.maximum.at(found, pairs.predicted, pairs.iou)
    return found


def near_seams(
    polygons: Shaped[np.ndarray, " n"],
    *,
    row_cuts: tuple[int, ...],
    col_cuts: tuple[int, ...],
    margin: float,
) -> Bool[np.ndarray, " n"]:
    """Return which polygons come within ``margin`` pixels of a seam between tiles.

    Args:
        polygons: In pixel coordinates ``(x=col, y=row)``.
        row_cuts: First row of each row of cores, and the scene's height.
        col_cuts: First column of each column of cores, and the scene's width.
        margin: Distance in pixels.
    """
    left, top, right, bottom = shapely.bounds(polygons).reshape(-1, 4).T
    rows = _reaches(top, bottom, row_cuts[1:-1], margin)
    return np.asarray(rows | _reaches(left, right, col_cuts[1:-1], margin))


def _reaches(
    low: Float64[np.ndarray, " n"],
    high: Float64[np.ndarray, " n"],
    cuts: tuple[int, ...],
    margin: float,
) -> Bool[np.ndarray, " n"]:
    seams = np.asarray(sorted(cuts), np.float64)
    before = np.searchsorted(seams, low - margin, side="left")
    return np.asarray(np.searchsorted(seams, high + margin, side="right") > before)
