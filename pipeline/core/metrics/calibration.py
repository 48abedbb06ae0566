"""Calibration of confidences, and choice of thresholds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """Claimed confidence beside the share that was right, bin by bin."""

    edges: Float64[np.ndarray, " edges"]
    """Borders of the bins, from 0 to 1."""
    count: Int64[np.ndarray, " bins"]
    """Predictions in each bin."""
    predicted: Float64[np.ndarray, " bins"]
    """Mean confidence of each bin; 0 where it is empty."""
    observed: Float64[np.ndarray, " bins"]
    """Share of each bin that is right; 0 where it is empty."""

    @property
    def error(self) -> float | None:
        """Expected calibration error: mean of ``|predicted - observed|`` over all predictions.

        Source: Guo et al., On Calibration of Modern Neural Networks, 2017.
        """
        total = int(self.count.sum())
        if not total:
            return None
        return float((self.count * np.abs(self.predicted - self.observed)).sum() / total)


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Precision and recall at every threshold, from the strictest to the loosest."""

    threshold: Float64[np.ndarray, " points"]
    """Predictions with at least this confidence are kept."""
    precision: Float64[np.ndarray, " points"]
    """Share of the kept predictions that are right."""
    recall: Float64[np.ndarray, " points"]
    """Share of the reference that the kept predictions find."""

    @property
    def f1(self) -> Float64[np.ndarray, " points"]:
        """Harmonic mean of precision and recall; 0 where both are."""
        both = self.precision + self.recall
        twice = 2 * self.precision * self.recall
        return np.asarray(np.divide(twice, both, out=np.zeros_like(both), where=both > 0))

    def __len__(self) -> int:
        """Return the number of points."""
        return len(self.threshold)


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """A threshold and what to expect of it."""

    threshold: float
    """Keep what is at least this sure."""
    precision: float
    """Precision there."""
    recall: float
    """Recall there."""
    f1: float
    """F1 there."""


def reliability(
    confidence: Float64[np.ndarray, " n"],
    right: Float64[np.ndarray, " n"],
    *,
    weight: Float64[np.ndarray, " n"] | None = None,
    bins: int = 10,
) -> Reliability:
    """Return predicted and observed shares over ``bins`` equal steps of confidence.

    Args:
        confidence: In 0..1; exactly 1 belongs to the last bin.
        right: 1 where a prediction is right, 0 where it is not, or a share.
        weight: How often each row counts; once by default.
        bins: Number of bins.
    """
    weight = np.ones(len(confidence)) if weight is None else weight
    # Rounded, so that 0.57 of 100 bins is in bin 57, though 0.57 * 100 < 57 in floating point.
    place = np.clip(np.floor(np.round(confidence * bins, 9)), 0, bins - 1).astype(np.int64)
    count = np.bincount(place, weight, bins)
    at_least_one = np.maximum(count, 1)
    return Reliability(
        edges=np.linspace(0.0, 1.0, bins + 1),
        count=count.astype(np.int64),
        predicted=np.bincount(place, weight * confidence, bins) / at_least_one,
        observed=np.bincount(place, weight * right, bins) / at_least_one,
    )


def object_curve(
    confidence: Float64[np.ndarray, " n"], right: Bool[np.ndarray, " n"], n_reference: int
) -> Curve:
    """Return the curve over the confidence of objects.

    Dropping the least sure changes no match of the surer ones, so one matching
    gives every point. Empty without predictions or reference.
    """
    order = np.argsort(-confidence, kind="stable")
    last = np.flatnonzero(np.diff(confidence[order], append=-np.inf))
    kept = np.asarray(last + 1, np.float64)
    tp = np.cumsum(right[order])[last].astype(np.float64)
    return _curve(confidence[order][last].astype(np.float64), tp, kept, n_reference)


def level_curve(levels: Int64[np.ndarray, "2 levels"]) -> Curve:
    """Return the curve over quantised probabilities of pixels.

    Args:
        levels: Pixels at each level: false ones, then true ones.
    """
    top = levels.shape[1] - 1
    wrong, right = np.cumsum(levels[:, ::-1], axis=1).astype(np.float64)
    threshold = np.arange(top, -1, -1) / top
    some = levels[:, ::-1].sum(axis=0) > 0
    return _curve(threshold[some], right[some], (wrong + right)[some], int(levels[1].sum()))


def best_f1(curve: Curve) -> OperatingPoint | None:
    """Return the point of greatest F1, the strictest of equals; None on an empty curve."""
    return _point(curve, int(np.argmax(curve.f1))) if len(curve) else None


def at_precision(curve: Curve, wanted: float) -> OperatingPoint | None:
    """Return the point of greatest recall with precision ``wanted`` or better; None if none has."""
    good = np.flatnonzero(curve.precision >= wanted)
    if not len(good):
        return None
    return _point(curve, int(good[np.argmax(curve.recall[good])]))


def _curve(
    threshold: Float64[np.ndarray, " points"],
    tp: Float64[np.ndarray, " points"],
    kept: Float64[np.ndarray, " points"],
    n_reference: int,
) -> Curve:
    if not n_reference:
        nothing = np.empty(0)
        return Curve(threshold=nothing, precision=nothing, recall=nothing)
    return Curve(threshold=threshold, precision=tp / kept, recall=tp / n_reference)


def _point(curve: Curve, row: int) -> OperatingPoint:
    return OperatingPoint(
        threshold=float(curve.threshold[row]),
        precision=float(curve.precision[row]),
        recall=float(curve.recall[row]),
        f1=float(curve.f1[row]),
    )
