"""Tiles over a scene: cores partition it, halos add context.

::

         0      core     2*core    height
    -----+--------+---------+------+-----   the scene is mirrored past its edges
    [halo|  core  |halo]    |      |
         |   [halo|  core   |halo] |

Where a scene is resampled for the network, cores still partition the scene's own
pixels; each core's box on the network's grid is found by `Sampling`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from pipeline.core.window import Window


def balanced_cuts(length: int, *, core: int, multiple: int) -> tuple[int, ...]:
    """Return the cuts ``0 < ... < length`` of an axis into nearly equal cores.

    Args:
        length: Pixels to cut, at least 1.
        core: Longest core allowed, a multiple of ``multiple``.
        multiple: All cuts but the last lie on multiples of this.

    Returns:
        Cuts, the first 0 and the last ``length``; as few as ``core`` allows.
    """
    units = math.ceil(length / multiple)
    parts = math.ceil(units / (core // multiple))
    inner = (units * part // parts * multiple for part in range(1, parts))
    return (0, *inner, length)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """The network's pixel grid over the same ground as the scene's."""

    height: int
    """Scene rows."""
    width: int
    """Scene columns."""
    net_height: int
    """Rows of the network's grid over the whole scene."""
    net_width: int
    """Columns of the network's grid over the whole scene."""

    @property
    def identity(self) -> bool:
        """True where the network sees the scene's own pixels."""
        return (self.height, self.width) == (self.net_height, self.net_width)

    def box(self, core: Window) -> Window:
        """Return the network pixels that answer for a core's scene pixels.

        One network pixel more on every side than the core covers, because a
        scene pixel's value is interpolated between network pixels; exactly the core
        where the grids are the same.
        """
        if self.identity:
            return core
        rows, cols = self.net_height / self.height, self.net_width / self.width
        top, left = math.floor(core.row * rows) - 1, math.floor(core.col * cols) - 1
        bottom, right = math.ceil(core.bottom * rows) + 1, math.ceil(core.right * cols) + 1
        return Window(row=top, col=left, height=bottom - top, width=right - left)


@dataclass(frozen=True, slots=True, kw_only=True)
class TileGrid:
    """Tiles over a scene: cores partition it, halos add context."""

    sampling: Sampling
    """The scene's and the network's pixel grids."""
    core: int
    """Longest edge of a core, in scene pixels; a multiple of the stride."""
    halo: int
    """Context on every side of a core, in network pixels; a multiple of the stride."""
    stride: int
    """Tile origins and sizes are multiples of this: the network's total down-sampling."""
    pad_to: int = 0
    """Size a small image is padded to, centred, as its network was trained; 0 for none."""

    def __post_init__(self) -> None:
        """Refuse sizes that no tiling can have.

        Raises:
            ValueError: A size is not positive, or not a multiple of the stride.
        """
        if min(self.height, self.width, self.core, self.stride) < 1 or self.halo < 0:
            raise ValueError(f"sizes must be positive: {self}")
        if self.core % self.stride or self.halo % self.stride or self.pad_to % self.stride:
            raise ValueError(f"core, halo and pad must be multiples of the stride: {self}")

    @property
    def height(self) -> int:
        """Scene rows."""
        return self.sampling.height

    @property
    def width(self) -> int:
        """Scene columns."""
        return self.sampling.width

    @property
    def row_cuts(self) -> tuple[int, ...]:
        """First row of each row of cores, and the scene's height."""
        return balanced_cuts(self.height, core=self.core, multiple=self.stride)

    @property
    def col_cuts(self) -> tuple[int, ...]:
        """First column of each column of cores, and the scene's width."""
        return balanced_cuts(self.width, core=self.core, multiple=self.stride)

    def cores(self) -> Iterator[Window]:
        """Yield the cores row by row; they partition the scene."""
        rows, cols = self.row_cuts, self.col_cuts
        for top, bottom in pairwise(rows):
            for left, right in pairwise(cols):
                yield Window(row=top, col=left, height=bottom - top, width=right - left)

    def tile(self, core: Window) -> Window:
        """Return what the network sees for a core, in network pixels.

        The core's box with its halo, its origin and end moved outwards to multiples
        of the stride; or the whole image centred in a square of ``pad_to``.
        """
        box = self.sampling.box(core)
        if self.pad_to:
            top, left = (self.pad_to - box.height) // 2, (self.pad_to - box.width) // 2
            return Window(row=-top, col=-left, height=self.pad_to, width=self.pad_to)
        top, bottom = _outwards(box.row, box.bottom, self.stride)
        left, right = _outwards(box.col, box.right, self.stride)
        inner = Window(row=top, col=left, height=bottom - top, width=right - left)
        return inner.grown(self.halo)

    def __len__(self) -> int:
        """Return the number of tiles."""
        return (len(self.row_cuts) - 1) * (len(self.col_cuts) - 1)

    @property
    def tile_pixels(self) -> int:
        """Pixels that the network sees, all tiles together."""
        return sum(self.tile(core).pixels for core in self.cores())


def _outwards(start: int, stop: int, multiple: int) -> tuple[int, int]:
    return start // multiple * multiple, math.ceil(stop / multiple) * multiple
