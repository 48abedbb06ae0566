"""Polygons of tiles united into those of the scene, while the tiles come in."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.core.fragments import Fragments, Int64
from pipeline.core.pool import Pool
from pipeline.core.seam import borders, reach
from pipeline.core.separate import Sides
from pipeline.core.window import Window


class Merger:
    """Unites polygons over the seams between cores, as soon as each is complete.

    All that ``add``, ``skip`` and ``finish`` return, taken together, is what
    tracing the whole mosaic at once returns, skipped windows being background; or
    separating and tracing it at once, where the cores come with their sides. Then
    two parts in one core may turn out to be one by a way round through others.
    What is kept meanwhile is polygons that touch a seam whose other side is yet
    to come, or hang together with such a polygon.

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

    @property
    def room(self) -> int:
        """Places in memory for polygons that wait; it follows ``waiting`` down again."""
        return self._pool.room

    def add(self, window: Window, fragments: Fragments, sides: Sides | None = None) -> Fragments:
        """Take a core's polygons in; return the polygons that are complete now.

        Args:
            window: The core. Cores come row of cores by row of cores, from left to
                right, and leave no gap.
            fragments: What ``trace`` or ``trace_instances`` made of the core, in the
                scene's pixels.
            sides: The owners along the core's border, from ``separate``; without them
                all that is of equal label over a seam is united.

        Raises:
            ValueError: Another window was to come, a polygon reaches past it, or the
                sides are of another one.
        """
        sides = Sides.empty(window) if sides is None else sides
        self._check(window, fragments, sides)
        top, left, bottom, right = borders(
            fragments.coords,
            fragments.ring_offsets,
            fragments.polygon_offsets,
            (window.row, window.col, window.height, window.width),
        )
        # At the scene's edge nothing is to be united.
        seams = [
            top if window.row else top[:0],
            left if window.col else left[:0],
            bottom if window.bottom < self.height else bottom[:0],
            right if window.right < self.width else right[:0],
        ]
        touching = np.zeros(len(fragments) + 1, bool)
        touching[np.concatenate(seams)] = True
        touching = touching[:-1]
        complete = fragments.take(~touching)
        first = self._pool.add(fragments.take(touching))
        # Polygons that touch no seam have no number: -1, as where there is none.
        numbers = np.where(touching, first + np.cumsum(touching) - 1, -1)
        numbers = np.append(numbers, -1)
        top, left, bottom, right = (numbers[seam] for seam in seams)
        north = self._north[:, window.col : window.right]
        concerned = np.unique(np.concatenate([north[0], self._west[0], top, left]))
        self._pool.expect(bottom)
        self._pool.expect(right)
        if len(top):
            here = window.row * self.width + np.arange(window.col, window.right)
            bonded = _bonded(sides.top, north[1], here, here - self.width)
            self._pool.join(north[0], np.where(bonded, top, -1))
        if len(left):
            here = np.arange(window.row, window.bottom) * self.width + window.col
            bonded = _bonded(sides.left, self._west[1], here, here - 1)
            self._pool.join(self._west[0], np.where(bonded, left, -1))
        north[0] = bottom if len(bottom) else -1
        north[1] = sides.bottom
        self._west = np.stack([right, sides.right[: len(right)]])
        self._advance(window)
        fresh = np.arange(first, first + np.count_nonzero(touching))
        closed = self._pool.close(np.union1d(concerned[concerned >= 0], fresh))
        self._renumber()
        return Fragments.concatenate([complete, closed]) if len(closed) else complete

    def skip(self, window: Window) -> Fragments:
        """Pass over a core without polygons; return the polygons that are complete now.

        Raises:
            ValueError: Another window was to come.
        """
        return self.add(window, Fragments.empty())

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
