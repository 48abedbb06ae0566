"""Runs of pixels painted into windows, and counted there."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int64, UInt8

from pipeline.core.compiled import compiled
from pipeline.core.metrics.run_length import RunLengths
from pipeline.core.window import Window


def rasterise_values(
    runs: RunLengths, values: UInt8[np.ndarray, " count"], window: Window
) -> UInt8[np.ndarray, "rows cols"]:
    """Return a window of the picture in which each polygon has its value, 0 elsewhere.

    Args:
        runs: Ordered by row; where polygons overlap, the later run wins.
        values: Value of each polygon.
        window: The window wanted.
    """
    picture = np.zeros((window.height, window.width), np.uint8)
    here = runs.rows(window)
    _paint(
        picture,
        (here.row - window.row, here.first - window.col, here.stop - window.col),
        values[here.owner],
    )
    return picture


def count_inside(
    runs: RunLengths, mask: Bool[np.ndarray, "rows cols"], window: Window
) -> Int64[np.ndarray, " count"]:
    """Return how many pixels of each polygon lie in ``window`` where ``mask`` is True.

    Args:
        runs: Ordered by row.
        mask: True or False for each pixel of the window.
        window: Where the mask lies.
    """
    counts = np.zeros(runs.count, np.int64)
    here = runs.rows(window)
    _count(
        mask,
        (here.row - window.row, here.first - window.col, here.stop - window.col),
        (here.owner, counts),
    )
    return counts


@compiled
def _paint(
    picture: UInt8[np.ndarray, "rows cols"],
    runs: tuple[Int64[np.ndarray, " r"], Int64[np.ndarray, " r"], Int64[np.ndarray, " r"]],
    values: UInt8[np.ndarray, " r"],
) -> None:
    """Fill runs, given relative to the picture, with their values."""
    rows, firsts, stops = runs
    for run in range(rows.size):
        picture[rows[run], max(0, firsts[run]) : max(0, min(stops[run], picture.shape[1]))] = (
            values[run]
        )


@compiled
def _count(
    mask: Bool[np.ndarray, "rows cols"],
    runs: tuple[Int64[np.ndarray, " r"], Int64[np.ndarray, " r"], Int64[np.ndarray, " r"]],
    owned: tuple[Int64[np.ndarray, " r"], Int64[np.ndarray, " count"]],
) -> None:
    """Add to each owner's count the True pixels under its runs, given relative to the mask."""
    rows, firsts, stops = runs
    owner, counts = owned
    for run in range(rows.size):
        found = 0
        for col in range(max(0, firsts[run]), min(stops[run], mask.shape[1])):
            found += mask[rows[run], col]
        counts[owner[run]] += found
