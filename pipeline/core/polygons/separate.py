"""Separation of touching buildings by seeded region growing.

A *marker* is a 4-connected region of pixels that are surely one building's inside. A
mask pixel's *owner* is the marker pixel that the fewest steps inside the mask max_steps,
the first in reading order of those equally near. Two pixels side by side are *bonded*
where both have one owner, where both are markers, or where neither has an owner.
Instances are what bonds connect::

    . 1 1 1 . 2 2      1 and 2 are markers, . mask: the bond between the two columns
    . 1 1 . . 2 2      in the middle is missing, so there are two instances
    . . . . . . .

Every pixel on a shortest way to an owner has that same owner, so an instance is one
marker with all that it owns, and is 4-connected. What no marker reaches in ``max_steps``
steps is instances of its own: a building that was given no marker stays as it was.

An owner depends on pixels at most ``max_steps`` steps away, a bond on two owners: a core
with ``max_steps`` pixels around it holds all that decides its own bonds, and the owners
along its border all that decides those over its seams. Nothing depends on the tiling.
Parts of a marker that hang together farther off only are parts of one instance each,
until the cores on the way between them are merged.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pipeline.core.compiled import compiled
from pipeline.core.polygons.fragments import Fragments, Int32, Int64
from pipeline.core.polygons.region_growing import Flags, UInt8, grow_regions
from pipeline.core.polygons.trace import trace
from pipeline.core.quantise import NODATA, STEPS
from pipeline.core.union_find import unite
from pipeline.core.window import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeCriterion:
    """Size from which an instance stays separate beside another."""

    min_area_px: float
    """Pixels that it needs where the border is sure: interior 0 along it. 0: none falls."""
    doubling_probability: float
    """Quantised steps of mean interior along the border by which it needs twice as many."""

    def sizes(self) -> list[float]:
        """Return the least pixels by the quantised mean interior along the border."""
        return [
            self.min_area_px * 2 ** (step / self.doubling_probability) for step in range(STEPS + 1)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Separation:
    """How touching objects of a scene are taken apart."""

    channel: int
    """Place among the predicted channels of the probability of being inside an object."""
    threshold: int
    """Least quantised value of a marker."""
    opening: int
    """Markers are unions of squares of so many pixels of the scene."""
    max_steps: int
    """Most steps from a marker to what it owns, in pixels of the scene."""
    criterion: MergeCriterion
    """Which borders between instances fall."""

    @property
    def margin(self) -> int:
        """Pixels around a core on which its instances depend."""
        return self.max_steps + self.opening - 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sides:
    """The owners along a core's border, by which its instances go on beyond it.

    An owner is its place in reading order, ``row * width + col`` of the scene; -1
    stands for none.
    """

    top: Int64
    """Owners in the core's first row."""
    left: Int64
    """Owners in its first column."""
    bottom: Int64
    """Owners in its last row."""
    right: Int64
    """Owners in its last column."""

    @classmethod
    def empty(cls, core: Window) -> Sides:
        """Return sides of a core without owners."""
        rows, cols = np.full(core.height, -1, np.int64), np.full(core.width, -1, np.int64)
        return cls(top=cols, left=rows, bottom=cols, right=rows)


def context(core: Window, *, scene: tuple[int, int], max_steps: int) -> Window:
    """Return the window that ``separate`` must see for a core: ``max_steps`` more, in the scene."""
    return core.grown(max_steps).clipped(height=scene[0], width=scene[1])


def separate(
    labels: UInt8, markers: Flags, *, core: Window, scene: tuple[int, int], max_steps: int
) -> tuple[Int32, Sides]:
    """Return the core's instances, and the owners along its border.

    Args:
        labels: The mask in ``context(core, ...)``; 0 and 255 belong to no instance, and no
            step leads from one label to another.
        markers: True where a marker is; what lies outside the mask does not count.
        core: The window to answer for.
        scene: Height and width of the scene.
        max_steps: Most steps from a marker to what it owns, at least 1.

    Returns:
        (core rows, core cols), int32: 0 outside the mask, otherwise a number: regions of
        equal number are instances, or parts of one that meet over the seams; the sides.

    Raises:
        ValueError: The arrays are not of the window that is needed, or ``max_steps`` is
            less than 1.
    """
    if max_steps < 1:
        raise ValueError(f"max_steps is {max_steps}; a marker must be grown by at least 1 pixel")
    seen = context(core, scene=scene, max_steps=max_steps)
    if not labels.shape == markers.shape == (seen.height, seen.width):
        raise ValueError(
            f"labels are {labels.shape} and markers {markers.shape}; {core} with {max_steps} px "
            f"around it in a scene of {scene} is {seen.height} x {seen.width}"
        )
    # A frame of background, so that no neighbour has to be looked for outside.
    mask = np.pad(np.where(labels == NODATA, np.uint8(0), labels), 1)
    grown = grow_regions(mask, np.pad(markers, 1), max_steps)
    rows, cols = core.within(seen)
    inner = slice(rows.start + 1, rows.stop + 1), slice(cols.start + 1, cols.stop + 1)
    instances = _instances(mask, grown, (inner[0].start, inner[1].start), (core.height, core.width))
    row, col = seen.row - 1, seen.col - 1

    def place(owner: Int32) -> Int64:
        wide = owner.astype(np.int64)
        width = mask.shape[1]
        at = (wide // width + row) * scene[1] + wide % width + col
        return np.where(wide < 0, np.int64(-1), at)

    border = grown[inner]
    sides = Sides(
        top=place(border[0]),
        left=place(border[:, 0]),
        bottom=place(border[-1]),
        right=place(border[:, -1]),
    )
    return instances, sides


def trace_instances(instances: Int32, labels: UInt8, weights: UInt8, *, core: Window) -> Fragments:
    """Return each instance in a core as polygons that carry the mask's label.

    Args:
        instances: What ``separate`` returned.
        labels: The mask in the core.
        weights: Summed over each polygon.
        core: Where the arrays lie in the scene.
    """
    fragments = trace(instances, weights, row=core.row, col=core.col)
    classes = labels[fragments.row - core.row, fragments.col - core.col]
    return replace(fragments, label=classes.astype(np.int32))


@compiled
def _numbered(label: UInt8, owner: Int32, cols: int) -> tuple[Int32, int]:
    """Number the markers in the window, 0 where none is; return the first number left.

    A number stands for one marker, but a marker that hangs together outside the window
    only has several.
    """
    numbers = np.zeros(len(label), np.int32)
    parent = np.empty(len(label) + 1, np.int32)
    parent[0] = 0
    count = 1
    for pixel in range(cols, len(label) - cols):
        if owner[pixel] != pixel:
            continue
        left = pixel - 1
        above = pixel - cols
        before = numbers[left] if label[left] == label[pixel] else np.int32(0)
        upper = numbers[above] if label[above] == label[pixel] else np.int32(0)
        number = max(before, upper)
        if number == 0:
            number = np.int32(count)
            parent[count] = count
            count += 1
        elif before and upper and before != upper:
            unite(parent, int(before), int(upper))
        numbers[pixel] = number
    # What a number leads to comes before it, so it has been led to its end already.
    for place in range(1, count):
        parent[place] = parent[parent[place]]
    for pixel in range(cols, len(label) - cols):
        numbers[pixel] = parent[numbers[pixel]]
    return numbers, count


@compiled
def _instances(mask: UInt8, owner: Int32, start: tuple[int, int], shape: tuple[int, int]) -> Int32:
    """Return the number of each pixel's marker in the core, at ``start`` in the framed arrays."""
    numbers, count = _numbered(mask.ravel(), owner.ravel(), mask.shape[1])
    instances = np.zeros((shape[0], shape[1]), np.int32)
    for row in range(shape[0]):
        for col in range(shape[1]):
            label = mask[start[0] + row, start[1] + col]
            own = owner[start[0] + row, start[1] + col]
            if own >= 0:
                instances[row, col] = numbers[own]
            elif label:
                instances[row, col] = count + label
    return instances
