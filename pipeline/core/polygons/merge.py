"""Polygons of tiles united into those of the scene, while the tiles come in."""

from __future__ import annotations

import numpy as np

from pipeline.core.polygons.contact import SharedBoundaries, sum_boundaries
from pipeline.core.polygons.fragments import Fragments, Int64
from pipeline.core.polygons.pending import PendingPolygons
from pipeline.core.polygons.seam import border_polygons, bounds_of_corners
from pipeline.core.polygons.separate import MergeCriterion
from pipeline.core.window import Window


class Merger:
    """Unites polygons over the seams between cores, as soon as each is complete.

    All that ``add``, ``skip`` and ``finish`` return, taken together, is what
    tracing the whole mosaic at once returns, skipped windows being background; or,
    given ``criterion``, what separating it at once and uniting doubtful instances again
    returns. Then what touches is complete at the same time. What is kept meanwhile
    is polygons that touch a seam whose other side is yet to come, or hang together
    with such a polygon.

    Args:
        height: Rows of the scene.
        width: Columns of the scene.
        criterion: Which boundaries between instances are merged; None: polygons are no instances.
    """

    def __init__(self, *, height: int, width: int, criterion: MergeCriterion | None = None) -> None:
        """Await the first window, at the scene's top left corner."""
        self.height = height
        self.width = width
        self._separate = criterion is not None
        self._pool = PendingPolygons(criterion)
        # The open seams, a pixel each: polygon, owner and interior north and west of it.
        self._north = np.full((3, width), -1, np.int64)
        self._west = np.empty((3, 0), np.int64)
        # Where the next window starts, and where the row of windows before it ends.
        self._row = 0
        self._col = 0
        self._bottom = 0

    @property
    def waiting(self) -> int:
        """Polygons kept because a seam of their cluster is open."""
        return self._pool.waiting

    def boxes(self) -> Int64:
        """Return the boxes of the polygons kept: (waiting, 4) as x, y, x, y."""
        return self._pool.boxes()

    @property
    def room(self) -> int:
        """Places in memory for polygons that wait; it follows ``waiting`` down again."""
        return self._pool.room

    def add(
        self, window: Window, fragments: Fragments, boundaries: SharedBoundaries | None = None
    ) -> Fragments:
        """Take a core's polygons in; return the polygons that are complete now.

        Args:
            window: The core. Cores come row of cores by row of cores, from left to
                right, and leave no gap.
            fragments: What ``trace`` or ``trace_instances`` made of the core, in the
                scene's pixels.
            boundaries: What ``shared_boundaries`` made of it, where the polygons are instances.

        Raises:
            ValueError: Another window was to come, a polygon reaches past it, or the
                boundaries are of another one.
        """
        boundaries = SharedBoundaries.empty(window) if boundaries is None else boundaries
        self._check(window, fragments, boundaries)
        top, left, bottom, right = border_polygons(
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
        touching[np.concatenate([*seams, boundaries.contacts[:, :2].ravel()])] = True
        touching = touching[:-1]
        complete = fragments.take(~touching)
        first = self._pool.add(fragments.take(touching))
        # Polygons that touch nothing have no number: -1, as where there is none.
        numbers = np.where(touching, first + np.cumsum(touching) - 1, -1)
        numbers = np.append(numbers, -1)
        top, left, bottom, right = (numbers[seam] for seam in seams)
        north = self._north[:, window.col : window.right]
        concerned = np.unique(np.concatenate([north[0], self._west[0], top, left]))
        self._pool.expect(bottom)
        self._pool.expect(right)
        contacts = boundaries.contacts.copy()
        contacts[:, :2] = numbers[contacts[:, :2]]
        here = window.row * self.width + np.arange(window.col, window.right)
        self._meet(north, np.stack([top, *boundaries.top]) if len(top) else None, here, self.width)
        here = np.arange(window.row, window.bottom) * self.width + window.col
        self._meet(self._west, np.stack([left, *boundaries.left]) if len(left) else None, here, 1)
        self._pool.link(contacts)
        north[0] = bottom if len(bottom) else -1
        north[1:] = boundaries.bottom
        self._west = np.stack([right, *boundaries.right[:, : len(right)]])
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

    def _meet(self, before: Int64, after: Int64 | None, here: Int64, back: int) -> None:
        """Close a seam between pixels ``here`` and those ``back`` places before them.

        Args:
            before: Polygon, owner and interior of the pixels before.
            after: The same of the pixels here; None at the scene's edge.
            here: Places in the scene, in reading order.
            back: How far before them the others lie.
        """
        if after is None:
            return
        self._pool.join(before[0], after[0])
        both = (before[0] >= 0) & (after[0] >= 0)
        if not self._separate or not both.any():
            return
        one, two, here = before[:, both], after[:, both], here[both]
        bonded = (one[1] == two[1]) | ((one[1] == here - back) & (two[1] == here))
        depth = np.minimum(one[2], two[2])
        bonds = np.unique(np.stack([one[0], two[0]], axis=1)[bonded], axis=0)
        edges = np.stack([one[0], two[0], np.ones_like(depth), depth], axis=1)[~bonded]
        self._pool.link(np.concatenate([np.pad(bonds, ((0, 0), (0, 2))), sum_boundaries(edges)]))

    def _check(self, window: Window, fragments: Fragments, boundaries: SharedBoundaries) -> None:
        """Refuse a window out of turn, and polygons or joints that are not its own."""
        in_turn = (window.row, window.col) == (self._row, self._col)
        fits = window.right <= self.width and window.bottom <= self.height
        if not in_turn or not fits or (window.col and window.bottom != self._bottom):
            raise ValueError(
                f"{window} does not continue the scene of {self.height} x {self.width} "
                f"pixels at row {self._row}, col {self._col}; give the cores of a grid in order"
            )
        if boundaries.lengths != (window.width, window.height) * 2:
            raise ValueError(f"sides are {boundaries.lengths} pixels long, {window} has others")
        if len(boundaries.contacts) and not self._separate:
            raise ValueError("instances cannot be merged without `criterion`")
        if not len(fragments):
            return
        left, top, right, bottom = bounds_of_corners(fragments.coords)
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
