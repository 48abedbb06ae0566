"""What is cut off a building where another one has the place."""

from __future__ import annotations

import math

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from pipeline.core.outlines.corners import Float64


def clipping_rectangle(
    shape: shapely.Polygon, other: shapely.Polygon, angle: float, scale: Float64, least: float
) -> shapely.Polygon:
    """Return the rectangle, along the walls of a shape, round what another has of it.

    Cut off instead of the overlap, it leaves right angles behind. It is as much longer
    as the shortest wall, so that no shorter step is left at its ends, and goes on to the
    shape's own end where that is nearer than another such wall: no splinter is left there.
    """
    cos, sin = math.cos(angle), math.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]])

    def turned(geometry: BaseGeometry) -> Float64:
        points: Float64 = (shapely.get_coordinates(geometry) * scale) @ turn
        return points

    def box(low: Float64, high: Float64) -> shapely.Polygon:
        corners = shapely.get_coordinates(shapely.box(*low, *high)) @ turn.T
        return shapely.Polygon(corners / scale)

    points = turned(shapely.intersection(shape, other))
    low, high = points.min(axis=0) - 1e-6, points.max(axis=0) + 1e-6
    wide, tall = high - low
    # No rounding decides where both are equal.
    along = 0 if wide > tall - 1e-6 else 1
    low[along] -= least
    high[along] += least
    longer = np.zeros(2)
    longer[along] = least
    beside = turned(shapely.intersection(shape, box(low - longer, high + longer)))[:, along]
    if beside.min() > low[along] - least + 1e-6:
        low[along] = min(low[along], beside.min() - 1e-6)
    if beside.max() < high[along] + least - 1e-6:
        high[along] = max(high[along], beside.max() + 1e-6)
    return box(low, high)
