"""Tiles over a scene: cores partition it, halos lend context.

::

         0      core     2*core    height
    -----+--------+---------+------+-----   the scene is mirrored past its edges
    [halo|  core  |halo]    |      |
         |   [halo|  core   |halo] |
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.core.window import Window


def balanced(length: int, *, core: int, multiple: int) -> tuple[int, ...]:
    """Return the cuts ``0 < ... < length`` of an axis into nearly equal cores.

    Args:
        length: Pixels to cut, at least 1.
        core: Longest core allowed, a multiple of ``multiple``.
        multiple: All cuts but the last lie on multiples of this.

    Returns:
        Cuts, the first 0 and the last ``length``; as few as ``core`` allows.
    """
    parts = math.ceil(length / core)
    units = math.ceil(length / multiple)
    inner = (round(units * part / parts) * multiple for part in range(1, parts))
    return (0, *inner, length)


@dataclass(frozen=True, slots=True, kw_only=True)
class TileGrid:
    """Tiles over a scene: cores partition it, halos lend context."""

    height: int
    """Scene rows."""
    width: int
    """Scene columns."""
    core: int
    """Longest edge of what a tile alone answers for; a multiple of the stride."""
    halo: int
    """Context on every side of a core; a multiple of the stride."""
    stride: int
    """Tile origins and sizes are multiples of this: the network's total down-sampling."""

    def __post_init__(self) -> None:
        """Refuse sizes that no tiling can have.

        Raises:
            ValueError: A size is not positive, or not a multiple of the stride.
        """
        if min(self.height, self.width, self.core, self.stride) < 1 or self.halo < 0:
            raise ValueError(f"sizes must be positive: {self}")
        if self.core % self.stride or self.halo % self.stride:
            raise ValueError(f"core and halo must be multiples of the stride: {self}")

    @property
    def row_cuts(self) -> tuple[int, ...]:
        """First row of each row of cores, and the scene's height."""
        return balanced(self.height, core=self.core, multiple=self.stride)

    @property
    def col_cuts(self) -> tuple[int, ...]:
        """First column of each column of cores, and the scene's width."""
        return balanced(self.width, core=self.core, multiple=self.stride)

    def cores(self) -> Iterator[Window]:
        """Yield the cores row by row; they partition the scene."""
        rows, cols = self.row_cuts, self.col_cuts
        for top, bottom in zip(rows, rows[1:], strict=False):
            for left, right in zip(cols, cols[1:], strict=False):
                yield Window(row=top, col=left, height=bottom - top, width=right - left)

    def tile(self, core: Window) -> Window:
        """Return a core with its halo, ending on multiples of the stride past the scene."""
        height = math.ceil(core.height / self.stride) * self.stride
        width = math.ceil(core.width / self.stride) * self.stride
        return Window(row=core.row, col=core.col, height=height, width=width).grown(self.halo)

    def __len__(self) -> int:
        """Return the number of tiles."""
        return (len(self.row_cuts) - 1) * (len(self.col_cuts) - 1)

    @property
    def tile_pixels(self) -> int:
        """Pixels that the network sees, all tiles together."""
        return sum(self.tile(core).pixels for core in self.cores())
