"""How much two polygons are alike."""

from __future__ import annotations

import math

import numpy as np
import shapely

from pipeline.core.compiled import compiled
from pipeline.core.outlines.corners import Float64, Int64
from pipeline.core.outlines.touching import Polygons

LINES = 8
"""Lines a unit of length that areas are measured along: exact for pixels and straight
walls but where a corner lies between two lines."""
DOUBT = 0.03
"""More than areas so measured have been seen to be wrong by, on buildings of few pixels."""


def approximate_iou(one: Polygons, two: Polygons) -> Float64:
    """Return intersection over union, pair by pair, to about a percent.

    Measured along lines, as the exact overlay takes ten times as long.

    Args:
        one: Polygons whose coordinates are pixels.
        two: As many.
    """
    if not len(one):
        return np.empty(0)
    return _alike(*ring_coordinates(one), *ring_coordinates(two))


def iou_against(one: Polygons, two: Polygons, *, least: float) -> Float64:
    """Return intersection over union, pair by pair, on the right side of ``least``."""
    found = approximate_iou(one, two)
    # The measure decides but where it is too coarse for that.
    close = np.abs(found - least) < DOUBT
    found[close] = exact_iou(one[close], two[close])
    return found


def exact_iou(one: Polygons, two: Polygons) -> Float64:
    """Return intersection over union, pair by pair, by exact overlay."""
    both = shapely.area(shapely.intersection(one, two))
    exact: Float64 = both / (shapely.area(one) + shapely.area(two) - both)
    return exact


def ring_coordinates(polygons: Polygons) -> tuple[Float64, Int64]:
    """Return vertices as x, y and 1 where a ring ends, and the polygons' offsets into them."""
    _, coords, (rings, parts) = shapely.to_ragged_array(polygons)
    starts = rings[parts].astype(np.int64)
    # Where a ring ends and the next one begins there is no edge.
    xy = np.ascontiguousarray(coords[:, :2], np.float64)
    ends = np.zeros(len(xy), np.float64)
    ends[rings[1:] - 1] = 1
    return np.column_stack([xy, ends]), starts


@compiled
def _alike(one: Float64, ones: Int64, two: Float64, twos: Int64) -> Float64:
    """Return intersection over union of the polygons of two ragged arrays, pair by pair."""
    made = np.zeros(len(ones) - 1)
    for pair in range(len(made)):
        first = one[ones[pair] : ones[pair + 1]]
        second = two[twos[pair] : twos[pair + 1]]
        low = min(first[:, 1].min(), second[:, 1].min())
        high = max(first[:, 1].max(), second[:, 1].max())
        base = math.floor(low)
        lines = math.ceil((high - base) * LINES)
        starts, places = crossings(first, base, lines, LINES)
        starts2, places2 = crossings(second, base, lines, LINES)
        both = alone = 0.0
        for line in range(lines):
            a, b = starts[line], starts2[line]
            while a < starts[line + 1]:
                alone += places[a + 1] - places[a]
                a += 2
            while b < starts2[line + 1]:
                alone += places2[b + 1] - places2[b]
                b += 2
            a, b = starts[line], starts2[line]
            while a < starts[line + 1] and b < starts2[line + 1]:
                shared = min(places[a + 1], places2[b + 1]) - max(places[a], places2[b])
                both += max(shared, 0.0)
                if places[a + 1] < places2[b + 1]:
                    a += 2
                else:
                    b += 2
        made[pair] = both / (alone - both) if alone > both else 0.0
    return made


@compiled
def crossings(rings: Float64, base: float, lines: int, fine: int) -> tuple[Int64, Float64]:
    """Return where the edges cross each line, from left to right, and each line's first place.

    Line ``k`` lies at ``base + (k + 0.5) / fine``. Rings are as ``ring_coordinates`` returns them.
    """
    starts = np.zeros(lines + 1, np.int64)
    for sweep in range(2):
        if sweep:
            for line in range(lines):
                starts[line + 1] += starts[line]
            places = np.empty(starts[lines])
            used = starts.copy()
        for vertex in range(len(rings) - 1):
            if rings[vertex, 2]:
                continue
            x0, y0 = rings[vertex, 0], (rings[vertex, 1] - base) * fine - 0.5
            x1, y1 = rings[vertex + 1, 0], (rings[vertex + 1, 1] - base) * fine - 0.5
            if y0 > y1:
                x0, y0, x1, y1 = x1, y1, x0, y0
            for line in range(math.ceil(y0), math.ceil(y1)):
                if not sweep:
                    starts[line + 1] += 1
                    continue
                x = x0 + (x1 - x0) * (line - y0) / (y1 - y0)
                place = used[line]
                while place > starts[line] and places[place - 1] > x:
                    places[place] = places[place - 1]
                    place -= 1
                places[place] = x
                used[line] += 1
    return starts, places
