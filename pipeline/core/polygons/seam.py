"""Polygons along the border of a core, pixel by pixel."""

from __future__ import annotations

import numpy as np

from pipeline.core.compiled import compiled
from pipeline.core.polygons.fragments import Int32, Int64


@compiled
def bounds_of_corners(coords: Int32) -> tuple[int, int, int, int]:
    """Return the least x and y and the greatest x and y of some corners."""
    left, top = coords[0, 0], coords[0, 1]
    right, bottom = left, top
    for vertex in range(len(coords)):
        left = min(left, coords[vertex, 0])
        top = min(top, coords[vertex, 1])
        right = max(right, coords[vertex, 0])
        bottom = max(bottom, coords[vertex, 1])
    return left, top, right, bottom


@compiled
def border_polygons(
    coords: Int32,
    ring_offsets: Int64,
    polygon_offsets: Int64,
    window: tuple[int, int, int, int],
) -> tuple[Int64, Int64, Int64, Int64]:
    """Return the polygon at each pixel of the top, left, bottom and right border.

    Args:
        coords: As in ``Fragments``, like the two that follow.
        ring_offsets: Offsets into ``coords``.
        polygon_offsets: Offsets into ``ring_offsets``.
        window: Row, column, height and width of the core.

    Returns:
        Index of the polygon, or -1 where there is none; top and bottom are as long
        as the core is wide, left and right as it is high.
    """
    row, col, height, width = window
    top = np.full(width, -1, np.int64)
    left = np.full(height, -1, np.int64)
    bottom = np.full(width, -1, np.int64)
    right = np.full(height, -1, np.int64)
    for polygon in range(len(polygon_offsets) - 1):
        # Only the shell can touch: a hole has the polygon's pixels all around.
        shell = polygon_offsets[polygon]
        for vertex in range(ring_offsets[shell], ring_offsets[shell + 1] - 1):
            x0 = coords[vertex, 0] - col
            y0 = coords[vertex, 1] - row
            x1 = coords[vertex + 1, 0] - col
            y1 = coords[vertex + 1, 1] - row
            if y0 == y1:
                if y0 == 0:
                    top[x0:x1] = polygon
                elif y0 == height:
                    bottom[x1:x0] = polygon
            elif x0 == 0:
                left[y1:y0] = polygon
            elif x0 == width:
                right[y0:y1] = polygon
    return top, left, bottom, right
