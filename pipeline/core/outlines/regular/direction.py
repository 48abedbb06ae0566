"""The main direction of a building: the one most of its walls lie along or across."""

from __future__ import annotations

import math

import numpy as np

from pipeline.core.compiled import compiled
from pipeline.core.outlines.corners import Float64, Int64, corners

RIGHT = math.pi / 2
BINS = 90
"""A bin is a degree."""
SPREAD = 6
"""Bins to either side over which an edge's weight is spread, decreasing."""
CORNER = 1.0
"""How much of a wall's ends does not count, in pixels; a fifth of short walls."""


@compiled
def directions(
    coords: Float64, ring_offsets: Int64, polygon_offsets: Int64, tolerance: float
) -> Float64:
    """Return each polygon's main direction and how much of its walls lie along it.

    Args:
        coords: Vertices of all rings, (vertices, 2).
        ring_offsets: Offsets of the rings into ``coords``.
        polygon_offsets: Offsets of the polygons into the rings; shells come first.
        tolerance: A wall is what lies within so much of a line.

    Returns:
        (polygons, 2): an angle in 0..pi/2, and the share of the shell's walls, by
        length, that are within 15 degrees of it or of its perpendicular.
    """
    found = np.zeros((len(polygon_offsets) - 1, 2))
    for polygon in range(len(found)):
        shell = polygon_offsets[polygon]
        ring = coords[ring_offsets[shell] : ring_offsets[shell + 1]]
        walls = corners(ring, tolerance)
        angle = _fitted(ring, walls, _commonest(ring, walls))
        found[polygon, 0] = angle
        along = 0.0
        total = 0.0
        for wall in range(len(walls)):
            length, turned = _wall(ring, walls, wall)
            total += length
            if abs(_away(turned, angle)) < RIGHT / 6:
                along += length
        found[polygon, 1] = along / total if total else 0.0
    return found


@compiled
def _wall(ring: Float64, walls: Int64, wall: int) -> tuple[float, float]:
    """Return a wall's length and its angle."""
    one = ring[walls[wall]]
    two = ring[walls[(wall + 1) % len(walls)]]
    return np.hypot(two[0] - one[0], two[1] - one[1]), np.arctan2(two[1] - one[1], two[0] - one[0])


@compiled
def _away(one: float, two: float) -> float:
    """Return the difference of two angles, right angles taken out, in -pi/4..pi/4."""
    return (one - two + RIGHT / 2) % RIGHT - RIGHT / 2


@compiled
def _commonest(ring: Float64, walls: Int64) -> float:
    """Return the direction that most of the walls lie near, right angles taken out.

    A wall counts by the square of its length: the longer, the surer its direction.
    """
    votes = np.zeros(BINS)
    for wall in range(len(walls)):
        length, angle = _wall(ring, walls, wall)
        place = int(angle % RIGHT / RIGHT * BINS)
        for step in range(-SPREAD, SPREAD + 1):
            votes[(place + step) % BINS] += length**2 * (SPREAD + 1 - abs(step))
    return (np.argmax(votes) + 0.5) * RIGHT / BINS


@compiled
def _fitted(ring: Float64, walls: Int64, guess: float) -> float:
    """Return the direction of the parallels and perpendiculars that fit the ring best.

    Least squares over the ring's own edges: the scatter about the mean of each wall near
    the guess is summed, those across turned by a right angle, and the main axis of the
    sum is the direction.
    """
    sxx = syy = sxy = 0.0
    for wall in range(len(walls)):
        _, angle = _wall(ring, walls, wall)
        if abs(_away(angle, guess)) > RIGHT / 5:
            continue
        xx, yy, xy = _scatter(ring, walls[wall], walls[(wall + 1) % len(walls)])
        if abs(np.sin(angle - guess)) > np.sqrt(0.5):
            xx, yy, xy = yy, xx, -xy
        sxx += xx
        syy += yy
        sxy += xy
    if sxx == syy and sxy == 0:
        return guess
    return float(0.5 * np.arctan2(2 * sxy, sxx - syy) % RIGHT)


@compiled
def _scatter(ring: Float64, first: int, last: int) -> tuple[float, float, float]:
    """Return the scatter (xx, yy, xy) of the edges between two corners, less at both ends.

    A step beside a corner is one of either wall, so what lies within ``CORNER`` of it,
    measured along the wall, speaks for none.
    """
    count = len(ring) - 1
    if last <= first:
        last += count
    dx = ring[last % count, 0] - ring[first, 0]
    dy = ring[last % count, 1] - ring[first, 1]
    length = np.hypot(dx, dy)
    if length == 0:
        return 0.0, 0.0, 0.0
    dx, dy = dx / length, dy / length
    low = min(CORNER, length / 5)
    high = length - low
    weight = x = y = xx = yy = xy = 0.0
    for vertex in range(first, last):
        ax = ring[vertex % count, 0] - ring[first, 0]
        ay = ring[vertex % count, 1] - ring[first, 1]
        ex = ring[(vertex + 1) % count, 0] - ring[first, 0] - ax
        ey = ring[(vertex + 1) % count, 1] - ring[first, 1] - ay
        at = ax * dx + ay * dy
        step = ex * dx + ey * dy
        begin, end = 0.0, 1.0
        if step:
            begin = max(begin, min((low - at) / step, (high - at) / step))
            end = min(end, max((low - at) / step, (high - at) / step))
        elif not low <= at <= high:
            continue
        if begin >= end:
            continue
        middle = (begin + end) / 2
        px, py = ax + middle * ex, ay + middle * ey
        ex, ey = ex * (end - begin), ey * (end - begin)
        piece = np.hypot(ex, ey)
        weight += piece
        x += piece * px
        y += piece * py
        xx += piece * (px * px + ex * ex / 12)
        yy += piece * (py * py + ey * ey / 12)
        xy += piece * (px * py + ex * ey / 12)
    if weight == 0:
        return 0.0, 0.0, 0.0
    return xx - x * x / weight, yy - y * y / weight, xy - x * y / weight
