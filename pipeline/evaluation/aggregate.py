"""Figures over several scenes, and the difference between two predictions of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from pipeline.core.metrics.bootstrap import percentile_interval
from pipeline.evaluation.confidence_intervals import (
    FIGURES,
    RANKED,
    Ranks,
    bootstrap_rows,
    point_estimates,
)
from pipeline.evaluation.result import Evaluation
from pipeline.evaluation.rows import COUNTS, Table, metric_row, rounded, summed_row
from pipeline.evaluation.thresholds import join_samples, threshold_sample, threshold_tables


def aggregate_metrics(evaluations: Sequence[Evaluation], *, wanted: float = 0.9) -> Table:
    """Return the figures of all scenes' objects, pixels and blocks together.

    Args:
        evaluations: Of different scenes.
        wanted: Precision for which an operating point is sought.
    """
    rows, ranks = _rows(evaluations), _ranks(evaluations)
    drawn, values = bootstrap_rows(rows, ranks), point_estimates(rows, ranks)
    reasons = dict.fromkeys(RANKED, "no reference objects, or no confidence")
    known = join_samples([threshold_sample(one.matched, one.counts) for one in evaluations])
    return {
        "scenes": len(evaluations),
        "references": int(rows[:, 0].sum()),
        "predictions": int(rows[:, 2].sum()),
        "blocks": drawn.blocks,
        "reason": drawn.reason,
        "figures": {
            name: metric_row(
                values.get(name), drawn.interval(name), reasons.get(name, "nothing to count")
            )
            for name in (*FIGURES, *RANKED)
        },
        "by_size": _by_size(evaluations),
        "salt": _mean_salt(evaluations),
        **threshold_tables(known, wanted=wanted),
    }


def compare_systems(first: Sequence[Evaluation], second: Sequence[Evaluation]) -> Table:
    """Return second minus first, with intervals, over the same scenes in the same order.

    Both are drawn on the same blocks in every round, so that what is hard in the
    scene is hard for both and cancels.
    """
    rows, ranks = (_rows(first), _rows(second)), (_ranks(first), _ranks(second))
    if len(rows[0]) != len(rows[1]):
        return {"reason": "they are not on the same pixels", "figures": {}}
    drawn = bootstrap_rows(rows[0], ranks[0]), bootstrap_rows(rows[1], ranks[1])
    values = point_estimates(rows[0], ranks[0]), point_estimates(rows[1], ranks[1])
    reason = drawn[0].reason or drawn[1].reason
    return {
        "reason": reason,
        "note": _unlike(first[0], second[0]),
        "blocks": min(drawn[0].blocks, drawn[1].blocks),
        "figures": {
            name: _difference(
                (values[0][name], values[1][name]),
                None if reason else drawn[1].values[name] - drawn[0].values[name],
            )
            for name in (*FIGURES, *RANKED)
            if name in values[0] and name in values[1]
        },
    }


def _unlike(first: Evaluation, second: Evaluation) -> str | None:
    """Return a note where pixels come from a mask in one scene and from polygons in another."""
    ones, others = (
        "mask" if one.compared.prediction.mask and len(one.compared.classes) == 1 else "polygons"
        for one in (first, second)
    )
    if ones == others:
        return None
    return f"Pixel figures are of the {ones} in the first, of the {others} in the second"


def _difference(
    values: tuple[float | None, float | None], drawn: Float64[np.ndarray, " rounds"] | None
) -> Table:
    first, second = values
    if first is None or second is None:
        return {
            "first": rounded(first),
            "second": rounded(second),
            "difference": metric_row(None, None, "one of them does not exist"),
            "share_better": None,
            "verdict": "undecided",
        }
    limits = None if drawn is None else percentile_interval(drawn)
    verdict = "undecided"
    if limits is not None and limits.low > 0:
        verdict = "second is better"
    elif limits is not None and limits.high < 0:
        verdict = "first is better"
    known = None if drawn is None else drawn[np.isfinite(drawn)]
    return {
        "first": rounded(first),
        "second": rounded(second),
        "difference": metric_row(second - first, limits),
        "share_better": None if known is None or not len(known) else rounded((known > 0).mean()),
        "verdict": verdict,
    }


def _rows(evaluations: Sequence[Evaluation]) -> Float64[np.ndarray, "blocks kinds"]:
    """Return what the blocks of all scenes hold."""
    return np.concatenate([one.draws.rows for one in evaluations if one.draws is not None])


def _ranks(evaluations: Sequence[Evaluation]) -> Ranks | None:
    """Return the order of all scenes' predictions, None where one scene has none."""
    found = [one.draws.ranks for one in evaluations if one.draws and one.draws.ranks]
    return Ranks.joined(found) if found and len(found) == len(evaluations) else None


def _by_size(evaluations: Sequence[Evaluation]) -> list[Table]:
    """Return the size classes of all scenes; none where they are not in the same unit."""
    tables = [one.report["objects"]["by_size"] for one in evaluations]
    if len({tuple(row["name"] for row in table) for table in tables}) != 1:
        return []
    return [
        {
            **{key: rows[0][key] for key in ("name", "from", "to", "unit")},
            **summed_row([{key: row[key] for key in COUNTS} for row in rows]),
        }
        for rows in zip(*tables, strict=True)
    ]


def _mean_salt(evaluations: Sequence[Evaluation]) -> float | None:
    values = [one.report["salt"]["value"] for one in evaluations]
    known = [value for value in values if value is not None]
    return rounded(sum(known) / len(known)) if known else None
