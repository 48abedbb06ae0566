"""Opening and closing of a mask with a disk, within what has data.

::

    disk of radius 2        . . # . .
    row**2 + col**2 <= 4    . # # # .
                            # # # # #
                            . # # # .
                            . . # . .

Disks, not squares, so that a building that stands askew loses no more than another.
What lies past the scene and what has no data is neither mask nor background: it stops
no disk of either, so a building that an edge cuts keeps its cut side whole.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from pipeline.core.compiled import compiled
from pipeline.core.quantise import NODATA

Flags = npt.NDArray[np.bool_]
UInt8 = npt.NDArray[np.uint8]
Int32 = npt.NDArray[np.int32]


def open_disk(mask: Flags, known: Flags, *, radius: int) -> Flags:
    """Return the union of the disks whose known pixels all lie in the mask.

    Args:
        mask: ``(rows, cols)``.
        known: Where there is data; pixels outside are ignored.
        radius: Pixels; 0 leaves the mask as it is. A pixel depends on those at most
            twice as far away.
    """
    if radius == 0:
        return mask & known
    inner = known & ~_near(known & ~mask, radius=radius)
    return known & _near(inner, radius=radius)


def close_disk(mask: Flags, known: Flags, *, radius: int) -> Flags:
    """Return the known pixels that no disk off the mask covers; see `open_disk`."""
    return known & ~open_disk(known & ~mask, known, radius=radius)


def open_and_close(labels: UInt8, *, classes: int, opening: int, closing: int) -> UInt8:
    """Return a mask without what is thin, then without gaps that are thin.

    Args:
        labels: 0 background, ``k`` the k-th class, 255 no data, which stays.
        classes: How many there are.
        opening: Radius of the disks that each class is opened by; what goes is background.
        closing: Radius of the disks that each class is closed by. Background alone is
            filled, by the first class that would.
    """
    known = labels != NODATA
    kept = labels.copy()
    if opening:
        for label in range(1, classes + 1):
            mask = labels == label
            kept[mask & ~open_disk(mask, known, radius=opening)] = 0
    if not closing:
        return kept
    filled = kept.copy()
    for label in range(1, classes + 1):
        mask = close_disk(kept == label, known, radius=closing)
        filled[mask & (filled == 0)] = label
    return filled


def _near(mask: Flags, *, radius: int) -> Flags:
    """Return the pixels at most ``radius`` from one of the mask."""
    widths = [math.isqrt(radius * radius - step * step) for step in range(radius + 1)]
    return _reached(np.ascontiguousarray(mask), np.array(widths, np.int32))


@compiled
def _reached(mask: Flags, widths: Int32) -> Flags:
    """Return the pixels whose disk, ``widths`` wide to each side in its rows, meets the mask."""
    rows, cols = mask.shape
    radius = len(widths) - 1
    far = np.uint8(radius + 1)
    # Columns to the nearest pixel of the mask in the same row.
    away = np.full((rows, cols), far, np.uint8)
    for row in range(rows):
        since = far
        for col in range(cols):
            since = np.uint8(0) if mask[row, col] else min(far, np.uint8(since + 1))
            away[row, col] = since
        since = far
        for col in range(cols - 1, -1, -1):
            since = np.uint8(0) if mask[row, col] else min(far, np.uint8(since + 1))
            away[row, col] = min(away[row, col], since)
    found = np.zeros((rows, cols), np.bool_)
    for row in range(rows):
        for other in range(max(0, row - radius), min(rows, row + radius + 1)):
            width = widths[abs(other - row)]
            for col in range(cols):
                if away[other, col] <= width:
                    found[row, col] = True
    return found
