"""Rings of straight walls along a few directions, laid through ragged rings."""

from __future__ import annotations

import numpy as np

from pipeline.core.compiled import compiled
from pipeline.core.outlines.corners import Float64, Int64, corners

# Columns of a wall: kind (0 along u, 1 along v, 2 along u + v, 3 along u - v), offset
# across, sense along, and the first and last vertex of the stretch it replaces.
KIND, OFFSET, SENSE, FIRST, LAST = range(5)
MOST = 2000
"""Corners of a ring that is no building's any more: the time it takes grows with their square."""
HALF = np.sqrt(0.5)


@compiled
def straightened(ring: Float64, tolerance: float, least: float, diagonal: float) -> Float64:
    """Return a closed ring of walls along the axes and diagonals; empty where there is none.

    Walls lie so that the area between them and the ring is as large on one side as on
    the other, but for the ring's rounded corners.

    Args:
        ring: (vertices, 2), closed, turned so that its main direction is an axis.
        tolerance: A first wall is what lies within so much of a line.
        least: Shorter walls go, the shortest first, while four are left.
        diagonal: Shortest wall that may lie on a diagonal.
    """
    places = corners(ring, tolerance)
    if len(places) > MOST:
        return np.empty((0, 2))
    walls = _cast(ring, places, diagonal)
    walls = _joined(ring, walls, least)
    while len(walls) > 4:
        lengths = _lengths(walls)
        shortest = int(np.argmin(lengths))
        if lengths[shortest] >= least:
            break
        walls = _joined(ring, _without(ring, walls, shortest), least)
    if len(walls) < 4 or _lengths(walls).min() <= 0:
        return np.empty((0, 2))
    closed = np.empty((len(walls) + 1, 2))
    for wall in range(len(walls)):
        closed[wall] = _crossing(walls[wall - 1], walls[wall])
    closed[-1] = closed[0]
    return closed


@compiled
def _axes(kind: float) -> tuple[float, float, float, float]:
    """Return the direction of a kind of wall, and the direction across it."""
    if kind == 0:
        return 1.0, 0.0, 0.0, 1.0
    if kind == 1:
        return 0.0, 1.0, 1.0, 0.0
    if kind == 2:
        return HALF, HALF, -HALF, HALF
    return HALF, -HALF, HALF, HALF


@compiled
def _cast(ring: Float64, places: Int64, diagonal: float) -> Float64:
    """Return a wall for each stretch between two corners."""
    count = len(ring) - 1
    walls = np.empty((len(places), 5))
    for wall in range(len(places)):
        first = places[wall]
        last = places[(wall + 1) % len(places)]
        if last <= first:
            last += count
        du = ring[last % count, 0] - ring[first, 0]
        dv = ring[last % count, 1] - ring[first, 1]
        flat, steep = abs(du), abs(dv)
        if np.hypot(du, dv) >= diagonal and min(flat, steep) > 0.6 * max(flat, steep):
            kind = 2 if du * dv > 0 else 3
        else:
            kind = 0 if flat >= steep else 1
        walls[wall, KIND] = kind
        walls[wall, FIRST] = first
        walls[wall, LAST] = last
        _lay(ring, walls[wall])
    return walls


@compiled
def _lay(ring: Float64, wall: Float64) -> None:
    """Set a wall's sense and offset by the stretch it replaces, its ends left out.

    ``offset = sum(across * d along) / sum(d along)``: equal areas on both sides. A
    network rounds corners off, so a pixel and a half at both ends is not asked.
    """
    count = len(ring) - 1
    first, last = int(wall[FIRST]), int(wall[LAST])
    ax, ay, cx, cy = _axes(wall[KIND])
    begin = ax * ring[first % count, 0] + ay * ring[first % count, 1]
    end = ax * ring[last % count, 0] + ay * ring[last % count, 1]
    low, high = min(begin, end), max(begin, end)
    trim = min(1.5, 0.2 * (high - low))
    total = area = middle = weight = 0.0
    for vertex in range(first, last):
        one = ring[vertex % count]
        two = ring[(vertex + 1) % count]
        across = (cx * (one[0] + two[0]) + cy * (one[1] + two[1])) / 2
        length = np.hypot(two[0] - one[0], two[1] - one[1])
        middle += across * length
        weight += length
        from_ = min(max(ax * one[0] + ay * one[1], low + trim), high - trim)
        to = min(max(ax * two[0] + ay * two[1], low + trim), high - trim)
        area += across * (to - from_)
        total += to - from_
    wall[SENSE] = 1.0 if end >= begin else -1.0
    if abs(total) > 1e-6:
        wall[OFFSET] = area / total
    elif weight:
        wall[OFFSET] = middle / weight


@compiled
def _joined(ring: Float64, walls: Float64, least: float) -> Float64:
    """Make one of neighbours of one kind; where they are too far apart, put a wall between."""
    made = np.empty((2 * len(walls) + 2, 5))
    count = 0
    for wall in range(len(walls)):
        if count and _merged(ring, made[count - 1], walls[wall], least):
            continue
        if count and made[count - 1, KIND] == walls[wall, KIND]:
            _between(ring, made[count - 1], walls[wall], made[count])
            count += 1
        made[count] = walls[wall]
        count += 1
    # The last and the first are neighbours too.
    if count > 1 and made[0, KIND] == made[count - 1, KIND]:
        last = made[count - 1].copy()
        if _merged(ring, last, made[0], least):
            made[0] = last
            count -= 1
        else:
            _between(ring, last, made[0], made[count])
            count += 1
    return made[:count].copy()


@compiled
def _merged(ring: Float64, one: Float64, two: Float64, least: float) -> bool:
    """Let a wall go on along the next one's stretch, if it is of one kind and close."""
    if one[KIND] != two[KIND] or abs(one[OFFSET] - two[OFFSET]) >= least:
        return False
    span = two[LAST] - two[FIRST]
    begin = two[FIRST] % (len(ring) - 1)
    while begin < one[LAST]:
        begin += len(ring) - 1
    one[LAST] = begin + span
    while one[FIRST] >= len(ring) - 1:
        one[FIRST] -= len(ring) - 1
        one[LAST] -= len(ring) - 1
    _lay(ring, one)
    return True


@compiled
def _between(ring: Float64, one: Float64, two: Float64, wall: Float64) -> None:
    """Set a wall across, from one wall to a parallel one, where the first one ends."""
    count = len(ring) - 1
    kind = one[KIND]
    wall[KIND] = 1 - kind if kind < 2 else 5 - kind
    ax, ay, cx, cy = _axes(wall[KIND])
    wall[FIRST] = wall[LAST] = one[LAST]
    place = ring[int(one[LAST]) % count]
    wall[OFFSET] = cx * place[0] + cy * place[1]
    # The walls' offsets are measured along this wall's own direction, or against it.
    _, _, ox, oy = _axes(kind)
    along = (ax * ox + ay * oy) * (two[OFFSET] - one[OFFSET])
    wall[SENSE] = 1.0 if along >= 0 else -1.0


@compiled
def _without(ring: Float64, walls: Float64, removed: int) -> Float64:
    """Return the walls less one; those around it, if of one kind, become one wall."""
    count = len(walls)
    before, after = (removed - 1) % count, (removed + 1) % count
    turned = np.empty((count - 1, 5))
    for step in range(count - 1):
        turned[step] = walls[(after + step) % count]
    if count > 2 and walls[before, KIND] == walls[after, KIND]:
        # Whatever their distance: what stood between was too short to stand.
        one = walls[before].copy()
        _merged(ring, one, turned[0], np.inf)
        turned[0] = one
        return turned[:-1].copy()
    return turned


@compiled
def _crossing(one: Float64, two: Float64) -> tuple[float, float]:
    """Return the point where two walls of different kinds meet."""
    _, _, ax, ay = _axes(one[KIND])
    _, _, bx, by = _axes(two[KIND])
    det = ax * by - ay * bx
    return (
        (one[OFFSET] * by - two[OFFSET] * ay) / det,
        (two[OFFSET] * ax - one[OFFSET] * bx) / det,
    )


@compiled
def _lengths(walls: Float64) -> Float64:
    """Return the length of each wall between its neighbours, below 0 where it runs backwards."""
    count = len(walls)
    lengths = np.empty(count)
    for wall in range(count):
        begin = _crossing(walls[wall - 1], walls[wall])
        end = _crossing(walls[wall], walls[(wall + 1) % count])
        ax, ay, _, _ = _axes(walls[wall, KIND])
        lengths[wall] = walls[wall, SENSE] * (ax * (end[0] - begin[0]) + ay * (end[1] - begin[1]))
    return lengths
