"""Where a scene has no data: decided pixel by pixel, so the same whatever window is read.

A pixel is nodata where all bands that are read hold their nodata value, wherever it
stands; with a value that no imagery holds, such as -9999 or NaN, where one of them does.

With nodata 0 a black roof is full of it, and is left out as well. Which pixels may be
such is estimated for a warning: those that do not lie in open nodata (`open_nodata`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Shaped
from scipy import ndimage

OPEN = 64
"""Edge of the smallest square of nodata that is missing ground, not a dark roof: 19 m at 0.3 m."""
REACH = 32
"""Steps that missing ground reaches into creeks narrower than the square."""
LEAST_SENTINEL = 32_767
"""From here on a positive value of a signed type or of fractions is none that imagery holds."""
MARGIN = OPEN - 1 + REACH
"""Pixels around a window that `open_nodata` depends on."""


def is_sentinel(nodata: float, dtype: str) -> bool:
    """Return whether no image would hold this value by itself: -9999, -3.4e38, NaN, ..."""
    return math.isnan(nodata) or (
        np.dtype(dtype).kind != "u" and (nodata < 0 or nodata >= LEAST_SENTINEL)
    )


def equals(
    pixels: Shaped[np.ndarray, "bands rows cols"], nodata: float
) -> Bool[np.ndarray, "bands rows cols"]:
    """Return where pixels equal a nodata value, as their own dtype can hold it."""
    if math.isnan(nodata):
        return np.asarray(np.isnan(pixels))
    if pixels.dtype.kind == "f":
        # "-3.4e38" as text is not always the float32 that the pixels hold.
        with np.errstate(over="ignore"):
            value = pixels.dtype.type(nodata)
        if np.isinf(value):
            value = np.copysign(np.finfo(pixels.dtype).max, value)
        near = np.isclose(pixels, value, rtol=4 * np.finfo(np.float32).eps, atol=0)
        return np.asarray(near)
    return np.asarray(pixels == nodata)


def missing(
    pixels: Shaped[np.ndarray, "bands rows cols"], nodata: Sequence[float]
) -> Bool[np.ndarray, "rows cols"]:
    """Return where pixels are nodata: all bands hold their value, or one holds a sentinel.

    Args:
        pixels: The bands that are read.
        nodata: The value of each of these bands.
    """
    every = np.ones(pixels.shape[1:], bool)
    some = np.zeros(pixels.shape[1:], bool)
    for band, value in zip(pixels, nodata, strict=True):
        equal = equals(band[None], value)[0]
        every &= equal
        if is_sentinel(value, str(pixels.dtype)):
            some |= equal
    return every | some


def same(one: float, other: float | None) -> bool:
    """Return whether two nodata values are equal; NaN equals NaN."""
    return other is not None and (one == other or (math.isnan(one) and math.isnan(other)))


def is_number(text: str) -> bool:
    """Return whether a nodata tag starts as a number does; C libraries write NaN in many ways."""
    return re.match(r"\s*[+-]?(\d|\.\d|nan|inf|1\.#)", text, re.IGNORECASE) is not None


def fits(nodata: float, dtype: str) -> bool:
    """Return whether pixels of a dtype can hold a nodata value."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return True
    if kind.kind not in "iu":
        return False
    limits = np.iinfo(kind)
    return math.isfinite(nodata) and nodata == int(nodata) and limits.min <= nodata <= limits.max


def open_nodata(
    nodata: Bool[np.ndarray, "rows cols"],
) -> Bool[np.ndarray, "inner_rows inner_cols"]:
    """Return which nodata pixels are missing ground, given `MARGIN` more on every side.

    Those are the morphological opening by a square of `OPEN` pixels (past the scene's edge
    there is nothing but nodata), and nodata pixels within `REACH` steps of it.

    Args:
        nodata: Where pixels are nodata; True past the scene's edge.

    Returns:
        The inner part, ``MARGIN`` pixels less on every side.
    """
    inner = (slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))
    if not nodata[inner].any():
        return np.zeros_like(nodata[inner])
    # A square whose upper left pixel is at (r, c) holds nothing but nodata ...
    full = _box_sum(nodata) == OPEN * OPEN
    # ... and covers each pixel that has such a corner in the square up and left of it.
    opened = np.zeros_like(nodata)
    covered = _box_sum(np.pad(full, OPEN - 1)) > 0
    opened[...] = covered
    if not (nodata & ~opened)[inner].any():
        return np.ascontiguousarray(opened[inner])
    cross = ndimage.generate_binary_structure(2, 1)
    grown = ndimage.binary_dilation(opened, cross, iterations=REACH, mask=nodata)
    result: np.ndarray = grown[inner]
    return result


def _box_sum(mask: Bool[np.ndarray, "rows cols"]) -> np.ndarray:
    """Return the sums over every OPEN x OPEN square inside ``mask``."""
    total = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), np.int32)
    np.cumsum(mask, axis=0, dtype=np.int32, out=total[1:, 1:])
    np.cumsum(total[1:, 1:], axis=1, out=total[1:, 1:])
    return total[OPEN:, OPEN:] - total[:-OPEN, OPEN:] - total[OPEN:, :-OPEN] + total[:-OPEN, :-OPEN]
