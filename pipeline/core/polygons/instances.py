"""Merging of instances across weak boundaries.

Two markers may lie in one building: beside a chimney, a shadow, a change of roof. The
criterion is the interior probability along the boundary between them, and
their sizes: a small instance needs a clear boundary to stay separate, a large one does not.
Two instances of ``a <= b`` pixels are merged where

::

    a < min_area_px * 2 ** (depth / doubling_probability)    depth: mean interior along it

The weakest boundary of a cluster, by how far ``a`` is below that, is merged first; then
the remaining ones are computed anew. Sizes and boundaries are those of whole instances of the
scene, so that nothing depends on the tiling.
"""

from __future__ import annotations

import heapq

import numpy as np

from pipeline.core.compiled import compiled
from pipeline.core.polygons.contact import sum_boundaries
from pipeline.core.polygons.fragments import Int64
from pipeline.core.polygons.separate import MergeCriterion
from pipeline.core.union_find import find_root, unite


def group_instances(
    *, first: Int64, pixels: Int64, links: Int64, criterion: MergeCriterion
) -> Int64:
    """Return the object that each part of an instance belongs to, numbered from 0.

    Args:
        first: Place of each part's first pixel in the scene, in reading order.
        pixels: Of each part.
        links: (n, 4) as `Joints.contacts`, by part; a length of 0 is a bond: two parts of
            one instance.
        criterion: Which boundaries are merged.
    """
    parent = np.arange(len(first))
    bonds = links[:, 2] == 0
    _bind(parent, links[bonds, :2])
    roots, part = np.unique(_rooted(parent), return_inverse=True)
    # Instances in reading order, so that ties are broken alike whatever the tiling.
    starts = np.full(len(roots), np.iinfo(np.int64).max)
    np.minimum.at(starts, part, first)
    part = np.argsort(np.argsort(starts))[part]
    sizes = np.zeros(len(roots), np.int64)
    np.add.at(sizes, part, pixels)
    contacts = links[~bonds].copy()
    contacts[:, :2] = part[contacts[:, :2]]
    contacts = sum_boundaries(contacts[contacts[:, 0] != contacts[:, 1]])
    united = _united(sizes.tolist(), contacts, criterion.sizes())
    objects: Int64 = np.unique(united[part], return_inverse=True)[1]
    return objects


def _united(sizes: list[int], contacts: Int64, needed: list[float]) -> Int64:
    """Return the first instance of the object that each instance belongs to."""
    parent = np.arange(len(sizes))
    beside: list[dict[int, tuple[int, int]]] = [{} for _ in sizes]
    for one, two, length, depth in contacts.tolist():
        beside[one][two] = beside[two][one] = (length, depth)
    queue: list[tuple[float, int, int, int, int]] = []

    def weigh(one: int, two: int) -> None:
        length, depth = beside[one][two]
        size, least = min(sizes[one], sizes[two]), needed[depth // length]
        if size < least:
            entry = (size / least, min(one, two), max(one, two))
            heapq.heappush(queue, (*entry, sizes[entry[1]], sizes[entry[2]]))

    for one, two in contacts[:, :2].tolist():
        weigh(one, two)
    while queue:
        _, one, two, was_one, was_two = heapq.heappop(queue)
        if two not in beside[one] or (sizes[one], sizes[two]) != (was_one, was_two):
            continue
        parent[two] = one
        sizes[one] += sizes[two]
        del beside[one][two]
        for other, (length, depth) in beside[two].items():
            if other == one:
                continue
            more, deeper = beside[one].get(other, (0, 0))
            beside[one][other] = beside[other][one] = (length + more, depth + deeper)
            del beside[other][two]
        beside[two] = {}
        for other in beside[one]:
            weigh(one, other)
    return _rooted(parent)


@compiled
def _bind(parent: Int64, pairs: Int64) -> None:
    """Make each pair one region, led to its least number."""
    for pair in range(len(pairs)):
        unite(parent, pairs[pair, 0], pairs[pair, 1])


@compiled
def _rooted(parent: Int64) -> Int64:
    """Return what each number leads to in the end."""
    rooted = np.empty_like(parent)
    for number in range(len(parent)):
        rooted[number] = find_root(parent, number)
    return rooted
