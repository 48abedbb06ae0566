"""Choice of thresholds, and calibration of confidences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from pipeline.core.metrics.calibration import (
    Curve,
    OperatingPoint,
    at_precision,
    best_f1,
    level_curve,
    object_curve,
    reliability,
)
from pipeline.core.metrics.pixels import LEVELS
from pipeline.evaluation.object_metrics import MatchedObjects
from pipeline.evaluation.pixel_metrics import PixelCounts
from pipeline.evaluation.rows import Table, rounded

_CURVE_POINTS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdSample:
    """What thresholds are chosen on: the objects and pixels of one scene or of several."""

    confidence: Float64[np.ndarray, " predictions"] | None
    """Confidence of each prediction that counts; None where it is not known."""
    right: Bool[np.ndarray, " predictions"]
    """Which of them are right."""
    references: int
    """Truths that count."""
    levels: Int64[np.ndarray, "2 levels"] | None
    """Pixels at each quantised probability, false ones and true ones."""


def threshold_sample(matched: MatchedObjects, counts: PixelCounts) -> ThresholdSample:
    """Return what thresholds of one scene are chosen on."""
    counted, sure = matched.matching.counts_prediction, matched.confidence
    return ThresholdSample(
        confidence=None if sure is None else sure[counted],
        right=matched.matching.right[counted],
        references=int(matched.matching.counts_reference.sum()),
        levels=counts.levels,
    )


def join_samples(samples: Sequence[ThresholdSample]) -> ThresholdSample:
    """Return several scenes' objects and pixels; without what one of them lacks."""
    sure = [one.confidence for one in samples if one.confidence is not None]
    levels = [one.levels for one in samples if one.levels is not None]
    return ThresholdSample(
        confidence=np.concatenate(sure) if len(sure) == len(samples) else None,
        right=np.concatenate([one.right for one in samples]),
        references=sum(one.references for one in samples),
        levels=np.sum(levels, axis=0) if len(levels) == len(samples) else None,
    )


def threshold_tables(sample: ThresholdSample, *, wanted: float) -> Table:
    """Return curves, calibration and operating points, of objects and of pixels.

    Args:
        sample: The objects and the pixels.
        wanted: Precision for which an operating point is sought.
    """
    if sample.confidence is None:
        objects = Curve(threshold=np.empty(0), precision=np.empty(0), recall=np.empty(0))
        calibration = _reliability_table(np.empty(0), np.empty(0, bool))
        calibration["reason"] = "the predictions carry no confidence"
    else:
        objects = object_curve(sample.confidence, sample.right, sample.references)
        calibration = _reliability_table(sample.confidence, sample.right)
    levels = sample.levels
    pixels = level_curve(levels) if levels is not None else None
    return {
        "calibration": {
            "objects": calibration,
            "pixels": None if levels is None else _pixel_reliability(levels),
        },
        "curves": {
            "objects": _points(objects),
            "pixels": None if pixels is None else _points(pixels),
        },
        "operating_point": {
            "wanted_precision": wanted,
            "objects": _choices(objects, wanted),
            "pixels": None if pixels is None else _choices(pixels, wanted),
        },
    }


def _points(curve: Curve) -> list[list[float | None]]:
    """Return at most `_CURVE_POINTS` points of threshold, precision and recall."""
    rows = np.unique(np.linspace(0, max(0, len(curve) - 1), _CURVE_POINTS).astype(int))
    return [
        [rounded(curve.threshold[row]), rounded(curve.precision[row]), rounded(curve.recall[row])]
        for row in rows[: len(curve)]
    ]


def _choices(curve: Curve, precision: float) -> Table:
    return {
        "best_f1": _choice(best_f1(curve), "there is no curve"),
        "at_precision": _choice(
            at_precision(curve, precision), f"no threshold reaches a precision of {precision:g}"
        ),
    }


def _choice(point: OperatingPoint | None, reason: str) -> Table:
    if point is None:
        return {"threshold": None, "precision": None, "recall": None, "f1": None, "reason": reason}
    return {**{name: rounded(value) for name, value in asdict(point).items()}, "reason": None}


def _reliability_table(
    confidence: Float64[np.ndarray, " n"], right: Bool[np.ndarray, " n"]
) -> Table:
    """Return predicted and observed shares of objects by confidence."""
    found = reliability(confidence, right.astype(np.float64))
    return {
        "ece": rounded(found.error),
        "reason": None if found.error is not None else "no predictions",
        "bins": [
            {
                "from": rounded(found.edges[row]),
                "to": rounded(found.edges[row + 1]),
                "count": int(found.count[row]),
                "predicted": rounded(found.predicted[row]) if found.count[row] else None,
                "observed": rounded(found.observed[row]) if found.count[row] else None,
            }
            for row in range(len(found.count))
        ],
    }


def _pixel_reliability(levels: Int64[np.ndarray, "2 levels"]) -> Table:
    """Return predicted and observed shares of pixels by probability."""
    both = levels.sum(axis=0).astype(np.float64)
    share = np.divide(levels[1], both, out=np.zeros(LEVELS), where=both > 0)
    steps = np.arange(LEVELS) / (LEVELS - 1)
    found = reliability(steps, share, weight=both)
    table = _reliability_table(np.empty(0), np.empty(0, bool))
    table["ece"], table["reason"] = rounded(found.error), None
    for row, one in enumerate(table["bins"]):
        if found.count[row]:
            one["count"] = int(found.count[row])
            one["predicted"] = rounded(found.predicted[row])
            one["observed"] = rounded(found.observed[row])
    return table
