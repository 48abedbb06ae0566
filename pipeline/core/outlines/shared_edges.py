"""Corners of one polygon on the straight walls of another made corners of both."""

from __future__ import annotations

import numpy as np
import shapely

from pipeline.core.compiled import compiled
from pipeline.core.outlines.corners import Float64, Int64
from pipeline.core.outlines.touching import Polygons


def node_shared_edges(polygons: Polygons) -> Polygons:
    """Return the polygons with a vertex wherever a vertex of any lies on an edge.

    A traced polygon has vertices at its own corners only, but what shares a wall has to
    have the same vertices there. Looked at are edges along rows and columns.
    """
    kind, vertices, (narrow, parts) = shapely.to_ragged_array(polygons)
    coords: Float64 = np.ascontiguousarray(vertices[:, :2])
    rings: Int64 = narrow.astype(np.int64)
    for across in (0, 1):
        points = np.unique(coords[:, [1 - across, across]], axis=0)
        coords, rings = _split(coords, rings, points, across)
    made: Polygons = shapely.from_ragged_array(kind, coords, (rings, parts))
    return made


@compiled
def _split(
    coords: Float64, ring_offsets: Int64, points: Float64, across: int
) -> tuple[Float64, Int64]:
    """Return vertices and ring offsets, the edges along one axis being split at the points.

    Args:
        coords: Vertices.
        ring_offsets: Offsets of the rings into them.
        points: (points, 2), sorted: along the other axis, then along this one.
        across: 0 for edges along x, 1 for those along y.
    """
    made = np.empty((len(coords) + 64, 2))
    offsets = np.zeros(len(ring_offsets), np.int64)
    count = 0
    for ring in range(len(ring_offsets) - 1):
        for vertex in range(ring_offsets[ring], ring_offsets[ring + 1]):
            made = _roomy(made, count)
            made[count, 0] = coords[vertex, 0]
            made[count, 1] = coords[vertex, 1]
            count += 1
            level = coords[vertex, 1 - across]
            if vertex + 1 == ring_offsets[ring + 1] or coords[vertex + 1, 1 - across] != level:
                continue
            begin, end = coords[vertex, across], coords[vertex + 1, across]
            if begin == end:
                continue
            step = 1 if begin < end else -1
            place = _place(points, level, begin)
            while True:
                place += step
                at = points[place, 1]
                if at == end:
                    break
                made = _roomy(made, count)
                made[count, across] = at
                made[count, 1 - across] = level
                count += 1
        offsets[ring + 1] = count
    return made[:count].copy(), offsets


@compiled
def _roomy(made: Float64, count: int) -> Float64:
    """Return the table with room for one more after ``count``, doubled at need."""
    if count < len(made):
        return made
    longer = np.empty((2 * len(made), 2))
    longer[:count] = made[:count]
    return longer


@compiled
def _place(points: Float64, level: float, along: float) -> int:
    """Return where a point stands among the sorted ones."""
    low = 0
    high = len(points)
    while low < high:
        middle = (low + high) // 2
        before = points[middle, 0] < level
        if before or (points[middle, 0] == level and points[middle, 1] < along):
            low = middle + 1
        else:
            high = middle
    return low
