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
from jaxtyping import Bool, Float64, Int64, Shaped, UInt8

from pipeline.core.compiled import compiled
from pipeline.core.scores.overlaps import Overlaps, candidates
from pipeline.core.window import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
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

    def take(self, which: Shaped[np.ndarray, " some"]) -> Runs:
        """Return the runs that ``which`` (indices or a mask) selects."""
        return Runs(
            owner=self.owner[which],
            row=self.row[which],
            first=self.first[which],
            stop=self.stop[which],
            count=self.count,
        )

    def by_row(self) -> Runs:
        """Return the runs ordered by row: what `paint` and `inside` want."""
        return self.take(np.argsort(self.row, kind="stable"))

    def rows(self, window: Window) -> Runs:
        """Return those of runs ordered by row that lie in the rows of ``window``."""
        low, high = np.searchsorted(self.row, [window.row, window.bottom])
        return self.take(np.arange(low, high))


def rasterize(polygons: Shaped[np.ndarray, " count"], *, height: int, width: int) -> Runs:
    """Return the pixels of polygons given in pixel coordinates ``(x=col, y=row)``.

    Args:
        polygons: Polygons and MultiPolygons; their parts and holes are told apart
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
    return Runs(
        owner=found[:, 0],
        row=found[:, 1],
        first=found[:, 2],
        stop=found[:, 3],
        count=len(polygons),
    )


def pixel_overlaps(
    predicted: Shaped[np.ndarray, " predictions"],
    truth: Shaped[np.ndarray, " truths"],
    runs: tuple[Runs, Runs],
) -> Overlaps:
    """Return every pair that shares pixels, areas counted in pixels.

    Args:
        predicted: Polygons in pixel coordinates.
        truth: Polygons in pixel coordinates.
        runs: The pixels of both.
    """
    left, right = candidates(predicted, truth)
    return _shared(left, right, runs)


def _shared(
    left: Int64[np.ndarray, " pairs"],
    right: Int64[np.ndarray, " pairs"],
    runs: tuple[Runs, Runs],
) -> Overlaps:
    mine, other = runs
    shared = _count_shared(
        np.column_stack([left, right]),
        (mine.starts(), mine.row, mine.first, mine.stop),
        (other.starts(), other.row, other.first, other.stop),
    )
    found = Overlaps(
        predicted=left,
        truth=right,
        shared=shared.astype(np.float64),
        predicted_area=mine.pixels.astype(np.float64),
        truth_area=other.pixels.astype(np.float64),
    )
    return found.where(found.shared > 0)


def paint(
    runs: Runs, values: UInt8[np.ndarray, " count"], window: Window
) -> UInt8[np.ndarray, "rows cols"]:
    """Return a window of the picture in which each polygon has its value, 0 elsewhere.

    Args:
        runs: Ordered by row; where polygons overlap, the later run wins.
        values: Value of each polygon.
        window: The window wanted.
    """
    picture = np.zeros((window.height, window.width), np.uint8)
    here = runs.rows(window)
    _paint(
        picture,
        (here.row - window.row, here.first - window.col, here.stop - window.col),
        values[here.owner],
    )
    return picture


def inside(
    runs: Runs, mask: Bool[np.ndarray, "rows cols"], window: Window
) -> Int64[np.ndarray, " count"]:
    """Return how many pixels of each polygon lie in ``window`` where ``mask`` is True.

    Args:
        runs: Ordered by row.
        mask: True or False for each pixel of the window.
        window: Where the mask lies.
    """
    here = runs.rows(window)
    sums = np.zeros((window.height, window.width + 1), np.int32)
    np.cumsum(mask, axis=1, out=sums[:, 1:])
    row = here.row - window.row
    first = np.clip(here.first - window.col, 0, window.width)
    stop = np.clip(here.stop - window.col, 0, window.width)
    found = (sums[row, stop] - sums[row, first]).astype(np.float64)
    return np.bincount(here.owner, found, runs.count).astype(np.int64)


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


@compiled
def _count_shared(
    pairs: Int64[np.ndarray, "pairs 2"],
    mine: tuple[
        Int64[np.ndarray, " m"],
        Int64[np.ndarray, " p"],
        Int64[np.ndarray, " p"],
        Int64[np.ndarray, " p"],
    ],
    other: tuple[
        Int64[np.ndarray, " n"],
        Int64[np.ndarray, " q"],
        Int64[np.ndarray, " q"],
        Int64[np.ndarray, " q"],
    ],
) -> Int64[np.ndarray, " pairs"]:
    """Return how many pixels the polygons of each pair share, by merging their runs."""
    starts_a, row_a, first_a, stop_a = mine
    starts_b, row_b, first_b, stop_b = other
    shared = np.zeros(pairs.shape[0], np.int64)
    for pair in range(pairs.shape[0]):
        a, end_a = starts_a[pairs[pair, 0]], starts_a[pairs[pair, 0] + 1]
        b, end_b = starts_b[pairs[pair, 1]], starts_b[pairs[pair, 1] + 1]
        while a < end_a and b < end_b:
            if row_a[a] == row_b[b]:
                shared[pair] += max(0, min(stop_a[a], stop_b[b]) - max(first_a[a], first_b[b]))
            if (row_a[a], stop_a[a]) <= (row_b[b], stop_b[b]):
                a += 1
            else:
                b += 1
    return shared


@compiled
def _paint(
    picture: UInt8[np.ndarray, "rows cols"],
    runs: tuple[Int64[np.ndarray, " r"], Int64[np.ndarray, " r"], Int64[np.ndarray, " r"]],
    values: UInt8[np.ndarray, " r"],
) -> None:
    """Fill runs, given relative to the picture, with their values."""
    rows, firsts, stops = runs
    for run in range(rows.size):
        picture[rows[run], max(0, firsts[run]) : max(0, min(stops[run], picture.shape[1]))] = (
            values[run]
        )
