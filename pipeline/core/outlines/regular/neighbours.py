"""Which polygons are near which, and which may get neighbours yet."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely

from pipeline.core.outlines.touching import Int64, Polygons

Flags = npt.NDArray[np.bool_]


def neighbours(outlines: Polygons, gap: float) -> tuple[Int64, Int64]:
    """Find pairs of neighbouring polygons, in both orders, sorted; none where the gap is 0."""
    if gap == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    one, two = shapely.STRtree(outlines).query(outlines, predicate="dwithin", distance=gap)
    one, two = one[one != two], two[one != two]
    order = np.lexsort((two, one))
    return one[order], two[order]


def may_get_neighbours(outlines: Polygons, gap: float, front: float, unmerged: Int64) -> Flags:
    """Return which polygons may still get neighbours."""
    if gap == 0:
        return np.zeros(len(outlines), bool)
    bounds = shapely.bounds(outlines)
    waits = np.zeros(len(outlines), bool)
    waits[bounds[:, 3] + gap >= front] = True
    grown = unmerged + np.array([-gap, -gap, gap, gap])
    boxes = np.asarray(shapely.box(*grown.T), object)
    waits[shapely.STRtree(outlines).query(boxes)[1]] = True
    return waits


def any_of(clusters: Int64, flags: Flags) -> Flags:
    """Return for each whether any of its cluster is True."""
    return np.bincount(clusters, flags, minlength=1)[clusters] > 0
