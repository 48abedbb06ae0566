"""Adjoining pieces share out the plane: each place belongs to one that shows it.

Where two pieces of one acquisition overlap, each keeps the half that is farther from its own
edge, where it has seen more of the surroundings::

    +----------+---+---+
    |  first   | 1 | 2 |  second
    +----------+---+---+----------+
               |   |   |          |
               +---+---+----------+
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import shapely
from jaxtyping import Int64, Shaped
from shapely.geometry.base import BaseGeometry

_BESIDE = 0.1
"""Pixels within which two borders lie on each other."""
TOUCHING = 1.5
"""Pixels between pieces that adjoin without a gap: grids need not fall on each other."""


def _always(first: int, second: int) -> bool:
    return first < second


@dataclass(frozen=True, slots=True, kw_only=True)
class Territories:
    """The territory of each piece; areas in pixels of one grid."""

    area: Shaped[np.ndarray, " pieces"]
    """Disjoint areas, one a piece; together they are what the pieces cover."""
    one: Int64[np.ndarray, " seams"]
    """A piece that meets or overlaps another."""
    two: Int64[np.ndarray, " seams"]
    """The other one, the higher number."""
    seam: Shaped[np.ndarray, " seams"]
    """The line between what both answer for; empty where others lie between."""


def territories(
    areas: Shaped[np.ndarray, " pieces"], *, yields: Callable[[int, int], bool] = _always
) -> Territories:
    """Compute the territory of each piece, and the seams between them.

    Args:
        areas: What each covers, in pixels of one grid; earlier ones go first.
        yields: Whether an earlier piece leaves half of what it shares with a later one to it;
            else it keeps all of that.
    """
    count = len(areas)
    own = np.array(areas, object)
    later = _later(areas)
    for first in range(count):
        for second in later[first]:
            shared = _solid(shapely.intersection(own[first], areas[second]))
            if shapely.area(shared) < 1:
                continue
            if yields(first, second):
                own[first] = shapely.difference(own[first], _yielded(areas, first, second, shared))
        own[first] = _solid(own[first])
        for second in later[first]:
            own[second] = shapely.difference(own[second], own[first])
    seams = []
    for first in range(count):
        for second in later[first]:
            near = shapely.buffer(own[second], TOUCHING, quad_segs=2)
            line = _lines(shapely.intersection(shapely.boundary(own[first]), near))
            seams.append((first, second, line))
    lines = np.empty(len(seams), object)
    lines[:] = [line for _, _, line in seams]
    return Territories(
        area=own,
        one=np.array([a for a, _, _ in seams], np.int64),
        two=np.array([b for _, b, _ in seams], np.int64),
        seam=lines,
    )


def _later(areas: Shaped[np.ndarray, " pieces"]) -> list[list[int]]:
    """Return the later pieces that each one meets."""
    one, two = shapely.STRtree(areas).query(areas, predicate="dwithin", distance=TOUCHING)
    found: list[list[int]] = [[] for _ in areas]
    for first, second in sorted(zip(one.tolist(), two.tolist(), strict=True)):
        if first < second:
            found[first].append(second)
    return found


def _yielded(
    areas: Shaped[np.ndarray, " pieces"], first: int, second: int, shared: BaseGeometry
) -> BaseGeometry:
    """Return the half of what two pieces share that lies along the first one's edge."""
    edge = _edge_within(areas[first], areas[second])
    length = shapely.length(edge) + shapely.length(_edge_within(areas[second], areas[first]))
    if shapely.length(edge) == 0:
        return shapely.Polygon()
    # A strip of width 2 w has an area of 2 w times its length, and that edge on both sides.
    half = int(shapely.area(shared) / length)
    strip = shapely.buffer(edge, half, cap_style="square", join_style="mitre")
    near: BaseGeometry = shapely.intersection(shared, strip)
    return near


def _edge_within(area: BaseGeometry, other: BaseGeometry) -> BaseGeometry:
    """Return the part of an area's border inside another, off the other's own border."""
    inside = _lines(shapely.intersection(shapely.boundary(area), other))
    beside = shapely.buffer(shapely.boundary(other), _BESIDE, quad_segs=2)
    edge: BaseGeometry = shapely.difference(inside, beside)
    return edge


def _lines(shape: BaseGeometry) -> BaseGeometry:
    """Return the lines among the parts of a shape."""
    parts = shapely.get_parts(shapely.get_parts(shape))
    keep = (shapely.get_dimensions(parts) == 1) & (shapely.length(parts) > 0)
    return shapely.MultiLineString(parts[keep].tolist())


def _solid(area: BaseGeometry) -> BaseGeometry:
    """Return the parts of an area that have one."""
    parts = shapely.get_parts(shapely.get_parts(shapely.make_valid(area)))
    return shapely.MultiPolygon(parts[shapely.area(parts) > 1e-6].tolist())
