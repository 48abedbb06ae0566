"""Vertices of outlines that lie closer together than a written file should show.

Cutting, regularising and rounding leave edges of millimetres. Of the two ends of such an edge one
is dropped, so that the polygon loses ground rather than gains it where one of them is convex.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely

from pipeline.core.outlines.touching import Polygons

Float64 = npt.NDArray[np.float64]
APART_M = 0.03
"""Least length of an edge, in metres: rounding both ends to 1e-7 degrees leaves 10 mm of 26."""
SHARE = 0.5
"""Least length of an edge in pixels, where pixels are so fine that this is less."""


def least_edge(pixel: tuple[float, float], *, least_m: float = APART_M) -> float:
    """Return the least length of an edge for a pixel of this width and height, in their unit."""
    return min(least_m, SHARE * min(pixel))


def without_close_vertices(polygons: Polygons, *, scale: Float64, least: float) -> Polygons:
    """Drop vertices until all edges have a least length.

    What each polygon becomes depends on it alone. One that would not stay valid, or of which
    nothing would be left, stays as it is but for repeated points.

    Args:
        polygons: Valid polygons and multipolygons, (n,).
        scale: Length of a step along x and along y, for each polygon: (n, 2).
        least: Least length, in the unit of ``scale``.

    Returns:
        (n,); the same objects where nothing was to be dropped.
    """
    found = np.array(polygons, object)
    for place in np.flatnonzero(_has_short_edge(found, scale, least)).tolist():
        thinned = _thinned(found[place], scale[place], least)
        if thinned is None or not thinned.is_valid or thinned.is_empty:
            thinned = shapely.remove_repeated_points(found[place])
        if thinned.is_valid and not thinned.is_empty:
            found[place] = thinned
    return found


def _has_short_edge(polygons: Polygons, scale: Float64, least: float) -> npt.NDArray[np.bool_]:
    parts, owners = shapely.get_parts(polygons, return_index=True)
    rings, part = shapely.get_rings(parts, return_index=True)
    owners = owners[part]
    coords, ring = shapely.get_coordinates(rings, return_index=True)
    inside = ring[1:] == ring[:-1]
    owner = owners[ring[1:]] if len(ring) else ring
    steps = (coords[1:] - coords[:-1]) * scale[owner]
    short = inside & (np.hypot(steps[:, 0], steps[:, 1]) < least)
    marked = np.zeros(len(polygons), bool)
    marked[owner[short]] = True
    return marked


def _thinned(
    geometry: shapely.Geometry, scale: Float64, least: float
) -> shapely.Polygon | shapely.MultiPolygon | None:
    parts = []
    for part in shapely.get_parts(geometry):
        # The ground lies to the left of every ring.
        turned = shapely.orient_polygons(part)
        outer = _ring(np.asarray(turned.exterior.coords), scale, least)
        if outer is None:
            continue
        holes = [_ring(np.asarray(hole.coords), scale, least) for hole in turned.interiors]
        kept = shapely.Polygon(outer, [hole for hole in holes if hole is not None])
        exterior_ccw = shapely.is_ccw(part.exterior)
        parts.append(shapely.orient_polygons(kept, exterior_cw=not exterior_ccw))
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)


def _ring(points: Float64, scale: Float64, least: float) -> Float64 | None:
    """Return a closed ring without short edges; None where fewer than three corners are left."""
    corners = [tuple(point) for point in (points[:-1, :2] * scale).tolist()]
    kept = list(range(len(corners)))
    while True:
        if len(kept) < 3:
            return None
        there = np.array([corners[at] for at in kept])
        steps = np.roll(there, -1, axis=0) - there
        lengths = np.hypot(steps[:, 0], steps[:, 1])
        shortest = int(lengths.argmin())
        if lengths[shortest] >= least:
            return np.asarray(points[[*kept, kept[0]], :2], np.float64)
        before = np.roll(steps, 1, axis=0)
        # Twice the area of the triangle at each corner; above 0 where the ground loses it.
        loss = before[:, 0] * steps[:, 1] - before[:, 1] * steps[:, 0]
        ends = (shortest, (shortest + 1) % len(kept))
        dropped = min(ends, key=lambda at: (loss[at] < 0, abs(loss[at]), corners[kept[at]]))
        del kept[dropped]
