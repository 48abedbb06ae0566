"""Blocks of a volume: as tiles of a scene, with a third axis.

Axes are inline, crossline, sample throughout; cores partition the volume, halos lend
context, and past its faces the volume is mirrored.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
from jaxtyping import Float32

from pipeline.core.grid import balanced_cuts
from pipeline.core.tile import Edge, mirrored_positions

Three = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A box of voxels."""

    start: Three
    """First voxel along each axis; negative before the volume begins."""
    shape: Three
    """Voxels along each axis."""

    @property
    def stop(self) -> Three:
        """First voxel past it along each axis."""
        first, second, third = (
            start + length for start, length in zip(self.start, self.shape, strict=True)
        )
        return first, second, third

    @property
    def voxels(self) -> int:
        """How many it holds."""
        return math.prod(self.shape)

    def meeting(self, other: Block) -> Block | None:
        """Return what it shares with another one; None for nothing."""
        starts = [max(pair) for pair in zip(self.start, other.start, strict=True)]
        stops = [min(pair) for pair in zip(self.stop, other.stop, strict=True)]
        a, b, c = (stop - start for start, stop in zip(starts, stops, strict=True))
        if min(a, b, c) <= 0:
            return None
        return Block(start=(starts[0], starts[1], starts[2]), shape=(a, b, c))

    def within(self, outer: Block) -> tuple[slice, slice, slice]:
        """Return where it lies in an array over ``outer``."""
        first, second, third = (
            slice(own - others, own - others + length)
            for own, others, length in zip(self.start, outer.start, self.shape, strict=True)
        )
        return first, second, third


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockGrid:
    """Blocks over a volume: cores partition it, halos add context."""

    shape: Three
    """Voxels of the volume along each axis."""
    core: Three
    """Largest core along each axis, in voxels; multiples of the stride."""
    halo: int
    """Context on every side of a core; a multiple of the stride."""
    stride: int
    """Origins and sizes of blocks are multiples of this: the network's down-sampling."""

    def __post_init__(self) -> None:
        """Refuse sizes that no division can have.

        Raises:
            ValueError: A size is not positive, or no multiple of the stride.
        """
        if min(*self.shape, *self.core, self.stride) < 1 or self.halo < 0:
            raise ValueError(f"sizes must be positive: {self}")
        if any(length % self.stride for length in (*self.core, self.halo)):
            raise ValueError(f"core and halo must be multiples of the stride: {self}")

    def cuts(self, axis: int) -> tuple[int, ...]:
        """Return where cores begin along an axis, and its length."""
        return balanced_cuts(self.shape[axis], core=self.core[axis], multiple=self.stride)

    def cores(self) -> Iterator[Block]:
        """Yield the cores, the last axis fastest; they partition the volume."""
        for spans in product(*(pairwise(self.cuts(axis)) for axis in range(3))):
            (a, b), (c, d), (e, f) = spans
            yield Block(start=(a, c, e), shape=(b - a, d - c, f - e))

    def block(self, core: Block) -> Block:
        """Return what the network sees for a core: out to multiples of the stride, and the halo."""
        spans = [
            (
                start // self.stride * self.stride - self.halo,
                -(-stop // self.stride) * self.stride + self.halo,
            )
            for start, stop in zip(core.start, core.stop, strict=True)
        ]
        (a, b), (c, d), (e, f) = spans
        return Block(start=(a, c, e), shape=(b - a, d - c, f - e))

    def __len__(self) -> int:
        """Return the number of blocks."""
        return math.prod(len(self.cuts(axis)) - 1 for axis in range(3))

    @property
    def block_voxels(self) -> int:
        """Voxels that the network sees, all blocks together."""
        return sum(self.block(core).voxels for core in self.cores())


def largest_block_grid(shape: Three, *, halo: int, stride: int, room: float) -> BlockGrid:
    """Return the grid of the largest blocks of at most ``room`` voxels, as near cubes as can be.

    Where the volume is thinner than a cube, the other axes get the room. A core has at least
    one stride along each axis, whatever the room.
    """
    full = [-(-length // stride) * stride for length in shape]
    edges = [stride] * 3
    growing = True
    while growing:
        growing = False
        for axis in sorted(range(3), key=lambda at: edges[at]):
            wider = [edge + stride * (at == axis) for at, edge in enumerate(edges)]
            fits = math.prod(edge + 2 * halo for edge in wider) <= room
            if wider[axis] <= full[axis] and fits:
                edges, growing = wider, True
                break
    return BlockGrid(shape=shape, core=(edges[0], edges[1], edges[2]), halo=halo, stride=stride)


def cut_block(
    read: Callable[[Block], Float32[np.ndarray, "inlines crosslines samples"]],
    block: Block,
    *,
    shape: Three,
    edge: Edge,
) -> Float32[np.ndarray, "inlines crosslines samples"]:
    """Return the voxels of a block that may reach past the volume.

    Args:
        read: Returns the voxels of a block inside the volume.
        block: What is wanted, halo included.
        shape: The volume's.
        edge: What lies past its faces, as `pipeline.core.tile` draws it; ``constant``
            gives NaN, which is not valid.
    """
    places = [
        mirrored_positions(start, length, size=size, edge=edge)
        for start, length, size in zip(block.start, block.shape, shape, strict=True)
    ]
    lows = [int(place.min()) for place in places]
    a, b, c = (int(place.max()) + 1 - low for place, low in zip(places, lows, strict=True))
    source = Block(start=(lows[0], lows[1], lows[2]), shape=(a, b, c))
    voxels = read(source)
    if source != block:
        voxels = voxels[np.ix_(*(place - low for place, low in zip(places, lows, strict=True)))]
    if edge == "constant":
        voxels = voxels.copy()
        for axis in range(3):
            along = np.arange(block.start[axis], block.stop[axis])
            outside = (along < 0) | (along >= shape[axis])
            np.moveaxis(voxels, axis, 0)[outside] = np.nan
    return voxels
