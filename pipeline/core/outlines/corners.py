"""The corners of a ring that a line within a tolerance passes through."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.core.compiled import compiled

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


@compiled
def corners(ring: Float64, tolerance: float) -> Int64:
    """Return, in order, the vertices of a closed ring that stay: no other is farther off.

    Source: Ramer 1972, Douglas and Peucker 1973, from the vertex farthest from the
    middle, a corner of any convex shape, and from the one farthest from that.

    Args:
        ring: (vertices, 2), the last one being the first again.
        tolerance: Farthest that a dropped vertex lies from the line.
    """
    count = len(ring) - 1
    begin = _farthest(ring, ring[:count, 0].mean(), ring[:count, 1].mean())
    end = _farthest(ring, ring[begin, 0], ring[begin, 1])
    stays = np.zeros(count, np.bool_)
    stays[begin] = True
    stays[end] = True
    # Stretches to look at; the end may lie past the ring's, where it starts anew.
    stack = np.empty((count + 2, 2), np.int64)
    stack[0] = begin, end if end > begin else end + count
    stack[1] = end, begin if begin > end else begin + count
    depth = 2
    while depth:
        depth -= 1
        first, last = stack[depth]
        far, place = _off(ring, first, last)
        if far > tolerance:
            stays[place % count] = True
            stack[depth] = first, place
            stack[depth + 1] = place, last
            depth += 2
    kept = np.flatnonzero(stays)
    return kept.astype(np.int64)


@compiled
def _farthest(ring: Float64, x: float, y: float) -> int:
    """Return the vertex farthest from a point, the first of equals."""
    best = -1.0
    place = 0
    for vertex in range(len(ring) - 1):
        far = (ring[vertex, 0] - x) ** 2 + (ring[vertex, 1] - y) ** 2
        if far > best + 1e-9:
            best = far
            place = vertex
    return place


@compiled
def _off(ring: Float64, first: int, last: int) -> tuple[float, int]:
    """Return how far the vertices between two lie off the line through these, and where."""
    count = len(ring) - 1
    x, y = ring[first % count]
    dx = ring[last % count, 0] - x
    dy = ring[last % count, 1] - y
    length = np.hypot(dx, dy)
    best = 0.0
    place = first
    for vertex in range(first + 1, last):
        px = ring[vertex % count, 0] - x
        py = ring[vertex % count, 1] - y
        far = abs(px * dy - py * dx) / length if length else np.hypot(px, py)
        if far > best:
            best = far
            place = vertex
    return best, place
