"""The main direction of a building: the one most of its walls lie along or across."""

from __future__ import annotations

import math

import numpy as np

from pipeline.core.compiled import compiled
from pipeline.core.shape.corners import Float64, Int64, corners

RIGHT = math.pi / 2
BINS = 90
"""A bin is a degree."""
SPREAD = 6
"""Bins to either side that a wall's direction speaks for, less and less."""


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

    Least squares over the middles of the ring's own edges: the scatter about the mean
    of each wall near the guess is summed, those across turned by a right angle, and
    the main axis of the sum is the direction.
    """
    count = len(ring) - 1
    sxx = syy = sxy = 0.0
    for wall in range(len(walls)):
        _, angle = _wall(ring, walls, wall)
        if abs(_away(angle, guess)) > RIGHT / 5:
            continue
        first = walls[wall]
        last = walls[(wall + 1) % len(walls)]
        if last <= first:
            last += count
        weight = x = y = xx = yy = xy = 0.0
        for vertex in range(first, last):
            one = ring[vertex % count]
            two = ring[(vertex + 1) % count]
            length = np.hypot(two[0] - one[0], two[1] - one[1])
            px = (one[0] + two[0]) / 2 - ring[first, 0]
            py = (one[1] + two[1]) / 2 - ring[first, 1]
            weight += length
            x += length * px
            y += length * py
            xx += length * px * px
            yy += length * py * py
            xy += length * px * py
        if weight == 0 or last - first < 2:
            # A wall of one edge has no scatter of middles: its ends stand for it.
            dx = ring[last % count, 0] - ring[first, 0]
            dy = ring[last % count, 1] - ring[first, 1]
            weight = np.hypot(dx, dy)
            x = y = 0.0
            xx, yy, xy = weight * dx * dx / 12, weight * dy * dy / 12, weight * dx * dy / 12
        if weight == 0:
            continue
        xx -= x * x / weight
        yy -= y * y / weight
        xy -= x * y / weight
        if abs(np.sin(angle - guess)) > np.sqrt(0.5):
            xx, yy, xy = yy, xx, -xy
        sxx += xx
        syy += yy
        sxy += xy
    if sxx == syy and sxy == 0:
        return guess
    return float(0.5 * np.arctan2(2 * sxy, sxx - syy) % RIGHT)
