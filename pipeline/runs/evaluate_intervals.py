"""How far the headline figures of a scene may be trusted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from pipeline.core.scores.bootstrap import (
    FEWEST_BLOCKS,
    Interval,
    draws,
    interval,
    share,
    totals,
)
from pipeline.core.scores.coco import average_precision
from pipeline.core.scores.matching import ranked
from pipeline.runs.evaluate_objects import Matched
from pipeline.runs.evaluate_pixels import PixelCounts
from pipeline.runs.evaluate_scene import Compared

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """Headline figures in every draw of the bootstrap."""

    blocks: int
    """Blocks that hold anything."""
    values: dict[str, Float64[np.ndarray, " rounds"]]
    """Each figure, NaN in draws where it does not exist."""
    reason: str | None
    """Why there are none."""
    rows: Float64[np.ndarray, "blocks kinds"]
    """What each block holds: truths, found, predictions, right, their IoU; pixel tp, fp, fn."""

    def interval(self, name: str) -> Interval | None:
        """Return the 95 percent interval of a figure, None where there is none."""
        return interval(self.values[name]) if name in self.values else None


def draw(compared: Compared, matched: Matched, counts: PixelCounts) -> Draws:
    """Return headline figures over blocks of ground drawn again and again.

    Every block of the scene is drawn, empty ones too; the draws depend on nothing but
    the number of blocks, so two predictions of one scene meet the same ground.
    """
    rows = _block_rows(compared, matched, counts)
    found = draw_rows(rows)
    if found.reason is None and matched.confidence is not None:
        drawn = draws(len(rows), rounds=AP_ROUNDS)
        found.values["ap50"] = _drawn_ap(compared, matched, counts, drawn)
    return found


def draw_rows(rows: Float64[np.ndarray, "blocks kinds"]) -> Draws:
    """Return headline figures over blocks, of one scene or of several, drawn again and again."""
    busy = int((np.delete(rows, 4, axis=1).sum(axis=1) > 0).sum())
    if busy < FEWEST_BLOCKS:
        reason = f"only {busy} of {len(rows)} blocks hold anything; {FEWEST_BLOCKS} are needed"
        return Draws(blocks=busy, values={}, reason=reason, rows=rows)
    drawn = draws(len(rows), rounds=ROUNDS)
    return Draws(blocks=busy, values=_ratios(totals(rows, drawn)), reason=None, rows=rows)


def plain(rows: Float64[np.ndarray, "blocks kinds"]) -> dict[str, float | None]:
    """Return the figures of blocks counted once each; None where one does not exist."""
    values = _ratios(rows.sum(axis=0, keepdims=True))
    return {name: float(one[0]) if np.isfinite(one[0]) else None for name, one in values.items()}


def _ratios(sums: Float64[np.ndarray, "rounds kinds"]) -> dict[str, Float64[np.ndarray, " rounds"]]:
    truths, found, predictions, right, iou, tp, fp, fn = sums.T
    return {
        "precision": share(right, predictions),
        "recall": share(found, truths),
        "f1": share(2 * right, predictions + truths),
        "mean_iou": share(iou, right),
        "pixel_precision": share(tp, tp + fp),
        "pixel_recall": share(tp, tp + fn),
        "pixel_f1": share(2 * tp, 2 * tp + fp + fn),
        "pixel_iou": share(tp, tp + fp + fn),
    }


def _block_rows(
    compared: Compared, matched: Matched, counts: PixelCounts
) -> Float64[np.ndarray, "blocks kinds"]:
    """Return what each block holds: truths, found, predictions, right, their IoU; tp, fp, fn."""
    matching, many = matched.matching, len(counts.blocks)
    mine, truth = _places(compared, matched, counts)
    objects = [
        np.bincount(truth, matching.counts_truth, many),
        np.bincount(truth, matching.found, many),
        np.bincount(mine, matching.counts_prediction, many),
        np.bincount(mine, matching.right, many),
        np.bincount(mine, matching.iou * matching.right, many),
    ]
    table = counts.counts.astype(np.float64)
    pixels = [
        table[:, 1:, 1:].sum(axis=(1, 2)),
        table[:, 0, 1:].sum(axis=1),
        table[:, 1:, 0].sum(axis=1),
    ]
    return np.column_stack([*objects, *pixels])


def _places(
    compared: Compared, matched: Matched, counts: PixelCounts
) -> tuple[np.ndarray, np.ndarray]:
    """Return the block of each prediction and truth; a matched prediction goes with its truth."""
    mine = counts.blocks.of(compared.mine.centres)
    truth = counts.blocks.of(compared.truth.centres)
    hit = matched.matching.truth_of >= 0
    mine[hit] = truth[matched.matching.truth_of[hit]]
    return mine, truth


def _drawn_ap(
    compared: Compared,
    matched: Matched,
    counts: PixelCounts,
    drawn: Float64[np.ndarray, "rounds blocks"],
) -> Float64[np.ndarray, " rounds"]:
    mine, truth = _places(compared, matched, counts)
    order = ranked(matched.confidence, len(mine))
    order = order[matched.matching.counts_prediction[order]]
    right = matched.matching.right[order]
    per_block = np.bincount(truth, matched.matching.counts_truth, len(counts.blocks))
    values = [
        average_precision(right, float(per_block @ times), times[mine[order]]) for times in drawn
    ]
    return np.array([np.nan if value is None else value for value in values])
