"""Sub-pixel offsets of mask edges, where the probability surface crosses the threshold.

A traced outline runs along pixel edges; the surface that was thresholded crosses its level
somewhere between the centres of the two pixels at each. How far that is from the edge is
the edge's *shift*, in 256ths of a pixel, positive to the right and downwards::

    q = 240     q = 90         level 124.5: crossed 0.77 of the way from centre to centre,
       +--------|-----+        0.27 behind the edge: the shift is 69
              edge  crossing

Less than half a pixel on both sides, so that no shift passes a pixel's centre: what is
drawn through the crossings holds the centres of the same pixels as the mask.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.core.polygons.fragments import Int32, Int64
from pipeline.core.polygons.region_growing import UInt8
from pipeline.core.quantise import NODATA, background_of
from pipeline.core.window import Window

Int8 = npt.NDArray[np.int8]

UNIT = 256
"""Shifts in a pixel."""
FARTHEST = UNIT // 2 - 1
"""Largest shift: a crossing lies short of the pixels' centres."""


MARGIN = 1
"""Pixels around a core on which its shifts depend."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EdgeOffsets:
    """The shifts of a core's pixel edges: those at the left and the top of its pixels."""

    edges: Int32
    """``2 * (row * width + col)`` of the pixel in the core for the edge at its left, one more
    for the one at its top; sorted. Edges that are left out have a shift of 0."""
    shifts: Int8
    """As many."""

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays by name, as a cached tile stores them."""
        return {"rim_edges": self.edges, "rim_shifts": self.shifts}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> EdgeOffsets | None:
        """Restore what ``to_arrays`` stored; None where it was not wanted."""
        if "rim_edges" not in arrays:
            return None
        return cls(edges=arrays["rim_edges"], shifts=arrays["rim_shifts"])


def edge_offsets(
    probability: UInt8,
    labels: UInt8,
    *,
    core: Window,
    seen: Window,
    threshold: int,
    shares: bool = False,
) -> EdgeOffsets:
    """Return the shifts of a core's edges.

    Between background and class ``k`` the surface is ``q_k`` and its level half a step
    below the threshold, where rounding parts inside from outside; between two classes it
    is their difference, and its level 0. Where classes share the probability with the
    background, the level is at least half a step above the background's. Where the surface
    does not cross (what refinement added or took away, and beside pixels without data) the
    edge keeps its place.

    Args:
        probability: (classes, rows, cols), quantised, over ``seen``.
        labels: The mask over ``seen``.
        core: The window to answer for.
        seen: The core and, but for the scene's edges, a pixel more above and to the left.
        threshold: Quantised probability from which a pixel belongs to a class.
        shares: Whether classes and background sum to one, as a softmax's do.
    """
    rows, cols = core.within(seen)
    least = np.full(labels.shape, threshold, np.int64)
    if shares:
        least = np.maximum(least, background_of(probability) + 1)
    found = []
    for axis, (down, right) in enumerate(((0, 1), (1, 0))):
        # The scene's edge has one side only.
        top, left = max(rows.start, down), max(cols.start, right)
        here = labels[top : rows.stop, left : cols.stop]
        before = labels[top - down : rows.stop - down, left - right : cols.stop - right]
        row, col = np.nonzero((here != before) & (here != NODATA) & (before != NODATA))
        row, col = row + top, col + left
        pairs = (row - down, col - right), (row, col)
        shift = _shifts(probability, labels, pairs, least)
        place = (row - rows.start) * core.width + col - cols.start
        moved = shift != 0
        found.append(np.stack([2 * place[moved] + axis, shift[moved]]))
    edges, shifts = np.concatenate(found, axis=1)
    order = np.argsort(edges)
    return EdgeOffsets(edges=edges[order].astype(np.int32), shifts=shifts[order].astype(np.int8))


def _shifts(
    probability: UInt8,
    labels: UInt8,
    pairs: tuple[tuple[Int64, Int64], tuple[Int64, Int64]],
    least: Int64,
) -> Int64:
    """Return the shift between each pixel of the one side and that of the other.

    ``least`` holds the quantised probability from which each pixel belongs to a class.
    """
    one, two = (labels[pixels].astype(np.int64) for pixels in pairs)
    own = np.where(one > 0, one, two) - 1
    rival = np.where((one > 0) & (two > 0), two, 0) - 1
    heights = []
    for pixels in pairs:
        height = 2 * probability[(own, *pixels)].astype(np.int64)
        other = 2 * probability[(np.maximum(rival, 0), *pixels)].astype(np.int64)
        heights.append(height - np.where(rival >= 0, other, 2 * least[pixels] - 1))
    first, last = heights
    # From inside to outside, whichever comes first.
    turned = np.where(one > 0, 1, -1)
    first, last = first * turned, last * turned
    crossed = (first >= 0) & (last <= 0) & (first > last)
    steps = np.where(crossed, first - last, 1)
    shift = (2 * UNIT * first + steps) // (2 * steps) - UNIT // 2
    return np.where(crossed, np.clip(shift, -FARTHEST, FARTHEST), 0)
