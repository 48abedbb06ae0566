"""Runs of pixels painted into windows, and counted there."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int64, UInt8

from pipeline.core.compiled import compiled
from pipeline.core.scores.spans import Runs
from pipeline.core.window import Window


def paint(
    runs: Runs, values: UInt8[np.ndarray, " count"], window: Window
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


def inside(
    runs: Runs, mask: Bool[np.ndarray, "rows cols"], window: Window
) -> Int64[np.ndarray, " count"]:
    """Return how many pixels of each polygon lie in ``window`` where ``mask`` is True.

    Args:
        runs: Ordered by row.
        mask: True or False for each pixel of the window.
        window: Where the mask lies.
    """
    here = runs.rows(window)
    sums = np.zeros((window.height, window.width + 1), np.int32)
    np.cumsum(mask, axis=1, out=sums[:, 1:])
    row = here.row - window.row
    first = np.clip(here.first - window.col, 0, window.width)
    stop = np.clip(here.stop - window.col, 0, window.width)
    found = (sums[row, stop] - sums[row, first]).astype(np.float64)
    return np.bincount(here.owner, found, runs.count).astype(np.int64)


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
