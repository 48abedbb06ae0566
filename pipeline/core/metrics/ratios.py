"""Ratios of counts that are honest about nothing: undefined is None, never 1 or NaN."""

from __future__ import annotations


def ratio(part: int | float, whole: int | float) -> float | None:
    """Return ``part / whole``, or None where there is nothing to divide by."""
    return float(part) / float(whole) if whole > 0 else None


def precision(*, tp: int | float, fp: int | float) -> float | None:
    """Return ``tp / (tp + fp)``; None without predictions."""
    return ratio(tp, tp + fp)


def recall(*, tp: int | float, fn: int | float) -> float | None:
    """Return ``tp / (tp + fn)``; None without reference."""
    return ratio(tp, tp + fn)


def f1(*, tp: int | float, fp: int | float, fn: int | float) -> float | None:
    """Return ``2 tp / (2 tp + fp + fn)``; None unless both precision and recall exist.

    The same number is called Dice where pixels are counted.
    """
    if tp + fp <= 0 or tp + fn <= 0:
        return None
    return ratio(2 * tp, 2 * tp + fp + fn)


def iou(*, tp: int | float, fp: int | float, fn: int | float) -> float | None:
    """Return ``tp / (tp + fp + fn)``; None unless both precision and recall exist."""
    if tp + fp <= 0 or tp + fn <= 0:
        return None
    return ratio(tp, tp + fp + fn)


def why_undefined(*, tp: int | float, fp: int | float, fn: int | float) -> str | None:
    """Return why some ratio of these counts does not exist, or None where all do."""
    if tp + fn <= 0 and tp + fp <= 0:
        return "neither reference objects nor predictions"
    if tp + fn <= 0:
        return "no reference objects"
    if tp + fp <= 0:
        return "no predictions"
    return None
