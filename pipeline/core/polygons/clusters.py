"""Clusters of polygons in a table: union-find with counts of open seam pixels, rings of members."""

from __future__ import annotations

import numpy as np

from pipeline.core.compiled import compiled
from pipeline.core.polygons.fragments import Int64
from pipeline.core.union_find import find_root

# Columns of a polygon's line in the pool.
PARENT, NEXT, OPEN, LABEL, PIXELS, WEIGHT, ROW, COL, BEGIN, END = range(10)


@compiled
def add_open_pixels(lines: Int64, seam: Int64) -> None:
    """Add each pixel of the seam to its polygon's open ones, the polygon being a root."""
    for number in seam:
        if number >= 0:
            lines[number, OPEN] += 1


@compiled
def join(lines: Int64, before: Int64, after: Int64) -> None:
    """Close each pixel of the seam and join the clusters that it connects."""
    for pixel in range(len(before)):
        one = before[pixel]
        two = after[pixel]
        if one < 0:
            continue
        lines[find_root(lines[:, PARENT], one), OPEN] -= 1
        if two >= 0 and lines[one, LABEL] == lines[two, LABEL]:
            _connect(lines, one, two)


@compiled
def join_clusters(lines: Int64, links: Int64) -> None:
    """Join the clusters of linked polygons of one label."""
    for link in range(len(links)):
        if lines[links[link, 0], LABEL] == lines[links[link, 1], LABEL]:
            _connect(lines, links[link, 0], links[link, 1])


@compiled
def _connect(lines: Int64, one: int, two: int) -> None:
    """Make the clusters of two polygons one."""
    root = find_root(lines[:, PARENT], one)
    other = find_root(lines[:, PARENT], two)
    if root != other:
        lines[other, PARENT] = root
        lines[root, OPEN] += lines[other, OPEN]
        # Two rings become one by crossing over.
        lines[root, NEXT], lines[other, NEXT] = lines[other, NEXT], lines[root, NEXT]


@compiled
def closed_clusters(lines: Int64, candidates: Int64, most: int) -> tuple[Int64, Int64]:
    """Return the members of clusters without open pixels, and each one's cluster.

    Members are marked by a parent of -1, so that they are not collected again.
    """
    members = np.empty(most, np.int64)
    clusters = np.empty(most, np.int64)
    count = 0
    cluster = 0
    for candidate in candidates:
        if lines[candidate, PARENT] < 0:
            continue
        root = find_root(lines[:, PARENT], candidate)
        if lines[root, OPEN] > 0:
            continue
        number = root
        while lines[number, PARENT] >= 0:
            lines[number, PARENT] = -1
            members[count] = number
            clusters[count] = cluster
            count += 1
            number = lines[number, NEXT]
        cluster += 1
    return members[:count], clusters[:count]
