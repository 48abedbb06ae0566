"""Polygons shaped while a sweep over the scene completes them.

What a polygon becomes depends on its *cluster*: all that is nearer to it than two new
outlines could both reach, by any way round. A cluster is shaped once nothing can join
it any more, so its result does not depend on when that is, nor on tiles::

    swept   |  1 1   2 2 |      1 is shaped now; 2 waits for the polygon w, which waits
            |    1  2w   |      in the merger for its lower part; 3 waits for what may
    --------|------------|      yet come close to it
            |   not yet  |

In a dense town a cluster may go on and on. One wider or higher than ``CELL`` is cut:
polygons on the lines of a lattice, ``CELL`` pixels apart, are *borders*. A border is
shaped by itself and then loses what lies in its neighbours' old outlines, or in what
earlier borders are by themselves; the others, now in clusters smaller than a cell, take
its new outline as given. So what waits lies
within ``CELL`` pixels of what is not yet swept or not yet merged, and no cluster that is
shaped at once is larger than a cell, or one polygon.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely

from pipeline.core.outlines.nodata import NodataPixels
from pipeline.core.outlines.outline import Outline
from pipeline.core.outlines.pending import FinishedOutlines, PendingOutlines
from pipeline.core.outlines.regular.neighbours import any_of, may_get_neighbours, neighbours
from pipeline.core.outlines.subpixel import EdgeOffsetStrip, subpixel
from pipeline.core.outlines.touching import Int64, Polygons, connected
from pipeline.core.polygons.fragments import Fragments
from pipeline.core.polygons.subpixel_offsets import EdgeOffsets
from pipeline.core.window import Window

Flags = npt.NDArray[np.bool_]

CELL = 2048
"""Largest extent of a cluster that is shaped as a whole, in pixels."""
FEW = 2048
"""New polygons for which it is worth looking whether clusters are complete."""


class OutlineShaper:
    """Takes merged polygons in any order; gives them back shaped, each cluster once complete.

    All that ``advance`` returns, taken together and sorted, depends on all that ``add``
    was given, not on the calls it came in.

    Args:
        outline: How polygons are shaped.
        height: Rows of the scene.
        width: Columns of the scene.
        cell: Largest extent of a cluster that is shaped as a whole.
        few: New polygons for which it is worth looking whether clusters are complete.
    """

    def __init__(
        self, *, outline: Outline, height: int, width: int, cell: int = CELL, few: int = FEW
    ) -> None:
        """Await polygons."""
        self._outline = outline
        self._size = height, width
        self._cell = cell
        self._few = few
        # No outline leaves the scene: what is around it is fixed.
        far = outline.gap + 1
        sides = [
            (-far, -far, width + far, 0),
            (-far, height, width + far, height + far),
            (-far, -far, 0, height + far),
            (width, -far, width + far, height + far),
        ]
        self._outside = np.array([shapely.box(*side) for side in sides], object)
        self._parts: list[Fragments] = []
        self._new = 0
        self._held = PendingOutlines.of(Fragments.empty())
        self._unknown = NodataPixels()
        self._rims = EdgeOffsetStrip()

    @property
    def waiting(self) -> int:
        """Polygons in memory."""
        return self._new + len(self._held)

    def add(self, fragments: Fragments) -> None:
        """Take complete polygons in: merged, none of them given before."""
        if len(fragments):
            self._parts.append(fragments)
            self._new += len(fragments)

    def note(self, window: Window, unknown: Flags) -> None:
        """Let no outline come to cover unknown pixels of a window, (rows, cols).

        Call it before `advance` is called with a front beyond the window.
        """
        if self._outline.kind not in ("pixels", "subpixel"):
            self._unknown.add(window, unknown)

    def shift(self, window: Window, rim: EdgeOffsets) -> None:
        """Take in how far a core's pixel edges lie from where the surface crosses its level.

        Call it before `advance` is called with a front beyond the window.
        """
        if self._outline.kind == "subpixel":
            self._rims.add(window, rim)

    def advance(self, *, front: float, unmerged: Int64, now: bool = False) -> FinishedOutlines:
        """Return the polygons whose clusters are complete, or none as yet.

        Args:
            front: All that lies above this row was added or is not yet merged.
            unmerged: Boxes of what is not yet merged: (n, 4) as x, y, x, y.
            now: Whether to look even where little has come since the last time.
        """
        if self._outline.gap == 0:
            # Shapes do not depend on neighbours, so none is held back.
            alone = PendingOutlines.of(Fragments.concatenate(self._parts))
            self._parts, self._new = [], 0
            return FinishedOutlines.of(alone)
        # Looking costs as much as all that is held, so let that double.
        if not now and self._new < max(self._few, len(self._held)):
            return FinishedOutlines.of(PendingOutlines.of(Fragments.empty()))
        held = self._held.joined(PendingOutlines.of(Fragments.concatenate(self._parts)))
        self._parts, self._new = [], 0
        if not len(held):
            self._forget(held, front, unmerged)
            return FinishedOutlines.of(held)
        near = neighbours(held.outlines, self._outline.gap)
        waits = may_get_neighbours(held.outlines, self._outline.gap, front, unmerged)
        if self._outline.kind == "subpixel":
            self._settle_each(held, near, waits)
        else:
            self._settle(held, near, waits)
        ready = held.final & ~held.given
        held.given |= ready
        # A polygon that is given stays known to neighbours that wait.
        one, two = near
        needed = ~held.given
        needed[one[~held.given[two]]] = True
        self._held = held.take(needed)
        self._forget(self._held, front, unmerged)
        return FinishedOutlines.of(held.take(ready))

    def finish(self) -> FinishedOutlines:
        """Return all that is left, after the last polygon was added."""
        return self.advance(front=np.inf, unmerged=np.empty((0, 4), np.int64), now=True)

    def _forget(self, held: PendingOutlines, front: float, unmerged: Int64) -> None:
        """Forget unknown pixels and shifts that no outline can reach any more."""
        tops = np.concatenate([unmerged[:, 1], shapely.bounds(held.outlines)[:, 1]])
        above = tops.min(initial=front) - self._outline.gap
        self._unknown.forget(above=above)
        self._rims.forget(above=above)

    def _settle_each(self, held: PendingOutlines, near: tuple[Int64, Int64], waits: Flags) -> None:
        """Draw through the surface what has all that touches it, however large its cluster."""
        one, two = near
        ready = ~held.final & ~waits
        concerned = ready.copy()
        concerned[two[ready[one]]] = True
        members, places = np.flatnonzero(concerned), np.flatnonzero(ready)
        made = subpixel(
            held.outlines[members],
            self._rims,
            size=self._size,
            least_iou=self._outline.rules.least_iou,
        )
        held.settle(places, made[ready[members]], np.zeros(len(places), bool))

    def _settle(self, held: PendingOutlines, near: tuple[Int64, Int64], waits: Flags) -> None:
        """Shape all that can be: whole clusters, borders of large ones, what these enclose."""
        one, two = near
        clusters = connected(one, two, len(held))
        held.large |= self._oversize(held.outlines, clusters)[clusters]
        held.large = any_of(clusters, held.large)
        border = held.large & self._on_lattice(held.outlines)
        left = ~held.final
        # What an earlier border may become is known once all around it is: unknown pixels
        # beside it may yet be told of.
        early = ~waits
        early[one[(border & waits)[two]]] = False
        self._shape_borders(held, near, border, np.flatnonzero(left & border & early))
        inner = ~(border[one] | border[two])
        clusters = connected(one[inner], two[inner], len(held))
        # Who has a border beside that is not shaped yet waits for it.
        waits = waits & ~border
        waits[one[(border & ~held.final)[two]]] = True
        whole = left & ~border & ~any_of(clusters, waits)
        members = np.flatnonzero(whole)
        fixed = np.zeros(len(held), bool)
        fixed[two[whole[one]]] = True
        made, flags = self._outline.shaped(
            held.outlines[members],
            np.concatenate([held.polygons[fixed & border], self._outside]),
            clusters[members],
            self._unknown,
        )
        held.settle(members, made, flags)

    def _shape_borders(
        self, held: PendingOutlines, near: tuple[Int64, Int64], border: Flags, places: Int64
    ) -> None:
        """Shape borders: clear of old outlines, and of what earlier borders may become."""
        one, two = near
        starts = np.searchsorted(one, np.arange(len(held) + 1))
        beside = [two[starts[place] : starts[place + 1]] for place in places.tolist()]
        earlier = [
            others[border[others] & (others < place)]
            for place, others in zip(places, beside, strict=True)
        ]
        rivals = np.unique(np.concatenate([*earlier, np.empty(0, np.int64)]))
        claims = self._outline.attempts(held.outlines[rivals], self._unknown)
        around = []
        for others, before in zip(beside, earlier, strict=True):
            known = np.searchsorted(rivals, before)
            parts = [held.outlines[others], self._outside, *(claim[known] for claim in claims)]
            around.append(np.concatenate(parts))
        made, flags = self._outline.alone(held.outlines[places], around, self._unknown)
        held.settle(places, made, flags)

    def _oversize(self, outlines: Polygons, clusters: Int64) -> Flags:
        """Return which clusters are wider or higher than a cell."""
        boxes = np.full((clusters.max() + 1, 4), np.inf)
        np.minimum.at(boxes, clusters, shapely.bounds(outlines) * (1, 1, -1, -1))
        extents = -boxes[:, 2:] - boxes[:, :2]
        return np.asarray((extents > self._cell).any(axis=1), bool)

    def _on_lattice(self, outlines: Polygons) -> Flags:
        """Return which polygons a line of the lattice crosses, or passes closely."""
        bounds, half = shapely.bounds(outlines), self._outline.gap / 2
        low = np.floor(np.maximum(bounds[:, :2] - half, 0) / self._cell)
        high = np.floor((bounds[:, 2:] + half) / self._cell)
        return np.asarray((low != high).any(axis=1), bool)
