"""Fewer vertices, shared walls staying shared."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely

from pipeline.core.outlines.nodata import NodataPixels
from pipeline.core.outlines.overlaps import INSIDE
from pipeline.core.outlines.regular.deviation import exceeds_deviation
from pipeline.core.outlines.rules import Rules
from pipeline.core.outlines.shared_edges import node_shared_edges
from pipeline.core.outlines.similarity import iou_against
from pipeline.core.outlines.touching import Int64, Polygons, clusters

Flags = npt.NDArray[np.bool_]


def soundly_simplified(
    polygons: Polygons, *, rules: Rules, unknown: NodataPixels | None = None
) -> Polygons:
    """Return the polygons simplified; none of them invalid, unlike itself or overlapping anew.

    A cluster of touching polygons stays as it was if one of them would be invalid, share
    less than ``rules.least_iou`` with its outline, reach farther than ``rules.stray`` out
    of it, come to cover an unknown pixel, or overlap one of another cluster, simplified or
    not.

    Args:
        polygons: Valid polygons that do not overlap.
        rules: Tolerances.
        unknown: Pixels that no polygon may come to cover.
    """
    made = simplified(polygons, tolerance=rules.simplify)
    if rules.simplify <= 0 or not len(made):
        return made
    bad = ~shapely.is_valid(made) | (shapely.get_type_id(made) != shapely.GeometryType.POLYGON)
    bad[~bad] = shapely.is_empty(made[~bad])
    bad[~bad] = iou_against(polygons[~bad], made[~bad], least=rules.least_iou) < rules.least_iou
    bad[~bad] = exceeds_deviation(made[~bad], polygons[~bad], limit=rules.stray)
    if unknown is not None:
        bad[~bad] = unknown.covered(made[~bad], polygons[~bad])
    numbers = clusters(polygons)
    bad[~bad] = _meeting(made[~bad], made[~bad], numbers[~bad])
    bad |= _meeting(np.where(bad, polygons, made), polygons, numbers)
    back = np.isin(numbers, numbers[bad])
    made[back] = polygons[back]
    return made


def _meeting(ones: Polygons, others: Polygons, numbers: Int64) -> Flags:
    """Return which of ``ones`` overlap one of ``others`` that belongs to another cluster."""
    one, two = shapely.STRtree(others).query(ones, predicate="intersects")
    apart = numbers[one] != numbers[two]
    one, two = one[apart], two[apart]
    found = np.zeros(len(ones), bool)
    found[one[shapely.relate_pattern(ones[one], others[two], INSIDE)]] = True
    return found


def simplified(polygons: Polygons, *, tolerance: float) -> Polygons:
    """Return the polygons with fewer vertices, each cluster of touching ones as one coverage.

    Corners go whose triangle with their neighbours is smaller than ``tolerance`` squared
    (Visvalingam and Whyatt 1993); what two polygons share they go on sharing, and a
    cluster that overlaps nowhere does not overlap afterwards. A cluster comes out the
    same whatever else is among the polygons, so that it may be simplified once a sweep
    has passed it; two clusters a pixel apart may come to overlap where the tolerance is
    larger than that.

    Args:
        polygons: Valid polygons that do not overlap.
        tolerance: In units of the coordinates; 0 leaves all as it is.
    """
    made = np.array(polygons, object)
    if tolerance <= 0 or not len(made):
        return made
    numbers = clusters(polygons)
    shared = np.bincount(numbers)[numbers] > 1
    if shared.any():
        made[shared] = node_shared_edges(made[shared])
    for group in _apart(polygons, numbers):
        made[group] = shapely.coverage_simplify(made[group], tolerance)
    return made


def _apart(polygons: Polygons, numbers: Int64) -> list[Int64]:
    """Return groups of whole clusters whose boxes do not meet, so that one call does for all.

    The simplifier looks no farther than boxes that meet: clusters of a group do not
    know of each other.
    """
    boxes = np.full((numbers.max() + 1, 4), np.inf)
    bounds = shapely.bounds(polygons) * (1, 1, -1, -1)
    np.minimum.at(boxes, numbers, bounds)
    boxes *= (1, 1, -1, -1)
    frames = np.asarray(shapely.box(*boxes.T), object)
    one, two = shapely.STRtree(frames).query(frames, predicate="intersects")
    order = np.lexsort((two, one))
    one, two = one[order], two[order]
    starts = np.searchsorted(one, np.arange(len(boxes) + 1))
    colour = np.full(len(boxes), -1, np.int64)
    for cluster in range(len(boxes)):
        beside = two[starts[cluster] : starts[cluster + 1]]
        taken = set(colour[beside].tolist())
        colour[cluster] = next(free for free in range(len(taken) + 1) if free not in taken)
    members = colour[numbers]
    return [np.flatnonzero(members == group) for group in range(colour.max() + 1)]
