"""The plane cut into cells that hold few shapes each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

_WEST_SOUTH, _SIDE = -256.0, 512.0
# Halved 24 times, a side is 3e-5 degrees: 3 m.
_DEEPEST = 24
# Where shapes are as large as cells, quarters repeat them: smaller cells would cost more.
_MOST_TWICE = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A square of the plane and the shapes whose boxes meet it."""

    west: float
    """Left side; belongs to the cell."""
    south: float
    """Lower side; belongs to the cell."""
    side: float
    """Width and height: a power of two, so that halving is exact."""
    rows: Int64[np.ndarray, " n"]
    """Shapes whose boxes meet the cell or its border, ascending."""

    def holds(
        self, x: Float64[np.ndarray, " pairs"], y: Float64[np.ndarray, " pairs"]
    ) -> Bool[np.ndarray, " pairs"]:
        """Return which points are this cell's own: of all cells, exactly one has a point."""
        right, upper = self.west + self.side, self.south + self.side
        return np.asarray((x >= self.west) & (x < right) & (y >= self.south) & (y < upper))


def cells(bounds: Float64[np.ndarray, "n 4"], *, most: int) -> Iterator[Cell]:
    """Yield the leaves of a quadtree over boxes, those without a box left out.

    A cell is quartered while it holds more than ``most`` boxes and quartering helps: it
    stops where the quarters together would hold half as many boxes again, since those lie
    on each other.

    Args:
        bounds: ``xmin, ymin, xmax, ymax`` of each shape, within -256..256.
        most: Boxes that a cell may hold.
    """
    waiting = [(_root(len(bounds)), 0)]
    while waiting:
        cell, depth = waiting.pop()
        if len(cell.rows) <= most or depth == _DEEPEST:
            if len(cell.rows):
                yield cell
            continue
        quarters = list(_quarters(cell, bounds))
        if sum(len(quarter.rows) for quarter in quarters) > _MOST_TWICE * len(cell.rows):
            yield cell
            continue
        waiting += [(quarter, depth + 1) for quarter in quarters]


def _root(count: int) -> Cell:
    rows = np.arange(count, dtype=np.int64)
    return Cell(west=_WEST_SOUTH, south=_WEST_SOUTH, side=_SIDE, rows=rows)


def _quarters(cell: Cell, bounds: Float64[np.ndarray, "n 4"]) -> Iterator[Cell]:
    half = cell.side / 2
    west, south, east, north = bounds[cell.rows].T
    for left in (cell.west, cell.west + half):
        across = (west <= left + half) & (east >= left)
        for lower in (cell.south, cell.south + half):
            inside = across & (south <= lower + half) & (north >= lower)
            yield Cell(west=left, south=lower, side=half, rows=cell.rows[inside])
