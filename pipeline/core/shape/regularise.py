"""Buildings with walls at right angles, where that does them no wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from pipeline.core.compiled import compiled
from pipeline.core.shape.clusters import Polygons, clusters, connected, touching
from pipeline.core.shape.corners import Float64, Int64
from pipeline.core.shape.direction import directions
from pipeline.core.shape.likeness import DOUBT, alike, overlaid
from pipeline.core.shape.overlaps import apart
from pipeline.core.shape.simplify import simplified
from pipeline.core.shape.walls import straightened

Flags = npt.NDArray[np.bool_]

ALIKE = math.radians(8)
"""Neighbours whose main directions differ by less get one direction."""
RECTANGULAR = 0.3
"""Least share of the walls that must lie near the main directions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How buildings are regularised; lengths are pixels."""

    tolerance: float = 1.6
    """How far an outline may stray from a wall, before corners are looked for."""
    least_wall: float = 3.0
    """Shorter walls go."""
    least_diagonal: float = math.inf
    """Shortest wall that may lie at 45 degrees; infinite for none."""
    least_iou: float = 0.85
    """Least intersection over union of a building with its unregularised self."""
    simplify: float = 0.0
    """How far those that are not regularised are simplified; 0 leaves them as they are."""


def regularised(
    polygons: Polygons, *, rules: Rules = Rules(), pixel: tuple[float, float] = (1.0, 1.0)
) -> tuple[Polygons, Flags]:
    """Return the polygons with straight walls along and across a main direction.

    Each is valid, overlaps no other one by more than those it was given do, and shares
    at least ``rules.least_iou`` with its own outline; else it is as it was, or simplified. A
    polygon's new outline depends on those near it only; where two claim a place, the
    first has it, so give them in one order, that of their anchors.

    Args:
        polygons: Outlines in pixels, as traced or simplified; the more they follow the
            pixels, the better is known where a wall lies.
        rules: Tolerances.
        pixel: Width and height of a pixel on the ground, so that angles are right there.

    Returns:
        The polygons, and True where one is regularised.
    """
    made = np.array(polygons, object)
    flags = np.zeros(len(polygons), bool)
    if not len(polygons):
        return made, flags
    scale = np.array(pixel) / math.sqrt(pixel[0] * pixel[1])
    coords, rings, parts = _ragged(polygons, scale)
    found = directions(coords, rings, parts, rules.tolerance)
    angles = _agreed(polygons, found[:, 0])
    ways = [
        (rules.tolerance, rules.least_wall, math.inf),
        # Small or winding ones: followed more closely.
        (rules.tolerance / 2, rules.least_wall / 1.5, math.inf),
    ]
    if rules.least_diagonal < math.inf:
        ways.append((rules.tolerance, rules.least_wall, rules.least_diagonal))
    like = np.zeros(len(polygons))
    for way in ways:
        left = np.flatnonzero(~flags & (found[:, 1] >= RECTANGULAR))
        if not len(left):
            break
        shapes = _drawn(polygons[left], angles[left], way, scale)
        sound = shapely.is_valid(shapes)
        like[left[sound]] = alike(polygons[left[sound]], shapes[sound], least=rules.least_iou)
        sound &= like[left] >= rules.least_iou
        made[left[sound]] = shapes[sound]
        flags[left[sound]] = True

    areas, whole = shapely.area(polygons), shapely.area(made)

    def fits(place: int, shape: shapely.Polygon) -> bool:
        # Cutting an area off costs no more than it over the union, which is no less than
        # the outline: an overlay is spared where that is little.
        lost = whole[place] - shape.area
        if like[place] - DOUBT - lost / areas[place] >= rules.least_iou:
            return True
        before, after = np.array([polygons[place]]), np.array([shape])
        return bool(overlaid(before, after)[0] >= rules.least_iou)

    kept = _Kept(polygons, rules.simplify)
    made[~flags] = kept(np.flatnonzero(~flags))
    return apart((polygons, made), flags, kept, fits)


class _Kept:
    """What becomes of polygons that are not regularised, worked out where it is asked for."""

    def __init__(self, polygons: Polygons, tolerance: float) -> None:
        self._shapes = np.array(polygons, object)
        self._tolerance = tolerance
        self._clusters = clusters(polygons)
        self._left = np.full(len(polygons), tolerance > 0)

    def __call__(self, places: Int64) -> Polygons:
        """Return the polygons at the places, simplified together with all they touch."""
        asked = np.isin(self._clusters, self._clusters[places[self._left[places]]])
        if asked.any():
            self._shapes[asked] = simplified(self._shapes[asked], tolerance=self._tolerance)
            self._left[asked] = False
        shapes: Polygons = self._shapes[places]
        return shapes


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


def _agreed(polygons: Polygons, angles: Float64) -> Float64:
    """Return the angles, touching polygons of nearly one angle having the same one."""
    one, two = touching(polygons)
    away = np.abs((angles[one] - angles[two] + math.pi / 4) % (math.pi / 2) - math.pi / 4)
    near = away < ALIKE
    if not near.any():
        return angles
    groups = connected(one[near], two[near], len(polygons))
    # The longer the walls, the surer the direction; right angles are taken out by the 4.
    weights = shapely.length(polygons) ** 3
    sums = np.zeros((groups.max() + 1, 2))
    np.add.at(
        sums, groups, np.stack([np.cos(4 * angles), np.sin(4 * angles)], 1) * weights[:, None]
    )
    common = (np.arctan2(sums[:, 1], sums[:, 0]) / 4)[groups] % (math.pi / 2)
    off = np.abs((angles - common + math.pi / 4) % (math.pi / 2) - math.pi / 4)
    agreed: Float64 = np.where(off < ALIKE, common, angles)
    return agreed


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
