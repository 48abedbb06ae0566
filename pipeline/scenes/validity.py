"""Where a scene has no data, decided the same way whatever window is read.

A pixel that equals the declared nodata value is not always missing: with
nodata 0 a black roof is full of it. A value that imagery can take counts as
missing only in the open: where a square of `OPEN` pixels fits that holds
nothing else (past the scene's edge there is nothing but nodata), or within
`REACH` steps of such a place through nodata pixels. Both look at a bounded
neighbourhood, so a window read with `MARGIN` more pixels gives what the whole
scene would.
"""

from __future__ import annotations

import math
import re

import numpy as np
from jaxtyping import Bool, Shaped
from scipy import ndimage

OPEN = 64
"""Edge of the square that tells missing ground from a dark roof: 19 m at 0.3 m."""
REACH = 32
"""Steps that missing ground reaches into creeks narrower than the square."""
MARGIN = OPEN - 1 + REACH
"""Pixels around a window that its validity depends on."""


def is_sentinel(nodata: float, dtype: str) -> bool:
    """Return whether no image would hold this value by itself: -9999, -3.4e38, NaN, ..."""
    return math.isnan(nodata) or (np.dtype(dtype).kind != "u" and nodata != 0)


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


def is_number(text: str) -> bool:
    """Return whether a nodata tag starts as a number does; C libraries write NaN in many ways."""
    return re.match(r"\s*[+-]?(\d|\.\d|nan|inf|1\.#)", text, re.IGNORECASE) is not None


def fits(nodata: float, dtype: str) -> bool:
    """Return whether pixels of a dtype can hold a nodata value."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return True
    limits = np.iinfo(kind)
    return math.isfinite(nodata) and nodata == int(nodata) and limits.min <= nodata <= limits.max


def missing_in_the_open(
    nodata: Bool[np.ndarray, "rows cols"],
) -> Bool[np.ndarray, "inner_rows inner_cols"]:
    """Return which nodata pixels are missing ground, given `MARGIN` more on every side.

    Args:
        nodata: Where all bands equal nodata; True past the scene's edge.

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
