"""How well matched outlines agree: in place, in direction, in size."""

from __future__ import annotations

import numpy as np
import shapely
from jaxtyping import Float64, Shaped

from pipeline.core.metrics.overlaps import in_threads

Outlines = Shaped[np.ndarray, " pairs"]
Values = Float64[np.ndarray, " pairs"]


def polis(predicted: Outlines, reference: Outlines) -> Values:
    """Return the PoLiS distance of each pair, in units of the plane.

    ``(mean over p in P of dist(p, Q) + mean over q in Q of dist(q, P)) / 2``, with the
    vertices of one and the whole outline of the other, holes included.
    Source: Avbelj, Mueller and Bamler, A metric for polygon comparison and building
    extraction evaluation, IEEE GRSL 12(1), 2015, equation 6.
    """
    return np.asarray(_vertices_to(predicted, reference) + _vertices_to(reference, predicted)) / 2


def boundary_iou(predicted: Outlines, reference: Outlines, *, width: float) -> Values:
    """Return the IoU of the bands of ``width`` inside the outlines of each pair.

    Source: Cheng et al., Boundary IoU, CVPR 2021, with polygons for pixels.
    """

    def measure(one: Outlines, other: Outlines) -> Values:
        own, its = _rim(one, width), _rim(other, width)
        shared = shapely.area(shapely.intersection(own, its))
        whole = shapely.area(own) + shapely.area(its) - shared
        return np.asarray(np.divide(shared, whole, out=np.zeros_like(whole), where=whole > 0))

    return in_threads(measure, predicted, reference)


def rotation_error(predicted: Outlines, reference: Outlines) -> Values:
    """Return by how many degrees, 0 to 45, the tightest rectangles of each pair differ.

    Directions are taken modulo 90 degrees, since a square has no longer side.
    """
    turned = in_threads(_direction, predicted) - in_threads(_direction, reference)
    apart = turned % 90.0
    return np.asarray(np.minimum(apart, 90.0 - apart))


def area_error(predicted: Outlines, reference: Outlines) -> Values:
    """Return ``(predicted area - true area) / true area`` of each pair."""
    actual = shapely.area(reference)
    return np.asarray((shapely.area(predicted) - actual) / actual)


def _vertices_to(vertices_of: Outlines, outlines: Outlines) -> Values:
    """Return the mean distance from each polygon's vertices to the other's outline."""
    rings, ring_of = _rings(vertices_of)
    points, point_of = shapely.get_coordinates(rings, return_index=True)
    # The last point of a ring repeats its first.
    last = np.append(point_of[1:] != point_of[:-1], True)[: len(point_of)]
    points, owner = points[~last], ring_of[point_of[~last]]
    edges = shapely.boundary(outlines)
    shapely.prepare(edges)
    apart = shapely.distance(shapely.points(points), edges[owner])
    count = np.bincount(owner, minlength=len(vertices_of))
    return np.asarray(np.bincount(owner, apart, len(vertices_of)) / np.maximum(count, 1))


def _rings(
    polygons: Outlines,
) -> tuple[Shaped[np.ndarray, " rings"], Shaped[np.ndarray, " rings"]]:
    parts, part_of = shapely.get_parts(polygons, return_index=True)
    rings, ring_of = shapely.get_rings(parts, return_index=True)
    return rings, part_of[ring_of]


def _rim(polygons: Outlines, width: float) -> Outlines:
    """Return the part of each polygon within ``width`` of its outline."""
    core = shapely.buffer(polygons, -width, join_style="mitre")
    return np.asarray(shapely.difference(polygons, core))


def _direction(polygons: Outlines) -> Values:
    """Return the direction of a side of the tightest rectangle, in degrees."""
    boxes = shapely.oriented_envelope(polygons)
    usable = shapely.get_type_id(boxes) == shapely.GeometryType.POLYGON
    angle = np.zeros(len(polygons))
    corners = shapely.get_coordinates(boxes[usable]).reshape(-1, 5, 2)
    side = corners[:, 1] - corners[:, 0]
    angle[usable] = np.degrees(np.arctan2(side[:, 1], side[:, 0]))
    return angle
