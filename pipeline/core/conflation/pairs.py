"""Which outlines show the same building."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import shapely
from jaxtyping import Bool, Float64, Int32, Int64, Shaped

from pipeline.core.conflation.cells import Cell, cells

IOU = 0.3
"""Outlines that overlap at least so much, intersection over union, show one building.

Equal squares shifted by half their side reach 0.33.
"""
CONTAINED = 0.6
"""So does an outline of which at least this share lies in the other."""
CELL = 20_000
"""Outlines that are looked at together: 30 MB of geometry."""
# Areas are sums of products: equal ones may differ in the last bits.
_SLACK = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlines:
    """Polygons in longitude and latitude, of which few are in memory at a time."""

    bounds: Float64[np.ndarray, "n 4"]
    """``xmin, ymin, xmax, ymax`` of each."""
    area: Float64[np.ndarray, " n"]
    """Area of each in square degrees."""
    label: Int32[np.ndarray, " n"]
    """Class of each: outlines of different classes never show the same thing."""
    load: Callable[[Int64[np.ndarray, " k"]], Shaped[np.ndarray, " k"]]
    """Returns the valid shapely polygons of some rows; called from several threads."""

    def __len__(self) -> int:
        """Return the number of outlines."""
        return len(self.area)

    def take(self, rows: Int64[np.ndarray, " k"]) -> Outlines:
        """Return the outlines of some rows."""
        return Outlines(
            bounds=self.bounds[rows],
            area=self.area[rows],
            label=self.label[rows],
            load=lambda some: self.load(rows[some]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Pairs of outlines that show the same building, ordered by left, then right."""

    left: Int64[np.ndarray, " pairs"]
    """The lower row of each pair."""
    right: Int64[np.ndarray, " pairs"]
    """The higher row."""
    shared: Float64[np.ndarray, " pairs"]
    """Area that both cover, in square degrees."""
    iou: Float64[np.ndarray, " pairs"]
    """Intersection over union, to nine decimals."""

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.left)

    def where(self, keep: Bool[np.ndarray, " pairs"]) -> Pairs:
        """Return the pairs for which ``keep`` is True."""
        return Pairs(
            left=self.left[keep],
            right=self.right[keep],
            shared=self.shared[keep],
            iou=self.iou[keep],
        )


def concatenate_outlines(first: Outlines, second: Outlines) -> Outlines:
    """Return the outlines of both, the rows of ``second`` after those of ``first``."""
    count = len(first)

    def load(rows: Int64[np.ndarray, " k"]) -> Shaped[np.ndarray, " k"]:
        found = np.empty(len(rows), object)
        late = rows >= count
        found[~late] = first.load(rows[~late])
        found[late] = second.load(rows[late] - count)
        return found

    return Outlines(
        bounds=np.concatenate([first.bounds, second.bounds]),
        area=np.concatenate([first.area, second.area]),
        label=np.concatenate([first.label, second.label]),
        load=load,
    )


def same_building(
    outlines: Outlines,
    *,
    side: Bool[np.ndarray, " n"] | None = None,
    cell: int = CELL,
) -> Pairs:
    """Return every pair of outlines of one class that show the same building.

    That is where ``IoU >= 0.3`` or ``shared / smaller area >= 0.6``; both survive affine
    maps, so that degrees will do. A pair is found in the one cell that holds the lower left
    corner of what the two boxes share (Patel and DeWitt, SIGMOD 1996), so that the result
    does not depend on the cells.

    Args:
        outlines: The polygons.
        side: With it, only pairs of outlines on different sides are looked for.
        cell: Outlines that are looked at together.
    """
    find = partial(_in_cell, outlines, side)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        found = list(pool.map(find, cells(outlines.bounds, most=cell)))
    left = np.concatenate([np.empty(0, np.int64), *(one[0] for one in found)])
    right = np.concatenate([np.empty(0, np.int64), *(one[1] for one in found)])
    shared = np.concatenate([np.empty(0), *(one[2] for one in found)])
    order = np.lexsort((right, left))
    left, right, shared = left[order], right[order], shared[order]
    union = outlines.area[left] + outlines.area[right] - shared
    iou = np.round(np.minimum(shared / union, 1.0), 9)
    return Pairs(left=left, right=right, shared=shared, iou=iou)


def _in_cell(
    outlines: Outlines, side: Bool[np.ndarray, " n"] | None, cell: Cell
) -> tuple[Int64[np.ndarray, " k"], Int64[np.ndarray, " k"], Float64[np.ndarray, " k"]]:
    shapes = outlines.load(cell.rows)
    one, other = _meeting(shapes, None if side is None else side[cell.rows])
    left, right = cell.rows[one], cell.rows[other]
    corner = np.maximum(outlines.bounds[left, :2], outlines.bounds[right, :2])
    keep = cell.holds(corner[:, 0], corner[:, 1]) & _may_match(outlines, left, right)
    one, other, left, right = one[keep], other[keep], left[keep], right[keep]
    # Overlays of a and b, and of b and a, may differ in the last bits: the lower box goes first.
    lower = _lower(outlines.bounds[left], outlines.bounds[right])
    first, second = np.where(lower, one, other), np.where(lower, other, one)
    shared = np.asarray(shapely.area(shapely.intersection(shapes[first], shapes[second])))
    keep = _match(outlines.area[left], outlines.area[right], shared)
    return left[keep], right[keep], shared[keep]


def _meeting(
    shapes: Shaped[np.ndarray, " n"], side: Bool[np.ndarray, " n"] | None
) -> tuple[Int64[np.ndarray, " k"], Int64[np.ndarray, " k"]]:
    """Return pairs whose boxes meet, the lower row first."""
    if side is None:
        one, other = shapely.STRtree(shapes).query(shapes)
        keep = one < other
        return one[keep].astype(np.int64), other[keep].astype(np.int64)
    here, there = np.flatnonzero(~side), np.flatnonzero(side)
    if not len(here) or not len(there):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    one, other = shapely.STRtree(shapes[there]).query(shapes[here])
    rows = np.stack([here[one], there[other]]).astype(np.int64)
    return rows.min(axis=0), rows.max(axis=0)


def _may_match(
    outlines: Outlines, left: Int64[np.ndarray, " k"], right: Int64[np.ndarray, " k"]
) -> Bool[np.ndarray, " k"]:
    """Return which pairs are of one class, and have boxes that share enough for a match."""
    a, b = outlines.bounds[left], outlines.bounds[right]
    size = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    most = np.maximum(size, 0.0).prod(axis=1)
    fits = _match(outlines.area[left], outlines.area[right], most * (1 + _SLACK))
    return np.asarray((outlines.label[left] == outlines.label[right]) & fits)


def _match(
    a: Float64[np.ndarray, " k"], b: Float64[np.ndarray, " k"], shared: Float64[np.ndarray, " k"]
) -> Bool[np.ndarray, " k"]:
    alike = shared * (1 + _SLACK) >= IOU * (a + b - shared)
    within = shared * (1 + _SLACK) >= CONTAINED * np.minimum(a, b)
    return np.asarray((alike | within) & (shared > 0))


def _lower(a: Float64[np.ndarray, "k 4"], b: Float64[np.ndarray, "k 4"]) -> Bool[np.ndarray, " k"]:
    """Return which boxes of ``a`` come before those of ``b``, compared side by side."""
    lower = np.zeros(len(a), bool)
    decided = np.zeros(len(a), bool)
    for axis in range(4):
        lower |= ~decided & (a[:, axis] < b[:, axis])
        decided |= a[:, axis] != b[:, axis]
    return lower | ~decided
