"""Markers of buildings from the probability of being inside one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Flags = npt.NDArray[np.bool_]


def markers_of(interior: npt.NDArray[np.uint8], *, threshold: int, opening: int = 1) -> Flags:
    """Compute markers: pixels of ``threshold <= interior < 255``, opened.

    Args:
        interior: Quantised probability of lying inside a building, off its walls.
        threshold: Least quantised value of a marker.
        opening: Markers are unions of squares of so many pixels, what is thinner goes;
            1 leaves them as they are. A pixel's marker depends on pixels at most
            ``opening - 1`` away, in rows and in columns.
    """
    sure = (interior >= threshold) & (interior != np.uint8(255))
    return open_squares(sure, size=opening)


def open_squares(mask: Flags, *, size: int) -> Flags:
    """Return the union of all squares of ``size`` pixels that lie in the mask.

    Outside the array nothing lies in the mask, so that what is cut by its edge is less
    there; give ``size - 1`` pixels of context, except at the scene's edge.
    """
    if size <= 1:
        return mask
    square = np.ones((size, size), bool)
    return np.asarray(ndimage.binary_opening(mask, square), bool)


def close_squares(mask: Flags, *, size: int) -> Flags:
    """Return what no square of ``size`` pixels outside the mask covers.

    Past the array lies no mask; gaps at its edge are closed only as far as squares
    beyond it cannot reach. Give ``size - 1`` pixels of context, except at the scene's edge.
    """
    if size <= 1:
        return mask
    background = np.pad(~mask, size - 1, constant_values=True)
    inner = slice(size - 1, -(size - 1))
    return ~open_squares(background, size=size)[inner, inner]
