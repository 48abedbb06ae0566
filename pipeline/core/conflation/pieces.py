"""Which scenes are pieces of one acquisition, and which show the same ground again.

Pieces adjoin: they touch, or overlap by a part of themselves. Two scenes of which one lies
on the other by more than that are repeated observations, and are never put together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from jaxtyping import Bool, Int64
from shapely.geometry.base import BaseGeometry

from pipeline.core.conflation.observations import UNDATED

REPEATED = 0.95
"""Scenes of one day are repeated observations from this share of the smaller one on."""
LAPPED = 0.1
"""Scenes of different days are, from this share on."""
SAME_DAY_MS = 24 * 3600 * 1000
"""Pieces of one acquisition are at most so many milliseconds apart."""
_REACH = 3e-5
"""Degrees within which scenes are looked at as touching: 3 m."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pieces:
    """What scenes are to each other."""

    acquisition: Int64[np.ndarray, " scenes"]
    """A number that pieces of one acquisition share."""
    group: Int64[np.ndarray, " scenes"]
    """A number that adjoining scenes of one kind share, of whatever date; none repeats another."""


def group_pieces(
    coverage: Sequence[BaseGeometry],
    dates: Int64[np.ndarray, " scenes"],
    kinds: Callable[[Int64[np.ndarray, " k"]], Int64[np.ndarray, " k"]],
) -> Pieces:
    """Return which scenes are pieces of one acquisition, and which adjoin.

    Args:
        coverage: Valid area of each scene in longitude and latitude.
        dates: Milliseconds since 1970; `UNDATED` where unknown.
        kinds: Returns a number for each of some scenes: those of different kinds (of another
            model, say) are in different groups, and those of a negative one in none.
    """
    areas = np.array(coverage, object)
    size = shapely.area(areas)
    tree = shapely.STRtree(areas)
    west, south, east, north = shapely.bounds(areas).T
    boxes = shapely.box(west - _REACH, south - _REACH, east + _REACH, north + _REACH)
    one, two = (found.astype(np.int64) for found in tree.query(boxes, predicate="intersects"))
    keep = (one < two) & (size[one] > 0) & (size[two] > 0)
    one, two = one[keep], two[keep]
    near = shapely.dwithin(areas[one], areas[two], _REACH)
    one, two = one[near], two[near]
    share = shapely.area(shapely.intersection(areas[one], areas[two]))
    share = share / np.minimum(size[one], size[two])
    same = _same_day(dates[one], dates[two])
    adjoin = share <= np.where(same, REPEATED, LAPPED)
    repeats = _neighbours(one[~adjoin], two[~adjoin])
    acquisitions = _Groups(len(areas), repeats, dates)
    acquisitions.join(one[adjoin & same], two[adjoin & same], one_day=True)
    groups = _Groups(len(areas), repeats, dates)
    kind = np.full(len(areas), -1, np.int64)
    concerned = np.union1d(one[adjoin], two[adjoin])
    kind[concerned] = kinds(concerned)
    joinable = adjoin & (kind[one] == kind[two]) & (kind[one] >= 0)
    for which, one_day in ((same, True), (~same, False)):
        groups.join(one[joinable & which], two[joinable & which], one_day=one_day)
    return Pieces(acquisition=acquisitions.numbers(), group=groups.numbers())


def _same_day(a: Int64[np.ndarray, " n"], b: Int64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    both = (a != UNDATED) & (b != UNDATED)
    apart = np.abs(np.where(both, a, 0) - np.where(both, b, 0))
    return np.asarray(np.where(both, apart <= SAME_DAY_MS, a == b))


def _neighbours(one: Int64[np.ndarray, " n"], two: Int64[np.ndarray, " n"]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for a, b in zip(one.tolist(), two.tolist(), strict=True):
        found.setdefault(a, []).append(b)
        found.setdefault(b, []).append(a)
    return found


class _Groups:
    """Union-find that keeps scenes which repeat each other apart."""

    def __init__(
        self, count: int, repeats: dict[int, list[int]], dates: Int64[np.ndarray, " scenes"]
    ) -> None:
        self._members = {at: [at] for at in range(count)}
        self._group = list(range(count))
        self._repeats = repeats
        self._dates = dates.tolist()

    def join(
        self, one: Int64[np.ndarray, " n"], two: Int64[np.ndarray, " n"], *, one_day: bool
    ) -> None:
        for a, b in zip(one.tolist(), two.tolist(), strict=True):
            first, second = sorted((self._group[a], self._group[b]))
            if first == second or self._apart(first, second, one_day=one_day):
                continue
            for member in self._members[second]:
                self._group[member] = first
            self._members[first] += self._members.pop(second)

    def _apart(self, first: int, second: int, *, one_day: bool) -> bool:
        few, many = sorted((first, second), key=lambda group: len(self._members[group]))
        if any(
            self._group[other] == many
            for member in self._members[few]
            for other in self._repeats.get(member, ())
        ):
            return True
        if not one_day:
            return False
        dates = [self._dates[at] for group in (few, many) for at in self._members[group]]
        return bool(max(dates) - min(dates) > SAME_DAY_MS)

    def numbers(self) -> Int64[np.ndarray, " scenes"]:
        return np.array(self._group, np.int64)
