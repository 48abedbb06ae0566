"""Figures as they stand in a report: a number, or None with the reason; never NaN."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pipeline.core.metrics import ratios
from pipeline.core.metrics.bootstrap import Interval
from pipeline.core.metrics.groups import GroupScores, group_of
from pipeline.core.metrics.matching import Matching
from pipeline.core.metrics.pixels import PixelScores

Table = dict[str, Any]
"""An object of the report."""
COUNTS = ("references", "detected", "predictions", "correct")
"""What is counted of a group of objects."""


def rounded(value: float | None) -> float | None:
    """Return a number with six significant decimals, None where it is not finite."""
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), 6)


def metric_row(
    value: float | None, interval: Interval | None = None, reason: str | None = None
) -> Table:
    """Return a figure with its interval, or the reason why there is none."""
    found = rounded(value)
    if found is None:
        return {"value": None, "low": None, "high": None, "reason": reason or "not defined"}
    low, high = (interval.low, interval.high) if interval else (None, None)
    return {"value": found, "low": rounded(low), "high": rounded(high), "reason": None}


def matching_row(matching: Matching) -> Table:
    """Return the counts and ratios of a matching; no ratio at all where there is no truth."""
    known = bool(matching.counts_reference.any())
    return {
        "tp": matching.tp,
        "fp": matching.fp,
        "fn": matching.fn,
        "precision": rounded(matching.precision) if known else None,
        "recall": rounded(matching.recall),
        "f1": rounded(matching.f1),
        "reason": ratios.why_undefined(tp=matching.tp, fp=matching.fp, fn=matching.fn),
    }


def group_row(name: str, scores: GroupScores) -> Table:
    """Return the counts and ratios of a group."""
    row = _rounded(asdict(scores))
    reasons = ["no reference objects"] * (not scores.references) + ["no predictions"] * (
        not scores.predictions
    )
    return {"name": name, **row, "reason": " and ".join(reasons) or None}


def summed_row(rows: Sequence[Mapping[str, int]]) -> Table:
    """Return the counts of a group in several scenes, and the ratios of their sums."""
    sums = {name: sum(row[name] for row in rows) for name in COUNTS}
    row = group_row("", group_of(**sums))
    row.pop("name")
    return row


def pixel_row(name: str, scores: PixelScores) -> Table:
    """Return the counts and ratios of a class of pixels; Dice is F1 by another name.

    Without reference there is no ratio at all: a precision of 0 would be meaningless.
    """
    row = _rounded(asdict(scores))
    if not scores.tp + scores.fn:
        row["precision"] = None
    return {"name": name, **row, "dice": row["f1"]}


def _rounded(row: Table) -> Table:
    return {key: rounded(one) if isinstance(one, float) else one for key, one in row.items()}


def rounded_each(values: Mapping[str, float | None]) -> Table:
    """Return several rounded_each."""
    return {name: rounded(value) for name, value in values.items()}
