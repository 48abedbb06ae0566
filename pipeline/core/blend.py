"""Blending overlapping tiles, for networks whose answer depends on the whole tile.

Exact tiles need none of this: their cores are laid side by side.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float64, UInt8

from pipeline.core.quantise import NODATA
from pipeline.core.window import Window


def axis_weights(
    length: int, *, before: int, after: int, halo: int
) -> Float64[np.ndarray, " length"]:
    """Weigh one axis of a tile so that it and its neighbours add up to one.

    Args:
        length: Pixels of the axis, halos included.
        before: Pixels of halo before the core.
        after: Pixels after the core's end.
        halo: Half the width of the ramp, which is centred on the core's ends.

    Returns:
        Weights in (0, 1]: rising linearly over the ``2 * halo`` pixels around the
        core's start, falling likewise around its end, one in between.
    """
    place = np.arange(length) + 0.5
    if halo == 0:
        return np.ones(length)
    rising = (place - before + halo) / (2 * halo)
    falling = (length - after - place + halo) / (2 * halo)
    return np.clip(np.minimum(rising, falling), 1e-6, 1.0)


def taper(tile: Window, core: Window, *, halo: int) -> Float64[np.ndarray, "rows cols"]:
    """Weigh a tile's pixels, as the product of a `axis_weights` along rows and along columns."""
    rows = axis_weights(
        tile.height, before=core.row - tile.row, after=tile.bottom - core.bottom, halo=halo
    )
    cols = axis_weights(
        tile.width, before=core.col - tile.col, after=tile.right - core.right, halo=halo
    )
    weights: Float64[np.ndarray, "rows cols"] = rows[:, None] * cols[None, :]
    return weights


def blend(
    core: Window,
    tiles: Iterable[tuple[Window, UInt8[np.ndarray, "classes _ _"], Float64[np.ndarray, "_ _"]]],
) -> tuple[UInt8[np.ndarray, "classes rows cols"], UInt8[np.ndarray, "rows cols"]]:
    """Return the weighted mean of all tiles over a core, and how far they disagree.

    Args:
        core: The window wanted.
        tiles: Each tile's window, quantised probabilities and weights; the order
            decides the last bit, so it must be fixed.

    Returns:
        Quantised probabilities, 255 where there is no data; and the largest minus the
        smallest quantised value that the tiles give for a pixel, over all classes.
    """
    total: Float64[np.ndarray, "classes rows cols"] | None = None
    for window, steps, weights in tiles:
        if total is None:
            shape = (len(steps), core.height, core.width)
            total, norm = np.zeros(shape), np.zeros(shape[1:])
            least = np.full(shape, NODATA, np.uint8)
            most = np.zeros(shape, np.uint8)
        top, left = max(core.row, window.row), max(core.col, window.col)
        bottom, right = min(core.bottom, window.bottom), min(core.right, window.right)
        if top >= bottom or left >= right:
            continue
        shared = Window(row=top, col=left, height=bottom - top, width=right - left)
        rows, cols = shared.within(window)
        values, weight = steps[:, rows, cols], weights[rows, cols]
        weight = np.where(values[0] == NODATA, 0.0, weight)
        rows, cols = shared.within(core)
        total[:, rows, cols] += weight * values
        norm[rows, cols] += weight
        valid = values != NODATA
        np.minimum(least[:, rows, cols], values, out=least[:, rows, cols], where=valid)
        np.maximum(most[:, rows, cols], values, out=most[:, rows, cols], where=valid)
    if total is None:
        raise ValueError(f"no tile covers {core}")
    empty = norm == 0
    mean = np.rint(total / np.where(empty, 1.0, norm)).astype(np.uint8)
    mean[:, empty] = NODATA
    spread = np.where(empty, 0, most - np.minimum(least, most)).max(axis=0)
    return mean, spread.astype(np.uint8)
