"""Polygons on the Earth as RFC 7946 wants them."""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import shapely
from jaxtyping import Float64, Shaped
from shapely.geometry import MultiPolygon, Polygon, box
from shapely.geometry.base import BaseGeometry

from pipeline.core.georef import Georef
from pipeline.core.outlines.close_vertices import without_close_vertices

STEP = 1e-7
"""Seven decimals of a degree: 11 mm on the ground."""
LEAST_M = 0.01
"""Least length of an edge on the ground."""
METRES_A_DEGREE = 111_195.0
"""Of latitude, on a sphere of the Earth's mean radius; 0.6 % off at most on the ellipsoid."""
_LONGEST_EDGE = 512.0
_EMPTY = Polygon()


def to_lonlat_polygons(
    polygons: Shaped[np.ndarray, " n"], georef: Georef
) -> Shaped[np.ndarray, " n"]:
    """Return polygons in pixel coordinates as longitudes and latitudes.

    Every one is valid, has its coordinates on multiples of 1e-7 degrees within -180..180
    and -90..90, outer rings counter-clockwise and holes clockwise. What crosses the
    antimeridian is cut there into a MultiPolygon (RFC 7946, 3.1.9). Edges longer than
    512 pixels get points in between: straight on the scene's grid is not straight in
    degrees (3 m off after 12 km at 45 N, 6 mm after 512 m).

    Returns:
        Polygons and MultiPolygons; empty ones where nothing is left after rounding, or
        where the reference system has no place for a point.
    """
    if not len(polygons):
        return polygons
    split = _with_more_points(polygons)
    _, pixels, offsets = shapely.to_ragged_array(split, include_z=False)
    placed = georef.to_lonlat(np.ascontiguousarray(pixels, np.float64))
    owner = np.repeat(np.arange(len(polygons)), np.diff(offsets[0][offsets[1]]))
    lost = np.unique(owner[~np.isfinite(placed).all(axis=1)])
    placed[~np.isfinite(placed)] = 0.0

    wild = np.unique(owner[_leaves_the_world(placed, owner)])
    earthly = _from_rings(rounded_lonlat(placed), offsets)
    for which in np.setdiff1d(wild, lost).tolist():
        rings = offsets[0][offsets[1][which] : offsets[1][which + 1] + 1]
        parts = [placed[a:b] for a, b in pairwise(rings)]
        earthly[which] = shapely.transform(cut_at_antimeridian(parts), rounded_lonlat)
    earthly[lost] = _EMPTY
    earthward: Shaped[np.ndarray, " n"] = shapely.orient_polygons(_spaced(_valid(earthly), georef))
    return earthward


def _spaced(polygons: Shaped[np.ndarray, " n"], georef: Georef) -> Shaped[np.ndarray, " n"]:
    """Drop vertices that rounding has brought closer together than a centimetre."""
    low, high = shapely.bounds(polygons)[:, 1], shapely.bounds(polygons)[:, 3]
    along = METRES_A_DEGREE * np.cos(np.radians(np.nan_to_num((low + high) / 2)))
    scale = np.column_stack([along, np.full(len(polygons), METRES_A_DEGREE)])
    a, b, _, d, e, _ = georef.transform
    # Of pixels below 2 cm, in metres or feet: half of one. Degrees are never so fine.
    pixel = min(math.hypot(a, d), math.hypot(b, e)) if georef.crs.is_projected else math.inf
    least = min(LEAST_M, pixel / 2)
    return without_close_vertices(polygons, scale=scale, least=least)


def cut_at_antimeridian(rings: list[Float64[np.ndarray, "_ 2"]]) -> BaseGeometry:
    """Return the polygon of ``rings`` in lon/lat, cut at 180 degrees and shifted into -180..180.

    Neighbouring points are taken to be less than 180 degrees apart. A ring that goes
    once around the Earth holds a pole, the nearer one, and is closed over it.

    Args:
        rings: Closed rings, outer one first; longitudes may jump or lie beyond 180.
    """
    outer = _closed_over_pole(_unwrapped(rings[0]))
    holes = []
    for ring in rings[1:]:
        hole = _unwrapped(ring)
        turns = round((outer[:, 0].mean() - hole[:, 0].mean()) / 360)
        holes.append(np.add(hole, [360.0 * turns, 0.0]))
    whole = shapely.make_valid(Polygon(outer, holes))
    west, _, east, _ = whole.bounds
    first, last = math.floor((west + 180) / 360), math.ceil((east + 180) / 360)
    parts: list[Any] = []
    for turn in range(first, max(last, first + 1)):
        world = box(360.0 * turn - 180, -90, 360.0 * turn + 180, 90)
        shift = partial(np.add, [-360.0 * turn, 0.0])
        parts.extend(_polygons(shapely.transform(shapely.intersection(whole, world), shift)))
    return parts[0] if len(parts) == 1 else MultiPolygon(parts)


def _with_more_points(polygons: Shaped[np.ndarray, " n"]) -> Shaped[np.ndarray, " n"]:
    bounds = shapely.bounds(polygons)
    large = np.maximum(bounds[:, 2] - bounds[:, 0], bounds[:, 3] - bounds[:, 1]) > _LONGEST_EDGE
    split = polygons.copy()
    split[large] = shapely.segmentize(polygons[large], _LONGEST_EDGE)
    return split


def _leaves_the_world(
    lonlat: Float64[np.ndarray, "n 2"], owner: Shaped[np.ndarray, " n"]
) -> Shaped[np.ndarray, " n"]:
    wild = (np.abs(lonlat) > [180.0, 90.0]).any(axis=1)
    jumps = (np.abs(np.diff(lonlat[:, 0])) > 180) & (owner[1:] == owner[:-1])
    wild[1:] |= jumps
    return np.asarray(wild)


def _from_rings(points: Float64[np.ndarray, "m 2"], offsets: Any) -> Shaped[np.ndarray, " n"]:
    made: Shaped[np.ndarray, " n"] = shapely.from_ragged_array(
        shapely.GeometryType.POLYGON, points, offsets
    )
    return made


def rounded_lonlat(points: Float64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n 2"]:
    """Round degrees to multiples of 1e-7."""
    # Divided, not multiplied by 1e-7: the double nearest to seven decimals. No -0.0.
    return np.round(points * 1e7) / 1e7 + 0.0


def _valid(polygons: Shaped[np.ndarray, " n"]) -> Shaped[np.ndarray, " n"]:
    """Repair what rounding broke, on the same grid of decimals; empty where nothing is left."""
    for which in np.flatnonzero(~shapely.is_valid(polygons)).tolist():
        fixed = shapely.set_precision(shapely.make_valid(polygons[which]), STEP)
        fixed = shapely.transform(_only_polygons(fixed), rounded_lonlat)
        polygons[which] = fixed if shapely.is_valid(fixed) else _EMPTY
    polygons[shapely.area(polygons) == 0] = _EMPTY
    return polygons


def _only_polygons(geometry: BaseGeometry) -> BaseGeometry:
    parts = _polygons(geometry)
    if len(parts) == 1:
        only: BaseGeometry = parts[0]
        return only
    return MultiPolygon(parts) if parts else _EMPTY


def _polygons(geometry: BaseGeometry) -> list[Any]:
    parts = shapely.get_parts(shapely.get_parts([geometry]))
    return [part for part in parts if part.geom_type == "Polygon" and part.area > 0]


def _unwrapped(ring: Float64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n 2"]:
    return np.column_stack([np.unwrap(ring[:, 0], period=360.0), ring[:, 1]])


def _closed_over_pole(ring: Float64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "m 2"]:
    start, end = ring[0, 0], ring[-1, 0]
    if abs(end - start) < 180:
        return ring
    pole = math.copysign(90.0, ring[:, 1].mean())
    # The outline, up to the pole, back along it, and down again.
    return np.vstack([ring, [[end, pole], [start, pole], ring[0]]])
