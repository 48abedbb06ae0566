"""Overlaps that regularising made, taken away again."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import shapely

from pipeline.core.shape.clusters import Int64, Polygons, touching

Flags = npt.NDArray[np.bool_]
Kept = Callable[[Int64], Polygons]
Fits = Callable[[int, shapely.Polygon], bool]

INSIDE = "T********"
"""Two insides share points."""
NOTHING = 1e-6
"""Area below which an overlap is rounding, in square pixels."""


def apart(
    shapes: tuple[Polygons, Polygons], flags: Flags, kept: Kept, fits: Fits
) -> tuple[Polygons, Flags]:
    """Return the polygons without overlaps that their outlines do not have, and the flags.

    Where two overlap, the later one is cut at the earlier one's wall, or the earlier one
    where the later one is as it was. Who is no building any more by that is kept as it
    was, which may overlap others in turn: this ends, for nobody is kept twice.

    Args:
        shapes: The outlines, and what was made of them: valid, changed in place.
        flags: True where a polygon is not as it was, changed in place.
        kept: Returns the polygons at some places as they are if not regularised.
        fits: Tells whether a polygon may have a new shape.
    """
    outlines, made = shapes
    fresh = np.arange(len(made))
    while len(fresh):
        back: set[int] = set()
        for one, two in _overlapping(made, flags, outlines, fresh):
            if one in back or two in back:
                continue
            loser, winner = (two, one) if flags[two] else (one, two)
            shape = shapely.difference(made[loser], made[winner])
            if shapely.area(made[loser]) - shapely.area(shape) <= NOTHING:
                continue
            if shape.geom_type == "Polygon" and shape.is_valid and fits(loser, shape):
                made[loser] = shape
            else:
                back.add(loser)
        fresh = np.array(sorted(back), np.int64)
        made[fresh] = kept(fresh)
        flags[fresh] = False
    return made, flags


def _overlapping(
    made: Polygons, flags: Flags, outlines: Polygons, fresh: Int64
) -> list[tuple[int, int]]:
    """Return the pairs, in order, with one of the fresh ones in each, that overlap anew."""
    one, two = touching(made)
    concerned = np.zeros(len(made), bool)
    concerned[fresh] = True
    # What two polygons overlap by that are both as they were is none of ours.
    some = (concerned[one] | concerned[two]) & (flags[one] | flags[two])
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
