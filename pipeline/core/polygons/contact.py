"""Shared boundaries of a core's instances, and their continuation beyond the core.

A *contact* is all pixel edges that two polygons of one label share within a core. Its
*depth* is the sum of interior probabilities along it, of the lesser of both sides of each
edge: low between two buildings, high across one. Both are whole numbers, so those of parts
add up to those of the whole, in any order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.core.compiled import compiled
from pipeline.core.polygons.fragments import Int32, Int64
from pipeline.core.polygons.region_growing import UInt8
from pipeline.core.polygons.separate import Sides
from pipeline.core.union_find import find_root, unite
from pipeline.core.window import Window


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SharedBoundaries:
    """Shared boundaries of a core's polygons, as needed to join them with those of other cores."""

    top: Int64
    """(2, core cols): owner and interior of each pixel in the core's first row."""
    left: Int64
    """(2, core rows): the same of its first column."""
    bottom: Int64
    """(2, core cols): of its last row."""
    right: Int64
    """(2, core rows): of its last column."""
    contacts: Int64
    """(n, 4): two polygons of the core, the pixel edges that they share, their depth."""

    @classmethod
    def empty(cls, core: Window) -> SharedBoundaries:
        """Return the joints of a core without polygons."""
        rows, cols = (np.full((2, length), -1, np.int64) for length in (core.height, core.width))
        none = np.empty((0, 4), np.int64)
        return cls(top=cols, left=rows, bottom=cols, right=rows, contacts=none)

    @property
    def lengths(self) -> tuple[int, int, int, int]:
        """Pixels on each side of the core."""
        sides = (self.top, self.left, self.bottom, self.right)
        top, left, bottom, right = (side.shape[1] for side in sides)
        return top, left, bottom, right

    def to_arrays(self) -> dict[str, Int64]:
        """Return the arrays by name, as a cached tile stores them."""
        return {f"joints_{field.name}": getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> SharedBoundaries | None:
        """Restore what ``to_arrays`` stored; None where nothing was separated."""
        if "joints_contacts" not in arrays:
            return None
        # What a file lends is often read-only, which would be compiled for anew.
        return cls(
            **{
                field.name: np.require(arrays[f"joints_{field.name}"], requirements=["C", "W"])
                for field in fields(cls)
            }
        )


def shared_boundaries(
    instances: Int32, labels: UInt8, interior: UInt8, sides: Sides
) -> SharedBoundaries:
    """Measure the shared boundaries of a core.

    Args:
        instances: What ``separate`` returned.
        labels: The mask in the core.
        interior: Quantised probability of lying inside an object, in the core.
        sides: The other thing that ``separate`` returned.
    """
    # One layout, so that it is compiled for once.
    edges = _edges(np.ascontiguousarray(instances), np.ascontiguousarray(labels))
    depth = np.minimum(interior.ravel()[edges[:, 2]], interior.ravel()[edges[:, 3]])
    rows = np.stack([edges[:, 0], edges[:, 1], np.ones(len(edges), np.int64), depth], axis=1)

    def side(owners: Int64, values: UInt8) -> Int64:
        return np.stack([owners, values.astype(np.int64)])

    return SharedBoundaries(
        top=side(sides.top, interior[0]),
        left=side(sides.left, interior[:, 0]),
        bottom=side(sides.bottom, interior[-1]),
        right=side(sides.right, interior[:, -1]),
        contacts=sum_boundaries(rows),
    )


def sum_boundaries(rows: Int64) -> Int64:
    """Return contacts with those of the same two made one, sorted; each lists the lesser first."""
    if not len(rows):
        return rows
    one, two = rows[:, :2].min(axis=1), rows[:, :2].max(axis=1)
    span = int(two.max()) + 1
    keys, place = np.unique(one * span + two, return_inverse=True)
    sums = np.zeros((len(keys), 2), np.int64)
    np.add.at(sums, place, rows[:, 2:])
    return np.stack([keys // span, keys % span, sums[:, 0], sums[:, 1]], axis=1)


@compiled
def _edges(instances: Int32, labels: UInt8) -> Int64:
    """Return polygon and polygon, pixel and pixel, on both sides of edges within one label.

    A polygon's number is its place in what ``trace`` makes of the instances.
    """
    rows, cols = instances.shape
    polygon = _polygons(instances)
    number = instances.ravel()
    label = labels.ravel()
    count = 0
    edges = np.empty((64, 4), np.int64)
    for pixel in range(rows * cols):
        if number[pixel] == 0:
            continue
        for down in (0, 1):
            if pixel // cols + down == rows or pixel % cols + 1 - down == cols:
                continue
            beside = pixel + (cols if down else 1)
            if label[beside] != label[pixel] or polygon[beside] == polygon[pixel]:
                continue
            if count == len(edges):
                more = np.empty((2 * count, 4), np.int64)
                more[:count] = edges
                edges = more
            edges[count, 0] = polygon[pixel]
            edges[count, 1] = polygon[beside]
            edges[count, 2] = pixel
            edges[count, 3] = beside
            count += 1
    return edges[:count]


@compiled
def _polygons(instances: Int32) -> Int32:
    """Number the 4-connected regions of equal instance from 0, by their first pixels."""
    cols = instances.shape[1]
    number = instances.ravel()
    parent = np.arange(len(number)).astype(np.int32)
    for pixel in range(len(number)):
        if number[pixel] == 0:
            continue
        for up in (0, 1):
            if pixel // cols < up or pixel % cols < 1 - up:
                continue
            before = pixel - (cols if up else 1)
            if number[before] == number[pixel]:
                unite(parent, before, pixel)
    polygon = np.full(len(number), -1, np.int32)
    count = 0
    for pixel in range(len(number)):
        if number[pixel] == 0:
            continue
        root = find_root(parent, pixel)
        if root == pixel:
            polygon[pixel] = count
            count += 1
        else:
            # A root comes first, so it has its number already.
            polygon[pixel] = polygon[root]
    return polygon
