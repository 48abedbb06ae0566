"""Buildings with walls at right angles, where that does them no wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import shapely

from pipeline.core.compiled import compiled
from pipeline.core.outlines.corners import Float64, Int64
from pipeline.core.outlines.nodata import NodataPixels
from pipeline.core.outlines.overlaps import AS_IT_WAS, subtract_neighbours
from pipeline.core.outlines.regular.align_directions import align_directions
from pipeline.core.outlines.regular.deviation import exceeds_deviation
from pipeline.core.outlines.regular.direction import directions
from pipeline.core.outlines.regular.straight_edges import straightened
from pipeline.core.outlines.regular.subtract import clipping_rectangle
from pipeline.core.outlines.rules import Rules
from pipeline.core.outlines.similarity import DOUBT, exact_iou, iou_against
from pipeline.core.outlines.touching import Polygons

Flags = npt.NDArray[np.bool_]

AS_USUAL = Rules()
FINER = (1.0, 1.4, 2.0, 3.0)
"""By how much smaller the tolerances are of each attempt."""
REGULARISED, SIMPLIFIED = 1, 2
"""Ranks of what is not as it was: the simplified one gives way."""
NONE: Polygons = np.empty(0, object)
RECTANGULAR = 0.3
"""Least share of the walls that must lie near the main directions."""


def regularised(
    polygons: Polygons,
    *,
    rules: Rules = AS_USUAL,
    pixel: tuple[float, float] = (1.0, 1.0),
    fixed: Polygons = NONE,
    unknown: NodataPixels | None = None,
) -> tuple[Polygons, Flags]:
    """Return the polygons with straight walls along and across a main direction.

    Each is valid, overlaps no other one by more than those it was given do, shares at
    least ``rules.least_iou`` with its own outline, reaches at most ``rules.stray`` pixels
    out of it and comes to cover nothing unknown; else it is simplified, under the same
    conditions, or as it was. A polygon's new outline depends on those near it only, and
    on those that these depend on; where two claim a place, the first has it, so give
    them in one order, that of their anchors.

    Args:
        polygons: Outlines in pixels, as traced or simplified; the more they follow the
            pixels, the better is known where a wall lies.
        rules: Tolerances.
        pixel: Width and height of a pixel on the ground, so that angles are right there.
        fixed: What has its final outline already and is not to be overlapped.
        unknown: Pixels that no polygon may come to cover.

    Returns:
        The polygons, and True where one is regularised.
    """
    if not len(polygons):
        return np.array(polygons, object), np.zeros(0, bool)
    unknown = NodataPixels() if unknown is None else unknown
    straight = straightened_each(polygons, rules=rules, pixel=pixel, together=True, unknown=unknown)
    made, like = straight.polygons, straight.like
    ranks = np.where(like > 0, REGULARISED, AS_IT_WAS)
    left = np.flatnonzero(like == 0)
    made[left], like[left] = simplified_each(polygons[left], rules=rules, unknown=unknown)
    ranks[left[like[left] > 0]] = SIMPLIFIED
    scale = _scale(pixel)
    areas = shapely.area(polygons)
    corners = shapely.get_num_coordinates(polygons)

    def trimmed(place: int, other: shapely.Polygon) -> shapely.Polygon | None:
        ways = [shapely.difference(made[place], other)]
        if ranks[place] == REGULARISED:
            removed = clipping_rectangle(
                made[place], other, straight.angles[place], scale, rules.least_wall
            )
            ways.insert(0, shapely.difference(made[place], removed))
        for shape in ways:
            if shape.geom_type != "Polygon" or shape.is_empty or not shape.is_valid:
                continue
            # A simplified one that a cut has given more corners than it had is none.
            if ranks[place] == SIMPLIFIED and corners[place] < shapely.get_num_coordinates(shape):
                continue
            # Cutting an area off costs no more than it over the union, which is no less
            # than the outline: an overlay is spared where that is little.
            lost = (made[place].area - shape.area) / areas[place]
            least = like[place] - lost
            if least - DOUBT < rules.least_iou:
                least = exact_iou(np.array([polygons[place]]), np.array([shape]))[0] + DOUBT
            if least - DOUBT >= rules.least_iou:
                like[place] = least
                return cast("shapely.Polygon", shape)
        return None

    made = np.concatenate([made, fixed])
    ranks = np.append(ranks, np.full(len(fixed), AS_IT_WAS))
    subtract_neighbours(np.concatenate([polygons, fixed]), made, ranks, trimmed)
    return made[: len(polygons)], ranks[: len(polygons)] == REGULARISED


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Straight:
    """Polygons with straight walls, whatever they overlap."""

    polygons: Polygons
    """The new outlines; the old one where none was found that keeps to the rules."""
    like: Float64
    """Intersection over union with the old outline; 0 where none was found."""
    angles: Float64
    """The main directions."""


def straightened_each(
    polygons: Polygons,
    *,
    rules: Rules,
    pixel: tuple[float, float],
    together: bool,
    unknown: NodataPixels,
) -> Straight:
    """Return each polygon with straight walls, whatever it overlaps.

    Args:
        polygons: Outlines in pixels.
        rules: Tolerances.
        pixel: Width and height of a pixel on the ground.
        together: Whether polygons that touch have one direction where theirs are alike.
        unknown: Pixels that no polygon may come to cover.
    """
    made = np.array(polygons, object)
    like = np.zeros(len(polygons))
    scale = _scale(pixel)
    coords, rings, parts = _ragged(polygons, scale)
    found = directions(coords, rings, parts, rules.tolerance)
    angles = align_directions(polygons, found[:, 0]) if together else found[:, 0]
    # Small or winding ones are followed more and more closely.
    ways = [(rules.tolerance / finer, rules.least_wall / finer**0.6, math.inf) for finer in FINER]
    if rules.least_diagonal < math.inf:
        ways.append((rules.tolerance, rules.least_wall, rules.least_diagonal))
    for way in ways:
        left = np.flatnonzero((like == 0) & (found[:, 1] >= RECTANGULAR))
        if not len(left):
            break
        shapes = _drawn(polygons[left], angles[left], way, scale)
        likeness = _likeness(shapes, polygons[left], rules, unknown)
        sound = likeness > 0
        made[left[sound]] = shapes[sound]
        like[left[sound]] = likeness[sound]
    return Straight(polygons=made, like=like, angles=angles)


def simplified_each(
    polygons: Polygons, *, rules: Rules, unknown: NodataPixels
) -> tuple[Polygons, Float64]:
    """Return each polygon simplified, whatever it overlaps, and its likeness.

    Source: Douglas and Peucker 1973, as GEOS does it without making a polygon invalid.
    """
    made = np.array(polygons, object)
    like = np.zeros(len(polygons))
    for finer in FINER if rules.simplify > 0 else ():
        left = np.flatnonzero(like == 0)
        shapes = shapely.simplify(polygons[left], rules.simplify / finer)
        likeness = _likeness(shapes, polygons[left], rules, unknown)
        sound = likeness > 0
        made[left[sound]] = shapes[sound]
        like[left[sound]] = likeness[sound]
    return made, like


def _likeness(shapes: Polygons, outlines: Polygons, rules: Rules, unknown: NodataPixels) -> Float64:
    """Return intersection over union, 0 where a shape does not keep to the rules."""
    like = np.zeros(len(shapes))
    sound = shapely.is_valid(shapes) & (shapely.get_num_coordinates(shapes) > 0)
    like[sound] = iou_against(outlines[sound], shapes[sound], least=rules.least_iou)
    like[like < rules.least_iou] = 0
    sound = like > 0
    strayed = exceeds_deviation(shapes[sound], outlines[sound], limit=rules.stray)
    like[np.flatnonzero(sound)[strayed]] = 0
    left = np.flatnonzero(like > 0)
    like[left[unknown.covered(shapes[left], outlines[left])]] = 0
    return like


def _scale(pixel: tuple[float, float]) -> Float64:
    """Return what makes pixels square, of the area that they have."""
    return np.array(pixel) / math.sqrt(pixel[0] * pixel[1])


def _ragged(polygons: Polygons, scale: Float64) -> tuple[Float64, Int64, Int64]:
    """Return vertices times ``scale``, offsets of rings into them, of polygons into rings."""
    _, coords, (rings, parts) = shapely.to_ragged_array(polygons)
    coords = np.ascontiguousarray(coords[:, :2] * scale)
    return coords, rings.astype(np.int64), parts.astype(np.int64)


def _drawn(
    polygons: Polygons, angles: Float64, limits: tuple[float, float, float], scale: Float64
) -> Polygons:
    """Return the polygons straightened, None where nothing is left."""
    coords, rings, parts = _straightened(*_ragged(polygons, scale), angles, limits)
    shapes = np.full(len(polygons), None, object)
    places = np.flatnonzero(np.diff(parts))
    if len(places):
        offsets = np.append(parts[places], parts[-1])
        shapes[places] = shapely.from_ragged_array(
            shapely.GeometryType.POLYGON, coords / scale, (rings, offsets)
        )
    return shapes


@compiled
def _straightened(
    coords: Float64,
    ring_offsets: Int64,
    polygon_offsets: Int64,
    angles: Float64,
    limits: tuple[float, float, float],
) -> tuple[Float64, Int64, Int64]:
    """Return the straightened rings, ragged; a polygon whose shell is lost has none."""
    made = np.empty((4 * len(coords) + 16, 2))
    rings = np.zeros(len(ring_offsets), np.int64)
    parts = np.zeros(len(polygon_offsets), np.int64)
    count = 0
    for polygon in range(len(angles)):
        cos, sin = np.cos(angles[polygon]), np.sin(angles[polygon])
        for part in range(polygon_offsets[polygon], polygon_offsets[polygon + 1]):
            ring = coords[ring_offsets[part] : ring_offsets[part + 1]]
            x, y = ring[0]
            turned = np.empty_like(ring)
            turned[:, 0] = (ring[:, 0] - x) * cos + (ring[:, 1] - y) * sin
            turned[:, 1] = (ring[:, 1] - y) * cos - (ring[:, 0] - x) * sin
            walls = straightened(turned, limits[0], limits[1], limits[2])
            if not len(walls):
                if part == polygon_offsets[polygon]:
                    break
                continue
            begin = rings[count]
            end = begin + len(walls)
            made[begin:end, 0] = x + walls[:, 0] * cos - walls[:, 1] * sin
            made[begin:end, 1] = y + walls[:, 0] * sin + walls[:, 1] * cos
            count += 1
            rings[count] = end
        parts[polygon + 1] = count
    return made[: rings[count]], rings[: count + 1], parts
