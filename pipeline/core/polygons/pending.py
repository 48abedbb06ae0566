"""Polygons that wait for their neighbours, kept by their vertical edges."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from pipeline.core.compiled import compiled
from pipeline.core.polygons.clusters import (
    BEGIN,
    COL,
    END,
    LABEL,
    NEXT,
    OPEN,
    PARENT,
    PIXELS,
    ROW,
    WEIGHT,
    add_open_pixels,
    closed_clusters,
    join,
    join_clusters,
)
from pipeline.core.polygons.fragments import Fragments, Int32, Int64
from pipeline.core.polygons.instances import group_instances
from pipeline.core.polygons.separate import MergeCriterion
from pipeline.core.polygons.union import unite_parts

Table = TypeVar("Table", Int32, Int64)


class PendingPolygons:
    """Clusters of polygons: joined over seams, closed when no open seam is left.

    A cluster is a tree by ``PARENT``, whose root counts the cluster's pixels at
    open seams, and a ring by ``NEXT``, along which it is collected once: united
    when it closes, so that a region over thousands of cores costs no more than
    the sum of its parts. It becomes one polygon; or, given ``criterion``, as many as
    there are instances in it, which links between its polygons report.
    """

    def __init__(self, criterion: MergeCriterion | None = None) -> None:
        """Start without polygons."""
        self._criterion = criterion
        self._links = np.empty((0, 4), np.int64)
        self._lines = np.empty((256, 10), np.int64)
        self._edges = np.empty((4096, 3), np.int32)
        self._count = 0
        self._used = 0
        self.waiting = 0
        self._waiting_edges = 0

    @property
    def room(self) -> int:
        """Places for polygons."""
        return len(self._lines)

    def add(self, fragments: Fragments) -> int:
        """Take polygons in, each a cluster of its own; return the number of the first."""
        edges, offsets = _vertical(
            fragments.coords, fragments.ring_offsets, fragments.polygon_offsets
        )
        first, more = self._count, len(fragments)
        self._lines = _roomy(self._lines, self._count, more)
        self._edges = _roomy(self._edges, self._used, len(edges))
        lines = self._lines[first : first + more]
        lines[:, PARENT] = lines[:, NEXT] = np.arange(first, first + more)
        lines[:, OPEN] = 0
        lines[:, LABEL] = fragments.label
        lines[:, PIXELS] = fragments.pixels
        lines[:, WEIGHT] = fragments.weight
        lines[:, ROW] = fragments.row
        lines[:, COL] = fragments.col
        lines[:, BEGIN] = self._used + offsets[:-1]
        lines[:, END] = self._used + offsets[1:]
        self._edges[self._used : self._used + len(edges)] = edges
        self._count += more
        self._used += len(edges)
        self.waiting += more
        self._waiting_edges += len(edges)
        return first

    def expect(self, seam: Int64) -> None:
        """Count the seam's pixels as open for polygons not yet joined; -1: none."""
        add_open_pixels(self._lines, seam)

    def join(self, before: Int64, after: Int64) -> None:
        """Close a seam: join what has equal labels on both sides of a pixel's edge.

        Args:
            before: The polygon on the side that was there, or -1.
            after: The polygon on the new side, or -1; none at all at the scene's edge.
        """
        if len(before) and len(after):
            join(self._lines, before, after)

    def link(self, links: Int64) -> None:
        """Take in what lies between polygons, and make those of one label one cluster.

        Args:
            links: As `grouped` takes them, by the numbers of polygons.
        """
        join_clusters(self._lines, links)
        one_label = self._lines[links[:, 0], LABEL] == self._lines[links[:, 1], LABEL]
        self._links = np.concatenate([self._links, links[one_label]])

    def close(self, candidates: Int64) -> Fragments:
        """Return the clusters of the candidates that touch no open seam, united."""
        members, clusters = closed_clusters(self._lines, candidates, self.waiting)
        if not len(members):
            return Fragments.empty()
        lines = self._lines[members]
        if self._criterion is not None:
            clusters = self._objects(members, lines, self._criterion)
        self.waiting -= len(members)
        self._waiting_edges -= int((lines[:, END] - lines[:, BEGIN]).sum())
        # Clusters in reading order of their anchors, as trace orders its regions.
        order = np.lexsort((lines[:, COL], lines[:, ROW]))
        first = np.full(clusters.max() + 1, len(order), np.int64)
        np.minimum.at(first, clusters[order], np.arange(len(order)))
        rank = np.argsort(np.argsort(first))
        regions = rank[clusters]
        anchors = lines[order[np.sort(first)]]
        sums = np.zeros((len(first), 2), np.int64)
        np.add.at(sums, regions, lines[:, [PIXELS, WEIGHT]])
        edges, owners = _gathered(self._edges, lines[:, [BEGIN, END]], regions)
        coords, ring_offsets, polygon_offsets = unite_parts(edges, owners, len(first))
        return Fragments(
            coords=coords,
            ring_offsets=ring_offsets,
            polygon_offsets=polygon_offsets,
            label=anchors[:, LABEL].astype(np.int32),
            pixels=sums[:, 0].copy(),
            weight=sums[:, 1].copy(),
            row=anchors[:, ROW].astype(np.int32),
            col=anchors[:, COL].astype(np.int32),
        )

    def boxes(self) -> Int64:
        """Return the boxes of the polygons that wait: (waiting, 4) as x, y, x, y."""
        lines = self._lines[: self._count]
        return _boxes(self._edges, lines[lines[:, PARENT] >= 0])

    def compact(self) -> Int64 | None:
        """Drop closed polygons once they outnumber the waiting ones.

        Returns:
            New numbers by old ones, -1 at -1; None where all keep their numbers.
        """
        if self._count <= 2 * self.waiting + 256 and self._used <= 2 * self._waiting_edges + 4096:
            return None
        lines = self._lines[: self._count]
        waiting = lines[:, PARENT] >= 0
        numbers = np.where(waiting, np.cumsum(waiting) - 1, -1)
        lines = lines[waiting]
        self._edges = _gathered(self._edges, lines[:, [BEGIN, END]], lines[:, PARENT])[0]
        lines[:, PARENT] = numbers[lines[:, PARENT]]
        lines[:, NEXT] = numbers[lines[:, NEXT]]
        self._links[:, :2] = numbers[self._links[:, :2]]
        ends = np.cumsum(lines[:, END] - lines[:, BEGIN])
        lines[:, BEGIN] = np.concatenate([[0], ends[:-1]])[: len(lines)]
        lines[:, END] = ends
        self._lines = lines
        self._count = self.waiting
        self._used = self._waiting_edges
        return np.append(numbers, -1)

    def _objects(self, members: Int64, lines: Int64, criterion: MergeCriterion) -> Int64:
        """Return which object each closed polygon belongs to, and forget what linked them."""
        local = np.full(self._count, -1, np.int64)
        local[members] = np.arange(len(members))
        over = local[self._links[:, 0]] >= 0
        links = self._links[over]
        links[:, :2] = local[links[:, :2]]
        self._links = self._links[~over]
        first = lines[:, ROW] << np.int64(32) | lines[:, COL]
        return group_instances(
            first=first, pixels=lines[:, PIXELS], links=links, criterion=criterion
        )


def _roomy(table: Table, used: int, more: int) -> Table:
    """Return the table with room for ``more`` lines after the used ones, doubled at need."""
    if used + more <= len(table):
        return table
    roomy = np.empty((2 * (used + more), table.shape[1]), table.dtype)
    roomy[:used] = table[:used]
    return roomy


@compiled
def _vertical(coords: Int32, ring_offsets: Int64, polygon_offsets: Int64) -> tuple[Int32, Int64]:
    """Return the vertical edges as x, first y and last y, and each polygon's offsets."""
    edges = np.empty((len(coords), 3), np.int32)
    offsets = np.zeros(len(polygon_offsets), np.int64)
    used = 0
    for polygon in range(len(polygon_offsets) - 1):
        for ring in range(polygon_offsets[polygon], polygon_offsets[polygon + 1]):
            for vertex in range(ring_offsets[ring], ring_offsets[ring + 1] - 1):
                if coords[vertex, 0] == coords[vertex + 1, 0]:
                    edges[used, 0] = coords[vertex, 0]
                    edges[used, 1] = coords[vertex, 1]
                    edges[used, 2] = coords[vertex + 1, 1]
                    used += 1
        offsets[polygon + 1] = used
    return edges[:used], offsets


@compiled
def _gathered(edges: Int32, spans: Int64, regions: Int64) -> tuple[Int32, Int32]:
    """Return the edges of the spans, one span after the other, and the region of each."""
    total = 0
    for span in range(len(spans)):
        total += spans[span, 1] - spans[span, 0]
    gathered = np.empty((total, 3), np.int32)
    owners = np.empty(total, np.int32)
    used = 0
    for span in range(len(spans)):
        for edge in range(spans[span, 0], spans[span, 1]):
            gathered[used, 0] = edges[edge, 0]
            gathered[used, 1] = edges[edge, 1]
            gathered[used, 2] = edges[edge, 2]
            owners[used] = regions[span]
            used += 1
    return gathered, owners


@compiled
def _boxes(edges: Int32, lines: Int64) -> Int64:
    """Return the least and largest x and y of each line's edges."""
    made = np.empty((len(lines), 4), np.int64)
    for line in range(len(lines)):
        left = top = np.iinfo(np.int64).max
        right = bottom = np.iinfo(np.int64).min
        for edge in range(lines[line, BEGIN], lines[line, END]):
            left, right = min(left, edges[edge, 0]), max(right, edges[edge, 0])
            low, high = min(edges[edge, 1:]), max(edges[edge, 1:])
            top, bottom = min(top, low), max(bottom, high)
        made[line, 0] = left
        made[line, 1] = top
        made[line, 2] = right
        made[line, 3] = bottom
    return made
