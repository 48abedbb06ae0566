"""Average precision and recall as COCO's evaluation defines them.

Source: cocoeval of pycocotools 2.0, which the tests compare with figure by figure.
Scores are computed from overlaps: of pixels to equal COCO's, of polygons for
figures that do not depend on a pixel size. Objects of several images go in
together, since objects of different images never overlap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from pipeline.core.metrics.matching import Ignored, match_pairs, ranked
from pipeline.core.metrics.overlaps import Overlaps

THRESHOLDS = tuple(float(step) for step in np.linspace(0.5, 0.95, 10))
"""IoU thresholds of AP: 0.5, 0.55, ... 0.95, with the rounding of COCO's own."""
RECALLS = np.linspace(0.0, 1.0, 101)
"""Recalls at which precision is read."""
PIXEL_SIZES: Mapping[str, tuple[float, float]] = {
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}
"""COCO's size classes: least and greatest area in pixels, both included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CocoScores:
    """COCO's figures; None where there is no reference to find."""

    ap: float | None
    """Mean of average precision over IoU 0.50:0.05:0.95."""
    ap50: float | None
    """Average precision at IoU 0.50."""
    ap75: float | None
    """Average precision at IoU 0.75."""
    ar: float | None
    """Mean of the greatest recall over the same thresholds."""
    ar50: float | None
    """Greatest recall at IoU 0.50."""
    ap_by_size: Mapping[str, float | None]
    """AP of each size class."""
    ar_by_size: Mapping[str, float | None]
    """AR of each size class."""


def coco_scores(
    pairs: Overlaps,
    confidence: Float64[np.ndarray, " predictions"],
    *,
    sizes: Mapping[str, tuple[float, float]] = PIXEL_SIZES,
    thresholds: tuple[float, ...] = THRESHOLDS,
    ignored: Ignored | None = None,
) -> CocoScores:
    """Return COCO's figures.

    Args:
        pairs: Overlaps of predictions and references; areas decide the size class.
        confidence: Confidence of each prediction.
        sizes: Name, least and greatest area of each size class, in the pairs' unit.
        thresholds: IoU thresholds; 0.5 comes first, and 0.75 is among them or AP75 is None.
        ignored: Objects that count neither for nor against, whatever their size.
    """
    everything = _curves(pairs, confidence, (0.0, np.inf), (thresholds, ignored))
    at = {round(threshold, 2): row for row, threshold in enumerate(thresholds)}
    by_size = {
        name: _curves(pairs, confidence, limits, (thresholds, ignored))
        for name, limits in sizes.items()
    }
    return CocoScores(
        ap=_mean(everything, "precision"),
        ap50=_mean(everything, "precision", 0),
        ap75=_mean(everything, "precision", at[0.75]) if 0.75 in at else None,
        ar=_mean(everything, "recall"),
        ar50=_mean(everything, "recall", 0),
        ap_by_size={name: _mean(one, "precision") for name, one in by_size.items()},
        ar_by_size={name: _mean(one, "recall") for name, one in by_size.items()},
    )


def kept(
    image: Int64[np.ndarray, " predictions"],
    confidence: Float64[np.ndarray, " predictions"],
    *,
    most: int,
) -> Bool[np.ndarray, " predictions"]:
    """Return which predictions are among the ``most`` surest of their image (``maxDets``)."""
    order = np.lexsort((np.arange(len(image)), -confidence, image))
    first = np.searchsorted(image[order], image[order])
    keep = np.zeros(len(image), bool)
    keep[order] = np.arange(len(image)) - first < most
    return keep


def average_precision(
    right: Bool[np.ndarray, " ranks"],
    n_reference: int | float,
    weight: Float64[np.ndarray, " ranks"],
) -> float | None:
    """Return the area under the precision-recall curve, read at 101 recalls.

    Args:
        right: True positives and false positives by descending confidence.
        n_reference: Number of references, weighted as the predictions are.
        weight: How often each prediction counts: 1, or the draws of a bootstrap.
    """
    if n_reference <= 0:
        return None
    tp = np.cumsum(np.where(right, weight, 0.0))
    fp = np.cumsum(np.where(right, 0.0, weight))
    precision = tp / np.maximum(tp + fp, np.spacing(1))
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    place = np.searchsorted(tp / n_reference, RECALLS, side="left")
    return float(np.append(envelope, 0.0)[np.minimum(place, len(envelope))].mean())


@dataclass(frozen=True, slots=True)
class _Curves:
    precision: Float64[np.ndarray, " thresholds"]
    recall: Float64[np.ndarray, " thresholds"]


def _curves(
    pairs: Overlaps,
    confidence: Float64[np.ndarray, " predictions"],
    limits: tuple[float, float],
    rule: tuple[tuple[float, ...], Ignored | None],
) -> _Curves | None:
    """Return average precision and greatest recall at each threshold; None without reference."""
    thresholds, already = rule
    outside = Ignored(
        predicted=(pairs.predicted_area < limits[0]) | (pairs.predicted_area > limits[1]),
        reference=(pairs.reference_area < limits[0]) | (pairs.reference_area > limits[1]),
    )
    if already is not None:
        outside = Ignored(
            predicted=outside.predicted | already.predicted,
            reference=outside.reference | already.reference,
        )
    n_reference = int((~outside.reference).sum())
    if not n_reference:
        return None
    order = ranked(confidence, len(confidence))
    precision, recall = [], []
    for threshold in thresholds:
        matching = match_pairs(pairs, confidence=confidence, iou=threshold, ignored=outside)
        counted = order[matching.counts_prediction[order]]
        right = matching.reference_of[counted] >= 0
        precision.append(average_precision(right, n_reference, np.ones(len(right))))
        recall.append(right.sum() / n_reference)
    return _Curves(np.array(precision, np.float64), np.array(recall, np.float64))


def _mean(curves: _Curves | None, what: str, row: int | None = None) -> float | None:
    if curves is None:
        return None
    values = getattr(curves, what)
    return float(values.mean() if row is None else values[row])
