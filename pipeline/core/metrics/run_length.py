"""Polygons as runs of pixels, whole scenes at a time.

A pixel belongs to a polygon where its centre lies inside::

      col 0   1   2   3   4        a run: row, first, stop
    row +---+---+---+---+---+
     0  | . | .#|###|##.| . |      (0, 1, 4): centres at 1.5, 2.5 and 3.5
        +---+---+---+---+---+
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from jaxtyping import Float64, Int64, Shaped

from pipeline.core.compiled import compiled
from pipeline.core.window import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLengths:
    """The pixels of many polygons, ordered by polygon, row and column."""

    owner: Int64[np.ndarray, " runs"]
    """Row of the polygon that a run belongs to."""
    row: Int64[np.ndarray, " runs"]
    """Row of pixels."""
    first: Int64[np.ndarray, " runs"]
    """First column."""
    stop: Int64[np.ndarray, " runs"]
    """The column after the last one."""
    count: int
    """Number of polygons; some may have no pixel at all."""

    @property
    def pixels(self) -> Int64[np.ndarray, " count"]:
        """Number of pixels of each polygon."""
        length = (self.stop - self.first).astype(np.float64)
        return np.bincount(self.owner, length, self.count).astype(np.int64)

    def starts(self) -> Int64[np.ndarray, " ends"]:
        """Return where each polygon's runs begin, and the number of runs at the end."""
        return np.asarray(np.searchsorted(self.owner, np.arange(self.count + 1)), np.int64)

    def take(self, which: Shaped[np.ndarray, " some"]) -> RunLengths:
        """Return the runs that ``which`` (indices or a mask) selects."""
        return RunLengths(
            owner=self.owner[which],
            row=self.row[which],
            first=self.first[which],
            stop=self.stop[which],
            count=self.count,
        )

    def by_row(self) -> RunLengths:
        """Return the runs ordered by row: what `paint` and `inside` want."""
        return self.take(np.argsort(self.row, kind="stable"))

    def rows(self, window: Window) -> RunLengths:
        """Return those of runs ordered by row that lie in the rows of ``window``."""
        low, high = np.searchsorted(self.row, [window.row, window.bottom])
        here = slice(int(low), int(high))
        return RunLengths(
            owner=self.owner[here],
            row=self.row[here],
            first=self.first[here],
            stop=self.stop[here],
            count=self.count,
        )


def rasterize(polygons: Shaped[np.ndarray, " count"], *, height: int, width: int) -> RunLengths:
    """Return the pixels of polygons given in pixel coordinates ``(x=col, y=row)``.

    Args:
        polygons: Polygons and MultiPolygons; their parts and holes are distinguished
            by the even-odd rule.
        height: Rows of the scene; what lies outside is left out.
        width: Columns of the scene.
    """
    parts, part_of = shapely.get_parts(polygons, return_index=True)
    rings, ring_of = shapely.get_rings(parts, return_index=True)
    points, point_of = shapely.get_coordinates(rings, return_index=True)
    edge = np.flatnonzero(point_of[1:] == point_of[:-1])
    owner = part_of[ring_of[point_of[edge]]] if len(edge) else np.empty(0, np.int64)
    ends = np.searchsorted(owner, np.arange(len(polygons) + 1)).astype(np.int64)
    lines = np.column_stack([points[edge], points[edge + 1]]).astype(np.float64)
    found = _scan(lines, ends, (height, width))
    return RunLengths(
        owner=found[:, 0],
        row=found[:, 1],
        first=found[:, 2],
        stop=found[:, 3],
        count=len(polygons),
    )


@compiled
def _scan(
    lines: Float64[np.ndarray, "edges 4"],
    ends: Int64[np.ndarray, " polygons"],
    shape: tuple[int, int],
) -> Int64[np.ndarray, "runs 4"]:
    """Return ``owner, row, first, stop`` of every run, by scan lines through pixel centres."""
    height, width = shape
    found = np.empty((1024, 4), np.int64)
    size = 0
    for owner in range(ends.size - 1):
        edges = lines[ends[owner] : ends[owner + 1]]
        low, offsets, crossings = _cross(edges, height)
        while size + crossings.size // 2 > found.shape[0]:
            found = np.concatenate((found, np.empty_like(found)))
        for row in range(offsets.size - 1):
            these = np.sort(crossings[offsets[row] : offsets[row + 1]])
            for pair in range(0, these.size - 1, 2):
                first = max(0, int(np.ceil(these[pair] - 0.5)))
                stop = min(width, int(np.ceil(these[pair + 1] - 0.5)))
                if stop > first:
                    found[size] = (owner, low + row, first, stop)
                    size += 1
    return found[:size].copy()


@compiled
def _cross(
    edges: Float64[np.ndarray, "edges 4"], height: int
) -> tuple[int, Int64[np.ndarray, " rows"], Float64[np.ndarray, " crossings"]]:
    """Return the first row, where each row's crossings begin, and all crossings' columns.

    An edge crosses the rows with ``y0 <= row + 0.5 < y1``: counted first, then filled.
    """
    low = high = 0
    if edges.shape[0] > 0:
        low = max(0, int(np.floor(edges[:, 1].min())))
        high = max(low, min(height, int(np.ceil(edges[:, 1].max()))))
    counts = np.zeros(high - low + 1, np.int64)
    for edge in range(edges.shape[0]):
        y0, y1 = min(edges[edge, 1], edges[edge, 3]), max(edges[edge, 1], edges[edge, 3])
        for row in range(max(low, int(np.ceil(y0 - 0.5))), min(high, int(np.ceil(y1 - 0.5)))):
            counts[row - low + 1] += 1
    offsets = np.cumsum(counts)
    place = offsets[:-1].copy()
    crossings = np.empty(offsets[-1], np.float64)
    for edge in range(edges.shape[0]):
        x0, y0, x1, y1 = edges[edge]
        if y0 > y1:
            x0, y0, x1, y1 = x1, y1, x0, y0
        for row in range(max(low, int(np.ceil(y0 - 0.5))), min(high, int(np.ceil(y1 - 0.5)))):
            crossings[place[row - low]] = x0 + (row + 0.5 - y0) / (y1 - y0) * (x1 - x0)
            place[row - low] += 1
    return low, offsets, crossings
