"""Confidence intervals of a scene's headline metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int8, Int64

from pipeline.core.metrics.bootstrap import (
    FEWEST_BLOCKS,
    Interval,
    percentile_interval,
    resample_blocks,
    share,
    totals,
)
from pipeline.core.metrics.coco import THRESHOLDS, average_precision
from pipeline.core.metrics.matching import match_pairs, ranked
from pipeline.evaluation.alignment import Compared
from pipeline.evaluation.object_metrics import MatchedObjects
from pipeline.evaluation.pixel_metrics import PixelCounts

ROUNDS = 1000
"""Draws for figures that are ratios of counts."""
AP_ROUNDS = 200
"""Draws for average precision, which is computed anew in each."""

FIGURES = (
    "precision",
    "recall",
    "f1",
    "mean_iou",
    "pixel_precision",
    "pixel_recall",
    "pixel_f1",
    "pixel_iou",
)
"""Figures that are ratios of what blocks hold."""
RANKED = ("ap50", "ap")
"""Figures that ask for an order of the predictions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """What average precision is computed of, block by block."""

    confidence: Float64[np.ndarray, " predictions"]
    """Confidence of each prediction, in the order of matching."""
    block: Int64[np.ndarray, " predictions"]
    """Where each prediction, or the truth that it found, lies."""
    state: Int8[np.ndarray, "thresholds predictions"]
    """At each of COCO's IoU thresholds: 1 right, 0 wrong, -1 does not count."""
    references: Float64[np.ndarray, " blocks"]
    """Truths that count in each block."""

    @classmethod
    def joined(cls, parts: Sequence[Ranks]) -> Ranks:
        """Return several scenes' blocks, one scene's after the other's."""
        first = np.cumsum([0, *(len(one.references) for one in parts)])
        return cls(
            confidence=np.concatenate([one.confidence for one in parts]),
            block=np.concatenate([one.block + at for one, at in zip(parts, first, strict=False)]),
            state=np.concatenate([one.state for one in parts], axis=1),
            references=np.concatenate([one.references for one in parts]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BootstrapSamples:
    """Headline metrics in every bootstrap sample."""

    blocks: int
    """Blocks that hold anything."""
    values: dict[str, Float64[np.ndarray, " rounds"]]
    """Each figure, NaN in draws where it does not exist."""
    reason: str | None
    """Why there are none."""
    rows: Float64[np.ndarray, "blocks kinds"]
    """Of each block: references, detected, predictions, correct, their IoU; pixel tp, fp, fn."""
    ranks: Ranks | None
    """The order of the predictions; None where they carry no confidence."""

    def interval(self, name: str) -> Interval | None:
        """Return the 95 percent interval of a figure, None where there is none."""
        return percentile_interval(self.values[name]) if name in self.values else None


def bootstrap(compared: Compared, matched: MatchedObjects, counts: PixelCounts) -> BootstrapSamples:
    """Compute headline metrics over resampled blocks of ground.

    Every block of the scene is drawn, empty ones too; the draws depend on nothing but
    the number of blocks, so two predictions of one scene meet the same ground.
    """
    rows = _block_rows(compared, matched, counts)
    return bootstrap_rows(rows, _ranks(compared, matched, counts))


def bootstrap_rows(
    rows: Float64[np.ndarray, "blocks kinds"], ranks: Ranks | None
) -> BootstrapSamples:
    """Compute headline metrics over resampled blocks of one scene or of several."""
    busy = int((np.delete(rows, 4, axis=1).sum(axis=1) > 0).sum())
    if busy < FEWEST_BLOCKS:
        reason = f"only {busy} of {len(rows)} blocks hold anything; {FEWEST_BLOCKS} are needed"
        return BootstrapSamples(blocks=busy, values={}, reason=reason, rows=rows, ranks=ranks)
    values = _ratios(totals(rows, resample_blocks(len(rows), rounds=ROUNDS)))
    if ranks is not None:
        values |= _drawn_ap(ranks, resample_blocks(len(rows), rounds=AP_ROUNDS))
    return BootstrapSamples(blocks=busy, values=values, reason=None, rows=rows, ranks=ranks)


def point_estimates(
    rows: Float64[np.ndarray, "blocks kinds"], ranks: Ranks | None
) -> dict[str, float | None]:
    """Compute the metrics of all blocks; None where one is undefined."""
    values = _ratios(rows.sum(axis=0, keepdims=True))
    if ranks is not None:
        values |= _drawn_ap(ranks, np.ones((1, len(rows))))
    return {name: float(one[0]) if np.isfinite(one[0]) else None for name, one in values.items()}


def _ratios(sums: Float64[np.ndarray, "rounds kinds"]) -> dict[str, Float64[np.ndarray, " rounds"]]:
    references, found, predictions, right, iou, tp, fp, fn = sums.T
    return {
        "precision": share(right, predictions),
        "recall": share(found, references),
        "f1": share(2 * right, predictions + references),
        "mean_iou": share(iou, right),
        "pixel_precision": share(tp, tp + fp),
        "pixel_recall": share(tp, tp + fn),
        "pixel_f1": share(2 * tp, 2 * tp + fp + fn),
        "pixel_iou": share(tp, tp + fp + fn),
    }


def _block_rows(
    compared: Compared, matched: MatchedObjects, counts: PixelCounts
) -> Float64[np.ndarray, "blocks kinds"]:
    """Count references, detected, predictions, correct, their IoU, tp, fp, fn of each block."""
    matching, many = matched.matching, len(counts.blocks)
    predicted, reference = _places(compared, matched, counts)
    objects = [
        np.bincount(reference, matching.counts_reference, many),
        np.bincount(reference, matching.found, many),
        np.bincount(predicted, matching.counts_prediction, many),
        np.bincount(predicted, matching.right, many),
        np.bincount(predicted, matching.iou * matching.right, many),
    ]
    table = counts.counts.astype(np.float64)
    pixels = [
        table[:, 1:, 1:].sum(axis=(1, 2)),
        table[:, 0, 1:].sum(axis=1),
        table[:, 1:, 0].sum(axis=1),
    ]
    return np.column_stack([*objects, *pixels])


def _places(
    compared: Compared, matched: MatchedObjects, counts: PixelCounts
) -> tuple[np.ndarray, np.ndarray]:
    """Return the block of each prediction and truth; a matched prediction goes with its truth."""
    predicted = counts.blocks.of(compared.predicted.centres)
    reference = counts.blocks.of(compared.reference.centres)
    hit = matched.matching.reference_of >= 0
    predicted[hit] = reference[matched.matching.reference_of[hit]]
    return predicted, reference


def _ranks(compared: Compared, matched: MatchedObjects, counts: PixelCounts) -> Ranks | None:
    if matched.confidence is None:
        return None
    state = np.zeros((len(THRESHOLDS), len(compared.predicted)), np.int8)
    for row, threshold in enumerate(THRESHOLDS):
        found = match_pairs(
            matched.pairs, confidence=matched.confidence, iou=threshold, ignored=matched.ignored
        )
        state[row] = np.where(found.counts_prediction, found.reference_of >= 0, -1)
    predicted, reference = _places(compared, matched, counts)
    return Ranks(
        confidence=matched.confidence,
        block=predicted,
        state=state,
        # Of no truth at all the counts would be whole numbers.
        references=np.bincount(
            reference, matched.matching.counts_reference, len(counts.blocks)
        ).astype(float),
    )


def _drawn_ap(
    ranks: Ranks, drawn: Float64[np.ndarray, "rounds blocks"]
) -> dict[str, Float64[np.ndarray, " rounds"]]:
    """Return AP at IoU 0.5, and its mean over all thresholds, round by round."""
    order = ranked(ranks.confidence, len(ranks.confidence))
    block, references = ranks.block[order], drawn @ ranks.references
    values = np.full((len(ranks.state), len(drawn)), np.nan)
    for row, state in enumerate(ranks.state[:, order]):
        right, where = state[state >= 0] > 0, block[state >= 0]
        for turn in np.flatnonzero(references > 0):
            found = average_precision(right, float(references[turn]), drawn[turn][where])
            values[row, turn] = np.nan if found is None else found
    return {"ap50": values[0], "ap": values.mean(axis=0)}
