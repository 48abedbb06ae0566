"""Fewer vertices, shared walls staying shared."""

from __future__ import annotations

import numpy as np
import shapely

from pipeline.core.shape.clusters import Int64, Polygons, clusters
from pipeline.core.shape.noded import noded


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
        made[shared] = noded(made[shared])
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
