"""One direction for neighbours whose own ones are nearly alike."""

from __future__ import annotations

import math

import numpy as np
import shapely

from pipeline.core.compiled import compiled
from pipeline.core.outlines.corners import Float64
from pipeline.core.outlines.touching import Int64, Polygons, connected, touching

ALIKE = math.radians(8)
"""Neighbours whose main directions differ by less get one direction."""


def align_directions(polygons: Polygons, angles: Float64) -> Float64:
    """Return the angles, touching polygons of nearly one angle having the same one."""
    one, two = touching(polygons)
    away = np.abs((angles[one] - angles[two] + math.pi / 4) % (math.pi / 2) - math.pi / 4)
    near = away < ALIKE
    if not near.any():
        return angles
    groups = connected(one[near], two[near], len(polygons))
    return _common(angles, groups, shapely.length(polygons))


@compiled
def _common(angles: Float64, groups: Int64, lengths: Float64) -> Float64:
    """Return the mean angle of each one's group, or its own where that is too far off.

    The longer the walls, the surer the direction; right angles are taken out by the 4.
    A polygon on its own keeps its angle bit by bit, which a mean would not.
    """
    sums = np.zeros((groups.max() + 1, 3))
    for place in range(len(angles)):
        weight = lengths[place] * lengths[place] * lengths[place]
        sums[groups[place], 0] += weight * math.cos(4 * angles[place])
        sums[groups[place], 1] += weight * math.sin(4 * angles[place])
        sums[groups[place], 2] += 1
    made = angles.copy()
    for place in range(len(angles)):
        across, along = sums[groups[place], 1], sums[groups[place], 0]
        common = math.atan2(across, along) / 4 % (math.pi / 2)
        off = (angles[place] - common + math.pi / 4) % (math.pi / 2) - math.pi / 4
        if abs(off) < ALIKE and sums[groups[place], 2] > 1:
            made[place] = common
    return made
