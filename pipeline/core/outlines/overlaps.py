"""Overlaps that shaping made, taken away again."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import shapely

from pipeline.core.outlines.touching import Int64, Polygons, touching

Trimmed = Callable[[int, shapely.Polygon], shapely.Polygon | None]

INSIDE = "T********"
"""Two insides share points."""
NOTHING = 1e-6
"""Area below which an overlap is rounding, in square pixels."""
AS_IT_WAS = 0
"""Rank of a polygon that is as it was: it takes precedence over all that is not."""


def subtract_neighbours(outlines: Polygons, made: Polygons, ranks: Int64, trimmed: Trimmed) -> None:
    """Take overlaps away that the outlines do not have.

    Where two overlap, the one of higher rank, or the later one, gives way. One that cannot
    is as it was again, which may overlap others in turn: this ends, for that happens to
    nobody twice.

    Args:
        outlines: As they were.
        made: What was made of them: valid; changed in place.
        ranks: `AS_IT_WAS`, or higher where a polygon is not; changed in place.
        trimmed: Returns what is left of a polygon by another one, None if too little.
    """
    fresh = np.arange(len(made))
    while len(fresh):
        back: set[int] = set()
        for one, two in _overlapping(outlines, made, ranks, fresh):
            if one in back or two in back:
                continue
            loser, winner = (one, two) if ranks[one] > ranks[two] else (two, one)
            if shapely.area(shapely.intersection(made[loser], made[winner])) <= NOTHING:
                continue
            shape = trimmed(loser, made[winner])
            if shape is None:
                back.add(loser)
            else:
                made[loser] = shape
        fresh = np.array(sorted(back), np.int64)
        made[fresh] = outlines[fresh]
        ranks[fresh] = AS_IT_WAS


def _overlapping(
    outlines: Polygons, made: Polygons, ranks: Int64, fresh: Int64
) -> list[tuple[int, int]]:
    """Return the pairs, in order, with one of the fresh ones in each, that overlap anew."""
    one, two = touching(made)
    concerned = np.zeros(len(made), bool)
    concerned[fresh] = True
    # What two polygons overlap by that are both as they were is not ours.
    changed = ranks != AS_IT_WAS
    some = (concerned[one] | concerned[two]) & (changed[one] | changed[two])
    one, two = one[some], two[some]
    some = shapely.relate_pattern(made[one], made[two], INSIDE)
    one, two = one[some], two[some]
    # Most were apart before; only where they were not is it asked by how much.
    anew = ~shapely.relate_pattern(outlines[one], outlines[two], INSIDE)
    old = np.flatnonzero(~anew)
    shared, before = (
        shapely.area(shapely.intersection(shapes[one[old]], shapes[two[old]]))
        for shapes in (made, outlines)
    )
    anew[old] = shared > before + NOTHING
    return list(zip(one[anew].tolist(), two[anew].tolist(), strict=True))
