"""Which polygons touch each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from pipeline.core.union_find import component_numbers

Polygons = npt.NDArray[Any]
Int64 = npt.NDArray[np.int64]


def touching(polygons: Polygons) -> Int64:
    """Return the pairs ``i < j`` of polygons that share at least a point, (2, pairs), sorted."""
    one, two = shapely.STRtree(polygons).query(polygons, predicate="intersects")
    pairs = np.stack([one, two])[:, one < two]
    return pairs[:, np.lexsort((pairs[1], pairs[0]))]


def clusters(polygons: Polygons, *, gap: float = 0) -> Int64:
    """Return the number of each polygon's cluster: what touches is one, by any way round.

    Args:
        polygons: In any order.
        gap: Polygons no farther apart than this count as touching.
    """
    one, two = shapely.STRtree(polygons).query(polygons, predicate="dwithin", distance=gap)
    return connected(one, two, len(polygons))


def connected(one: Int64, two: Int64, count: int) -> Int64:
    """Return the number of each one's component where ``one[k]`` is connected to ``two[k]``."""
    return component_numbers(one, two, count)
