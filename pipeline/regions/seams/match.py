"""Which polygons of scenes the polygons across a seam take the place of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from jaxtyping import Bool, Float64, Int64, Shaped

from pipeline.core.union_find import component_numbers

SHARED = 0.3
"""A polygon and a new one show the same ground where they share so much of the smaller."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MatchedGround:
    """Old and new polygons on the same ground."""

    old: Int64[np.ndarray, " pairs"]
    """Old polygon of each pair."""
    new: Int64[np.ndarray, " pairs"]
    """New polygon of each."""
    shared: Float64[np.ndarray, " pairs"]
    """Area that both cover, in pixels."""
    old_part: Int64[np.ndarray, " olds"]
    """A number that polygons have in common which pairs connect."""
    new_part: Int64[np.ndarray, " news"]
    """The same for new ones."""


def match_ground(
    old: Shaped[np.ndarray, " olds"],
    new: Shaped[np.ndarray, " news"],
    *,
    old_label: Int64[np.ndarray, " olds"],
    new_label: Int64[np.ndarray, " news"],
) -> MatchedGround:
    """Return which polygons of one class lie on the same ground."""
    count = len(old) + len(new)
    one, two = (
        shapely.STRtree(new).query(old, predicate="intersects")
        if len(old) and len(new)
        else np.empty((2, 0), np.int64)
    )
    alike = old_label[one] == new_label[two]
    one, two = one[alike].astype(np.int64), two[alike].astype(np.int64)
    shared = shapely.area(shapely.intersection(old[one], new[two]))
    least = np.minimum(shapely.area(old[one]), shapely.area(new[two]))
    keep = (shared >= SHARED * least) & (shared > 0)
    one, two, shared = one[keep], two[keep], shared[keep]
    part = component_numbers(one, two + len(old), count)
    return MatchedGround(
        old=one,
        new=two,
        shared=np.asarray(shared, np.float64),
        old_part=part[: len(old)],
        new_part=part[len(old) :],
    )


def within(
    shapes: Shaped[np.ndarray, " n"], others: Shaped[np.ndarray, " m"], distance: float
) -> Bool[np.ndarray, " n"]:
    """Return which shapes lie so near to any of the others."""
    found = np.zeros(len(shapes), bool)
    if len(shapes) and len(others):
        tree = shapely.STRtree(others)
        found[tree.query(shapes, predicate="dwithin", distance=distance)[0]] = True
    return found
