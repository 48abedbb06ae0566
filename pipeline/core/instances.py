"""Instances of tiles united into those of the scene, while the tiles come in."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.core.fragments import Fragments, Int64
from pipeline.core.pool import Pool
from pipeline.core.seam import borders, reach
from pipeline.core.separate import Sides
from pipeline.core.window import Window


class InstanceMerger:
    """Unites the parts of one instance over the seams between cores.

    Like `Merger`, which unites all that is of equal label; here the pixels on both
    sides of a seam must be bonded as well. All that ``add`` and ``skip`` return, taken
    together, is what separating and tracing the whole mosaic at once returns. Two parts
    in one core may turn out to be one instance by a way round through other cores.

    Args:
        height: Rows of the scene.
        width: Columns of the scene.
    """

    def __init__(self, *, height: int, width: int) -> None:
        """Await the first window, at the scene's top left corner."""
        self.height = height
        self.width = width
        self._pool = Pool()
        # The open seams, a pixel each: polygon and owner north of it, and west of it.
        self._north = np.full((2, width), -1, np.int64)
        self._west = np.empty((2, 0), np.int64)
        # Where the next window starts, and where the row of windows before it ends.
        self._row = 0
        self._col = 0
        self._bottom = 0

    @property
    def waiting(self) -> int:
        """Polygons kept because a seam of their cluster is open."""
        return self._pool.waiting

    def add(self, window: Window, fragments: Fragments, sides: Sides) -> Fragments:
        """Take a core's instances in; return the polygons that are complete now.

        Args:
            window: The core. Cores come row of cores by row of cores, from left to
                right, and leave no gap.
            fragments: What ``trace_instances`` made of the core.
            sides: The owners along the core's border, from ``separate``.

        Raises:
            ValueError: Another window was to come, a polygon reaches past it, or the
                sides are of another one.
        """
        self._check(window, fragments, sides)
        top, left, bottom, right = borders(
            fragments.coords,
            fragments.ring_offsets,
            fragments.polygon_offsets,
            (window.row, window.col, window.height, window.width),
        )
        # At the scene's edge nothing is to be united.
        top, left = top[: window.row * len(top)], left[: window.col * len(left)]
        bottom = bottom[: (self.height - window.bottom) * len(bottom)]
        right = right[: (self.width - window.right) * len(right)]
        touching = np.zeros(len(fragments) + 1, bool)
        touching[np.concatenate([top, left, bottom, right])] = True
        touching = touching[:-1]
        first = self._pool.add(fragments.take(touching))
        # Polygons that touch no seam have no number: -1, as where there is none.
        numbers = np.where(touching, first + np.cumsum(touching) - 1, -1)
        numbers = np.append(numbers, -1)
        north = self._north[:, window.col : window.right]
        concerned = np.unique(
            np.concatenate([north[0], self._west[0], numbers[top], numbers[left]])
        )
        self._pool.expect(numbers[bottom])
        self._pool.expect(numbers[right])
        if len(top):
            here = window.row * self.width + np.arange(window.col, window.right)
            bonded = _bonded(sides.top, north[1], here, here - self.width)
            self._pool.join(north[0], np.where(bonded, numbers[top], -1))
        if len(left):
            here = np.arange(window.row, window.bottom) * self.width + window.col
            bonded = _bonded(sides.left, self._west[1], here, here - 1)
            self._pool.join(self._west[0], np.where(bonded, numbers[left], -1))
        north[0] = numbers[bottom] if len(bottom) else -1
        north[1] = sides.bottom
        self._west = np.stack([numbers[right], sides.right[: len(right)]])
        self._advance(window)
        fresh = np.arange(first, first + np.count_nonzero(touching))
        closed = self._pool.close(np.union1d(concerned[concerned >= 0], fresh))
        self._renumber()
        complete = fragments.take(~touching)
        return Fragments.concatenate([complete, closed]) if len(closed) else complete

    def skip(self, window: Window) -> Fragments:
        """Pass over a core without polygons; return the polygons that are complete now.

        Raises:
            ValueError: Another window was to come.
        """
        return self.add(window, Fragments.empty(), Sides.empty(window))

    def finish(self) -> Fragments:
        """Return what is left once each window was added or skipped: nothing.

        Raises:
            ValueError: Part of the scene was neither added nor skipped.
        """
        if self._row < self.height:
            raise ValueError(
                f"the scene of {self.height} x {self.width} pixels was merged up to row "
                f"{self._row}, col {self._col}; add or skip the windows from there on"
            )
        return Fragments.empty()

    def _check(self, window: Window, fragments: Fragments, sides: Sides) -> None:
        """Refuse a window out of turn, and polygons or sides that are not its own."""
        in_turn = (window.row, window.col) == (self._row, self._col)
        fits = window.right <= self.width and window.bottom <= self.height
        if not in_turn or not fits or (window.col and window.bottom != self._bottom):
            raise ValueError(
                f"{window} does not continue the scene of {self.height} x {self.width} "
                f"pixels at row {self._row}, col {self._col}; give the cores of a grid in order"
            )
        lengths = tuple(len(side) for side in (sides.top, sides.left, sides.bottom, sides.right))
        if lengths != (window.width, window.height) * 2:
            raise ValueError(f"sides are {lengths} pixels long, {window} has others")
        if not len(fragments):
            return
        left, top, right, bottom = reach(fragments.coords)
        if left < window.col or top < window.row or right > window.right or bottom > window.bottom:
            raise ValueError(
                f"polygons reach over rows {top} to {bottom} and columns {left} to {right}, past "
                f"{window}; trace with the core's row and col"
            )

    def _advance(self, window: Window) -> None:
        """Note where the next window starts."""
        self._bottom = window.bottom
        self._col = window.right
        if window.right == self.width:
            self._row, self._col = window.bottom, 0
            self._west = self._west[:, :0]

    def _renumber(self) -> None:
        """Let go of the complete polygons' places, once they are the most of all."""
        numbers = self._pool.compact()
        if numbers is not None:
            self._north[0] = numbers[self._north[0]]
            self._west[0] = numbers[self._west[0]]


def _bonded(one: Int64, two: Int64, here: Int64, there: Int64) -> npt.NDArray[np.bool_]:
    """Tell which pixels ``here`` are bonded with those ``there``, by the owners of both."""
    bonded: npt.NDArray[np.bool_] = (one == two) | ((one == here) & (two == there))
    return bonded
