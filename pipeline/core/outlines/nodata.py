"""Pixels of which nothing is known: no outline comes to cover one."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import shapely

from pipeline.core.compiled import compiled
from pipeline.core.outlines.corners import Float64
from pipeline.core.outlines.similarity import crossings, ring_coordinates
from pipeline.core.outlines.touching import Int64, Polygons
from pipeline.core.window import Window

Flags = npt.NDArray[np.bool_]
Bits = npt.NDArray[np.uint8]


class NodataPixels:
    """The unknown pixels of a scene, as far as a sweep has come; none at first."""

    def __init__(self) -> None:
        """Know all pixels."""
        self._parts: list[tuple[Window, Bits]] = []

    def __len__(self) -> int:
        """Return the number of windows in memory: a bit for each of their pixels."""
        return len(self._parts)

    def add(self, window: Window, pixels: Flags) -> None:
        """Note which pixels of a window are unknown, (rows, cols)."""
        rows, cols = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
        if not len(rows):
            return
        top, left = int(rows[0]), int(cols[0])
        height, width = int(rows[-1]) + 1 - top, int(cols[-1]) + 1 - left
        box = Window(row=window.row + top, col=window.col + left, height=height, width=width)
        part = pixels[top : top + height, left : left + width]
        self._parts.append((box, np.packbits(part, axis=1)))

    def forget(self, *, above: float) -> None:
        """Let go of windows that end at this row or above."""
        self._parts = [part for part in self._parts if part[0].bottom > above]

    def covered(self, shapes: Polygons, outlines: Polygons) -> Flags:
        """Return, pair by pair, which shapes cover a nodata pixel that the outline does not.

        A pixel is covered where its centre is, as rasterising has it.

        Args:
            shapes: New outlines.
            outlines: As many old ones.
        """
        found = np.zeros(len(shapes), bool)
        left, top, right, bottom = shapely.bounds(shapes).T
        for box, bits in self._parts:
            meets = (left < box.right) & (right > box.col) & (top < box.bottom) & (bottom > box.row)
            near = np.flatnonzero(meets & ~found)
            if len(near):
                pairs = (*ring_coordinates(shapes[near]), *ring_coordinates(outlines[near]))
                found[near] = _covered(*pairs, bits, (box.row, box.col, box.width))
        return found


@compiled
def _covered(
    one: Float64, ones: Int64, two: Float64, twos: Int64, bits: Bits, box: tuple[int, int, int]
) -> Flags:
    """Return whether the first has the centre of a pixel that is set and the second has not.

    Args:
        one: Edges of the shapes, as ``ragged`` returns them.
        ones: Offsets of the shapes into them.
        two: Edges of the outlines.
        twos: Offsets of the outlines into them.
        bits: Pixels of a box, eight a byte along its rows.
        box: The box's row, col and width.
    """
    row, col, width = box
    made = np.zeros(len(ones) - 1, np.bool_)
    for pair in range(len(made)):
        first = one[ones[pair] : ones[pair + 1]]
        second = two[twos[pair] : twos[pair + 1]]
        low, high = first[:, 1].min(), first[:, 1].max()
        if len(second):
            low, high = min(low, second[:, 1].min()), max(high, second[:, 1].max())
        base = math.floor(low)
        lines = math.ceil(high) - base
        starts, places = crossings(first, base, lines, 1)
        starts2, places2 = crossings(second, base, lines, 1)
        for line in range(max(0, row - base), min(lines, row + len(bits) - base)):
            own = places[starts[line] : starts[line + 1]]
            old = places2[starts2[line] : starts2[line + 1]]
            if _comes(own, old, bits[base + line - row], col, width):
                made[pair] = True
                break
    return made


@compiled
def _comes(own: Float64, old: Float64, bits: Bits, col: int, width: int) -> bool:
    """Return whether a row of pixels has one that is set, inside the first and not the second.

    Args:
        own: Where the first's edges cross the row's middle, from left to right.
        old: Where the second's do.
        bits: Pixels from ``col`` on, eight a byte.
        col: The column of the first of them.
        width: How many they are.
    """
    for span in range(0, len(own), 2):
        begin = max(math.ceil(own[span] - 0.5), col)
        end = min(math.ceil(own[span + 1] - 0.5), col + width)
        for x in range(begin, end):
            if not (bits[(x - col) >> 3] << ((x - col) & 7)) & 128:
                continue
            inside = False
            for edge in old:
                inside = inside != (edge <= x + 0.5)
            if not inside:
                return True
    return False
