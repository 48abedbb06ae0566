"""Rings from the vertical edges of regions.

A region meets a row of pixels in runs. A run's left edge is walked upwards and
its right edge downwards, so that the region lies on the right hand; what joins
them along the lines between rows follows from those edges alone. Each edge has a
key, ``2 * x`` for a left and ``2 * x + 1`` for a right one::

    row 4     |u#####u|      |u###u|          between rows 4 and 5 the edges of one
                                              region pair up from left to right:
    row 5     |w#########################w|   (u w) (u u) (u w)
"""

from __future__ import annotations

import numpy as np

from pipeline.core.compiled import compiled
from pipeline.core.polygons.fragments import Int32, Int64


@compiled
def link_edges(keys: Int32, owners: Int32, offsets: Int64, regions: int) -> tuple[Int32, int]:
    """Link each edge to the next one of its ring.

    Along a line between rows, sorted by x, a region's edges of both rows pair up:
    between the two of a pair the line is the region's border, or they stand one
    upon the other. Left edges come before right ones of the same x, so that
    where two pixels of one region touch by a corner only, the ring passes from
    one to the other. They are connected some other way round, and that way
    encloses what lies on one side of the corner: a ring never meets itself, and
    a hole may touch its shell at a corner, which is what OGC calls valid.

    Args:
        keys: Key of each edge, sorted within its row.
        owners: Region of each edge. Rows that are not neighbours share no region.
        offsets: Row l holds the edges from ``offsets[l]`` to ``offsets[l + 1]``.
        regions: One more than the largest owner.

    Returns:
        The following edges, and how many of them stand at another x.
    """
    following = np.empty(len(keys), np.int32)
    pending = np.full(regions, -1, np.int32)
    turns = 0
    rows = len(offsets) - 1
    for line in range(rows + 1):
        upper = offsets[max(line - 1, 0)]
        lower = upper_end = offsets[line]
        lower_end = offsets[min(line + 1, rows)]
        while upper < upper_end or lower < lower_end:
            if lower == lower_end or (upper < upper_end and keys[upper] <= keys[lower]):
                edge = upper
                upper += 1
                arrives = keys[edge] & 1 == 1
            else:
                edge = lower
                lower += 1
                arrives = keys[edge] & 1 == 0
            owner = owners[edge]
            partner = pending[owner]
            if partner < 0:
                pending[owner] = edge
                continue
            pending[owner] = -1
            if arrives:
                following[edge] = partner
            else:
                following[partner] = edge
            turns += keys[edge] >> 1 != keys[partner] >> 1
    return following, turns


@compiled
def edge_rings(
    keys: Int32, owners: Int32, offsets: Int64, levels: Int32, linked: tuple[Int32, int]
) -> tuple[Int32, Int64, Int32]:
    """Return the closed rings in order of their first corners, row before column.

    Args:
        keys: As in ``link_edges``.
        owners: As in ``link_edges``.
        offsets: As in ``link_edges``.
        levels: The y at the top and at the bottom of each row, (rows, 2).
        linked: What ``link_edges`` returned; its first array is used up.

    Returns:
        Corners (n, 2) as x, y; offsets of the rings; the region of each ring. The
        first ring of a region is its shell, the others are its holes.
    """
    following, turns = linked
    # A closed ring has 4 corners at least, half of them where an edge turns.
    coords = np.empty((2 * turns + turns // 2, 2), np.int32)
    ring_offsets = np.empty(turns // 2 + 1, np.int64)
    ring_owners = np.empty(turns // 2, np.int32)
    ring_offsets[0] = 0
    count = 0
    used = 0
    for start_row in range(len(offsets) - 1):
        for first in range(offsets[start_row], offsets[start_row + 1]):
            if following[first] < 0:
                continue
            begin = used
            key = keys[first]
            is_hole = key & 1 == 1
            if is_hole:
                coords[used, 0] = key >> 1
                coords[used, 1] = levels[start_row, 0]
                used += 1
            row = start_row
            edge = first
            while following[edge] >= 0:
                after = following[edge]
                following[edge] = -1
                key_after = keys[after]
                side = key & 1
                if key >> 1 != key_after >> 1:
                    coords[used, 0] = key >> 1
                    coords[used + 1, 0] = key_after >> 1
                    coords[used, 1] = coords[used + 1, 1] = levels[row, side]
                    used += 2
                if key_after & 1 == side:
                    row += 2 * side - 1
                key = key_after
                edge = after
            if not is_hole:
                coords[used, 0] = coords[begin, 0]
                coords[used, 1] = coords[begin, 1]
                used += 1
            ring_owners[count] = owners[first]
            count += 1
            ring_offsets[count] = used
    return coords[:used], ring_offsets[: count + 1], ring_owners[:count]


@compiled
def group_rings(
    coords: Int32, ring_offsets: Int64, ring_owners: Int32, regions: int
) -> tuple[Int32, Int64, Int64]:
    """Return coords, ring offsets and polygon offsets with each shell before its holes."""
    count = len(ring_owners)
    polygon_offsets = np.zeros(regions + 1, np.int64)
    for owner in ring_owners:
        polygon_offsets[owner + 1] += 1
    for owner in range(regions):
        polygon_offsets[owner + 1] += polygon_offsets[owner]
    if count == regions:
        return coords, ring_offsets, polygon_offsets
    place = polygon_offsets[:-1].copy()
    order = np.empty(count, np.int64)
    for ring in range(count):
        order[place[ring_owners[ring]]] = ring
        place[ring_owners[ring]] += 1
    moved = np.empty_like(coords)
    moved_offsets = np.zeros(count + 1, np.int64)
    used = 0
    for position in range(count):
        for vertex in range(ring_offsets[order[position]], ring_offsets[order[position] + 1]):
            moved[used, 0] = coords[vertex, 0]
            moved[used, 1] = coords[vertex, 1]
            used += 1
        moved_offsets[position + 1] = used
    return moved, moved_offsets, polygon_offsets
