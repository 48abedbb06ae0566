"""One polygon from the parts of each region."""

from __future__ import annotations

import numpy as np

from pipeline.core.compiled import compiled
from pipeline.core.polygons.fragments import Int32, Int64
from pipeline.core.polygons.link import edge_rings, group_rings, link_edges


def unite_parts(edges: Int32, owners: Int32, regions: int) -> tuple[Int32, Int64, Int64]:
    """Return each region's polygon from the vertical edges of its parts.

    The rows of a region are cut only at the ys where one of its edges begins or
    ends. What two parts share, one's right edge and the other's left edge, goes;
    horizontal edges follow from vertical ones, so that they need no thought.

    Args:
        edges: (n, 3) as x, first y, last y; a left edge goes up, a right one down.
        owners: Region of each edge, all from 0 on.
        regions: How many regions.

    Returns:
        Coords, ring offsets and polygon offsets, as in ``Fragments``.
    """
    stride = 2 * (int(edges[:, 0].max()) + 1)
    line_at, base, levels, line_owners = _lines(edges, owners, regions)
    cuts = _cut(edges, base[owners], line_at, stride)
    keys, owners, offsets = _remaining(np.sort(cuts), line_owners, stride)
    linked = link_edges(keys, owners, offsets, regions)
    return group_rings(*edge_rings(keys, owners, offsets, levels, linked), regions)


@compiled
def _lines(edges: Int32, owners: Int32, regions: int) -> tuple[Int64, Int64, Int32, Int32]:
    """Rule lines through each region where any of its edges begins or ends.

    A line is a region's row from one such y to the next.

    Returns:
        The line that begins at each y, or -1, all regions laid end to end; what is to
        be added to a region's y to look there; y at the top and at the bottom of each
        line; the region of each line.
    """
    low = np.full(regions, np.iinfo(np.int32).max, np.int64)
    high = np.full(regions, np.iinfo(np.int32).min, np.int64)
    for edge in range(len(edges)):
        low[owners[edge]] = min(low[owners[edge]], edges[edge, 1], edges[edge, 2])
        high[owners[edge]] = max(high[owners[edge]], edges[edge, 1], edges[edge, 2])
    base = np.empty(regions, np.int64)
    total = 0
    for region in range(regions):
        base[region] = total - low[region]
        total += high[region] - low[region] + 1
    line_at = np.full(total, -1, np.int64)
    for edge in range(len(edges)):
        line_at[base[owners[edge]] + edges[edge, 1]] = 0
        line_at[base[owners[edge]] + edges[edge, 2]] = 0
    levels = np.empty((total, 2), np.int32)
    line_owners = np.empty(total, np.int32)
    lines = 0
    for region in range(regions):
        line_at[base[region] + low[region]] = lines
        levels[lines, 0] = low[region]
        for y in range(low[region] + 1, high[region] + 1):
            if line_at[base[region] + y] < 0:
                continue
            levels[lines, 1] = y
            line_owners[lines] = region
            lines += 1
            line_at[base[region] + y] = lines
            if y < high[region]:
                levels[lines, 0] = y
    return line_at, base, levels[:lines], line_owners[:lines]


@compiled
def _cut(edges: Int32, bases: Int64, line_at: Int64, stride: int) -> Int64:
    """Return the pieces of the edges between the lines, as ``line * stride + key``."""
    pieces = 0
    for edge in range(len(edges)):
        begin = line_at[bases[edge] + edges[edge, 1]]
        end = line_at[bases[edge] + edges[edge, 2]]
        pieces += abs(end - begin)
    cuts = np.empty(pieces, np.int64)
    used = 0
    for edge in range(len(edges)):
        begin = line_at[bases[edge] + edges[edge, 1]]
        end = line_at[bases[edge] + edges[edge, 2]]
        key = 2 * edges[edge, 0] + (1 if begin < end else 0)
        for line in range(min(begin, end), max(begin, end)):
            cuts[used] = line * stride + key
            used += 1
    return cuts


@compiled
def _remaining(cuts: Int64, line_owners: Int32, stride: int) -> tuple[Int32, Int32, Int64]:
    """Return keys, owners and offsets, as ``link`` takes them, less what parts share."""
    keys = np.empty(len(cuts), np.int32)
    owners = np.empty(len(cuts), np.int32)
    offsets = np.zeros(len(line_owners) + 1, np.int64)
    used = 0
    cut = 0
    for line in range(len(line_owners)):
        after = (line + 1) * stride
        while cut < len(cuts) and cuts[cut] < after:
            # A left edge is even, and the right edge at the same x is the next number.
            if cuts[cut] & 1 == 0 and cut + 1 < len(cuts) and cuts[cut + 1] == cuts[cut] + 1:
                cut += 2
                continue
            keys[used] = cuts[cut] - line * stride
            owners[used] = line_owners[line]
            used += 1
            cut += 1
        offsets[line + 1] = used
    return keys[:used], owners[:used], offsets
