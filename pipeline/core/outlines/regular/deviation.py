"""How far a new outline strays from the old one."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import shapely

from pipeline.core.compiled import compiled
from pipeline.core.outlines.corners import Float64, Int64
from pipeline.core.outlines.touching import Polygons

Flags = npt.NDArray[np.bool_]

STEP = 0.5
"""A ring is looked at every so many pixels; what lies between is no farther off than half of it."""


def exceeds_deviation(shapes: Polygons, outlines: Polygons, *, limit: float) -> Flags:
    """Return, pair by pair, which shapes reach more than ``limit`` pixels out of their outline.

    False is certain: the distance to a polygon changes no faster than the place, so that
    between two points looked at it is greater by half a step at most. What lies inside
    the outline strays nowhere.

    Args:
        shapes: New outlines.
        outlines: As many old ones.
        limit: At least half a step.
    """
    if not len(shapes):
        return np.empty(0, bool)
    return _strays(*_edges(shapes), *_edges(outlines), limit - STEP / 2)


def _edges(polygons: Polygons) -> tuple[Float64, Int64]:
    """Return edges as x, y, x, y of their ends, and the offsets of the polygons' ones."""
    _, coords, (rings, parts) = shapely.to_ragged_array(polygons)
    inner = np.ones(len(coords), bool)
    inner[rings[1:] - 1] = False
    begins = np.flatnonzero(inner)
    edges = np.ascontiguousarray(np.hstack([coords[begins, :2], coords[begins + 1, :2]]))
    # Each ring has one edge less than it has coordinates.
    starts = rings[parts] - parts
    return edges, starts.astype(np.int64)


@compiled
def _strays(one: Float64, ones: Int64, two: Float64, twos: Int64, limit: float) -> Flags:
    """Return whether a point on the first's edges is farther than the limit from the second."""
    made = np.zeros(len(ones) - 1, np.bool_)
    for pair in range(len(made)):
        old = two[twos[pair] : twos[pair + 1]]
        near = 0
        for edge in range(ones[pair], ones[pair + 1]):
            x0, y0, x1, y1 = one[edge]
            steps = max(1, math.ceil(math.hypot(x1 - x0, y1 - y0) / STEP))
            for step in range(steps):
                x = x0 + (x1 - x0) * step / steps
                y = y0 + (y1 - y0) * step / steps
                # What was near the last point is most likely near this one.
                if _off(old[near], x, y) <= limit * limit:
                    continue
                found = False
                for other in range(len(old)):
                    if _off(old[other], x, y) <= limit * limit:
                        near = other
                        found = True
                        break
                if not found and not _inside(old, x, y):
                    made[pair] = True
                    break
            if made[pair]:
                break
    return made


@compiled
def _off(edge: Float64, x: float, y: float) -> float:
    """Return the square of a point's distance from an edge."""
    dx, dy = edge[2] - edge[0], edge[3] - edge[1]
    px, py = x - edge[0], y - edge[1]
    square = dx * dx + dy * dy
    along = min(1.0, max(0.0, (px * dx + py * dy) / square)) if square else 0.0
    return float((px - along * dx) ** 2 + (py - along * dy) ** 2)


@compiled
def _inside(edges: Float64, x: float, y: float) -> bool:
    """Return whether a point lies inside: a line from it crosses an odd number of edges."""
    odd = False
    for edge in edges:
        if (edge[1] > y) != (edge[3] > y):
            across = edge[0] + (edge[2] - edge[0]) * (y - edge[1]) / (edge[3] - edge[1])
            odd = odd != (x < across)
    return odd
