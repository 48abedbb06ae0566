"""One-to-one matching of predicted and true objects.

The rule is that of SpaceNet and of COCO: predictions take turns by descending
confidence, and each takes the reference it overlaps best among those still free,
provided the IoU reaches the threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64, Shaped

from pipeline.core.compiled import compiled
from pipeline.core.metrics import ratios
from pipeline.core.metrics.overlaps import Overlaps, overlaps

SWEEP = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""The IoU thresholds of the sweep: 0.05, 0.10, ... 0.95."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """A one-to-one matching of predictions and references, and the objects that are ignored."""

    reference_of: Int64[np.ndarray, " predictions"]
    """The reference that each prediction found; -1 where it found none."""
    prediction_of: Int64[np.ndarray, " references"]
    """The prediction that found each reference; -1 for a miss."""
    iou: Float64[np.ndarray, " predictions"]
    """IoU of each prediction with the reference it found; 0 where it found none."""
    counts_prediction: Bool[np.ndarray, " predictions"]
    """False where a prediction is neither right nor wrong."""
    counts_reference: Bool[np.ndarray, " references"]
    """False where a reference need not be found."""

    @property
    def right(self) -> Bool[np.ndarray, " predictions"]:
        """True positives, among the predictions."""
        return np.asarray((self.reference_of >= 0) & self.counts_prediction)

    @property
    def wrong(self) -> Bool[np.ndarray, " predictions"]:
        """False positives, among the predictions."""
        return np.asarray((self.reference_of < 0) & self.counts_prediction)

    @property
    def found(self) -> Bool[np.ndarray, " references"]:
        """True positives, among the references."""
        return np.asarray((self.prediction_of >= 0) & self.counts_reference)

    @property
    def missed(self) -> Bool[np.ndarray, " references"]:
        """False negatives, among the references."""
        return np.asarray((self.prediction_of < 0) & self.counts_reference)

    @property
    def tp(self) -> int:
        """Number of true positives."""
        return int(self.right.sum())

    @property
    def fp(self) -> int:
        """Number of false positives."""
        return int(self.wrong.sum())

    @property
    def fn(self) -> int:
        """Number of misses."""
        return int(self.missed.sum())

    @property
    def precision(self) -> float | None:
        """Share of the predictions that are right; None without predictions."""
        return ratios.precision(tp=self.tp, fp=self.fp)

    @property
    def recall(self) -> float | None:
        """Share of the references that were found; None without reference."""
        return ratios.recall(tp=self.tp, fn=self.fn)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; None where one of them is."""
        return ratios.f1(tp=self.tp, fp=self.fp, fn=self.fn)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """Objects that count neither for nor against, such as those outside the labelled area.

    An ignored reference may be matched once no other fits; its prediction is then
    ignored too. An ignored prediction is ignored only while it finds no reference.
    """

    predicted: Bool[np.ndarray, " predictions"]
    """True where an unmatched prediction is no false positive."""
    reference: Bool[np.ndarray, " references"]
    """True where an unmatched reference is no miss."""


def match_objects(
    predicted: Shaped[np.ndarray, " predictions"],
    reference: Shaped[np.ndarray, " references"],
    *,
    confidence: Float64[np.ndarray, " predictions"] | None = None,
    iou: float = 0.5,
) -> Matching:
    """Match predicted and true polygons one to one.

    Args:
        predicted: Valid shapely polygons in a metric or pixel plane.
        reference: Valid shapely polygons in the same plane.
        confidence: Order of matching, highest first; without it, the order given.
        iou: Threshold that a match must reach, in (0, 1].
    """
    return match_pairs(overlaps(predicted, reference), confidence=confidence, iou=iou)


def match_pairs(
    pairs: Overlaps,
    *,
    confidence: Float64[np.ndarray, " predictions"] | None = None,
    iou: float = 0.5,
    ignored: Ignored | None = None,
) -> Matching:
    """Match one to one among pairs whose overlap is known already."""
    n_predicted, n_reference = len(pairs.predicted_area), len(pairs.reference_area)
    if ignored is None:
        ignored = Ignored(
            predicted=np.zeros(n_predicted, bool), reference=np.zeros(n_reference, bool)
        )
    each = pairs.iou
    best = _match(
        ranked(confidence, n_predicted),
        (pairs.starts(), pairs.reference, each),
        ignored.reference,
        min(iou, 1 - 1e-10),  # so that a threshold of 1 survives rounding, as in COCO's tools
    )
    hit = best >= 0
    reference_of = np.full(n_predicted, -1, np.int64)
    reference_of[hit] = pairs.reference[best[hit]]
    prediction_of = np.full(n_reference, -1, np.int64)
    prediction_of[reference_of[hit]] = np.flatnonzero(hit)
    found_iou = np.zeros(n_predicted)
    found_iou[hit] = each[best[hit]]
    aside = np.where(
        hit, ignored.reference[reference_of] if n_reference else False, ignored.predicted
    )
    return Matching(
        reference_of=reference_of,
        prediction_of=prediction_of,
        iou=found_iou,
        counts_prediction=~aside.astype(bool),
        counts_reference=~ignored.reference,
    )


def ranked(
    confidence: Float64[np.ndarray, " predictions"] | None, count: int
) -> Int64[np.ndarray, " predictions"]:
    """Return rows by descending confidence, equals in the order given."""
    if confidence is None:
        return np.arange(count, dtype=np.int64)
    return np.argsort(-confidence, kind="stable").astype(np.int64)


@compiled
def _match(
    order: Int64[np.ndarray, " predictions"],
    pairs: tuple[Int64[np.ndarray, " ends"], Int64[np.ndarray, " p"], Float64[np.ndarray, " p"]],
    ignored: Bool[np.ndarray, " references"],
    threshold: float,
) -> Int64[np.ndarray, " predictions"]:
    """Return the pair that each prediction takes, or -1.

    Of equally good references the last is taken, as pycocotools does.
    """
    starts, reference, iou = pairs
    taken = np.zeros(ignored.size, np.bool_)
    best = np.full(order.size, -1, np.int64)
    for row in order:
        for second_choice in (False, True):
            reach = threshold
            for pair in range(starts[row], starts[row + 1]):
                other = reference[pair]
                if taken[other] or ignored[other] != second_choice or iou[pair] < reach:
                    continue
                reach = iou[pair]
                best[row] = pair
            if best[row] >= 0:
                taken[reference[best[row]]] = True
                break
    return best
