"""Figures over several scenes, and the difference between two predictions of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from pipeline.core.scores.bootstrap import interval
from pipeline.core.scores.coco import average_precision
from pipeline.core.scores.matching import ranked
from pipeline.runs.evaluate_figures import Table, figure, number
from pipeline.runs.evaluate_intervals import FIGURES, draw_rows, plain
from pipeline.runs.evaluate_result import Evaluation


def pooled(evaluations: Sequence[Evaluation]) -> Table:
    """Return the headline figures of all scenes' objects, pixels and blocks together."""
    rows = _rows(evaluations)
    drawn, values = draw_rows(rows), plain(rows)
    table = {
        name: figure(values[name], drawn.interval(name), "nothing to count") for name in FIGURES
    }
    table["ap50"] = figure(_pooled_ap(evaluations), None, "no truth, or no confidence")
    return {
        "scenes": len(evaluations),
        "truths": int(rows[:, 0].sum()),
        "predictions": int(rows[:, 2].sum()),
        "blocks": drawn.blocks,
        "reason": drawn.reason,
        "figures": table,
        "salt": _mean_salt(evaluations),
    }


def comparison(first: Sequence[Evaluation], second: Sequence[Evaluation]) -> Table:
    """Return second minus first, with intervals, over the same scenes in the same order.

    Both are drawn on the same blocks in every round, so that what is hard in the
    scene is hard for both and cancels.
    """
    rows = _rows(first), _rows(second)
    if len(rows[0]) != len(rows[1]):
        return {"reason": "they are not on the same pixels", "figures": {}}
    drawn = draw_rows(rows[0]), draw_rows(rows[1])
    values = plain(rows[0]), plain(rows[1])
    reason = drawn[0].reason or drawn[1].reason
    return {
        "reason": reason,
        "blocks": min(drawn[0].blocks, drawn[1].blocks),
        "figures": {
            name: _difference(
                (values[0][name], values[1][name]),
                None if reason else drawn[1].values[name] - drawn[0].values[name],
            )
            for name in FIGURES
        },
    }


def _difference(
    values: tuple[float | None, float | None], drawn: Float64[np.ndarray, " rounds"] | None
) -> Table:
    first, second = values
    if first is None or second is None:
        return {
            "first": number(first),
            "second": number(second),
            "difference": figure(None, None, "one of them does not exist"),
            "share_better": None,
            "verdict": "undecided",
        }
    limits = None if drawn is None else interval(drawn)
    verdict = "undecided"
    if limits is not None and limits.low > 0:
        verdict = "second is better"
    elif limits is not None and limits.high < 0:
        verdict = "first is better"
    known = None if drawn is None else drawn[np.isfinite(drawn)]
    return {
        "first": number(first),
        "second": number(second),
        "difference": figure(second - first, limits),
        "share_better": None if known is None or not len(known) else number((known > 0).mean()),
        "verdict": verdict,
    }


def _rows(evaluations: Sequence[Evaluation]) -> Float64[np.ndarray, "blocks kinds"]:
    """Return what the blocks of all scenes hold."""
    return np.concatenate([one.draws.rows for one in evaluations if one.draws is not None])


def _pooled_ap(evaluations: Sequence[Evaluation]) -> float | None:
    if any(one.matched.confidence is None for one in evaluations):
        return None
    counted = [one.matched.matching.counts_prediction for one in evaluations]
    pairs = list(zip(evaluations, counted, strict=True))
    confidence = np.concatenate([np.asarray(one.matched.confidence)[by] for one, by in pairs])
    right = np.concatenate([one.matched.matching.right[by] for one, by in pairs])
    truths = sum(int(one.matched.matching.counts_truth.sum()) for one in evaluations)
    order = ranked(confidence, len(confidence))
    return average_precision(right[order], truths, np.ones(len(right)))


def _mean_salt(evaluations: Sequence[Evaluation]) -> float | None:
    values = [one.report["salt"]["value"] for one in evaluations]
    known = [value for value in values if value is not None]
    return number(sum(known) / len(known)) if known else None
