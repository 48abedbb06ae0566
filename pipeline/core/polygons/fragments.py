"""Many polygons in a few arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from pipeline.core.compiled import compiled

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fragments:
    """Regions of equal label as polygons along pixel edges, in the scene's pixels.

    Rings are closed, have a vertex at each corner and nowhere else, and come in
    one order only, so that equal polygons have equal arrays::

        shell (first)   from its topmost, then leftmost corner; clockwise on the
                        screen, where rows grow downwards
        holes           the other way round, from the same corner of each; sorted
                        by that corner, row before column
    """

    coords: Int32
    """Corners of pixels, (vertices, 2), as x = column and y = row."""
    ring_offsets: Int64
    """Ring r holds ``coords[ring_offsets[r]:ring_offsets[r + 1]]``; (rings + 1,)."""
    polygon_offsets: Int64
    """Polygon p holds the rings from ``polygon_offsets[p]`` on; (polygons + 1,)."""
    label: Int32
    """Label of each polygon's pixels, never 0."""
    pixels: Int64
    """Pixels in each polygon, holes taken out."""
    weight: Int64
    """Sum of the weights of each polygon's pixels."""
    row: Int32
    """Row of each polygon's anchor, its first pixel in reading order."""
    col: Int32
    """Column of each polygon's anchor."""

    def __len__(self) -> int:
        """Return the number of polygons."""
        return len(self.label)

    @classmethod
    def empty(cls) -> Fragments:
        """Return no polygons."""
        return cls(
            coords=np.empty((0, 2), np.int32),
            ring_offsets=np.zeros(1, np.int64),
            polygon_offsets=np.zeros(1, np.int64),
            label=np.empty(0, np.int32),
            pixels=np.empty(0, np.int64),
            weight=np.empty(0, np.int64),
            row=np.empty(0, np.int32),
            col=np.empty(0, np.int32),
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Fragments]) -> Fragments:
        """Return the polygons of all parts, one part after the other."""
        if not parts:
            return cls.empty()
        columns = {
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(cls)
            if not field.name.endswith("_offsets")
        }
        return cls(
            ring_offsets=_chained([part.ring_offsets for part in parts]),
            polygon_offsets=_chained([part.polygon_offsets for part in parts]),
            **columns,
        )

    def take(self, indices: npt.ArrayLike) -> Fragments:
        """Return the polygons at the indices, in their order; a mask picks as well."""
        chosen = np.asarray(indices)
        # Indexing refuses what is out of range, and counts from the end below zero.
        chosen = np.arange(len(self))[chosen] if chosen.size else np.empty(0, np.int64)
        coords, ring_offsets, polygon_offsets = _taken(
            self.coords, self.ring_offsets, self.polygon_offsets, chosen
        )
        return Fragments(
            coords=coords,
            ring_offsets=ring_offsets,
            polygon_offsets=polygon_offsets,
            label=self.label[chosen],
            pixels=self.pixels[chosen],
            weight=self.weight[chosen],
            row=self.row[chosen],
            col=self.col[chosen],
        )

    def by_anchor(self) -> Fragments:
        """Return the polygons in reading order of their anchors."""
        return self.take(np.lexsort((self.col, self.row)))

    def to_shapely(self) -> npt.NDArray[np.object_]:
        """Return a shapely Polygon for each, in the scene's pixels."""
        if not len(self):
            return np.empty(0, object)
        polygons: npt.NDArray[np.object_] = shapely.from_ragged_array(
            shapely.GeometryType.POLYGON,
            self.coords.astype(np.float64),
            (self.ring_offsets, self.polygon_offsets),
        )
        return polygons

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays by name, as a cached tile stores them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Fragments:
        """Return the polygons that ``to_arrays`` took apart; other names are left alone."""
        # What a file lends is often read-only, which would be compiled for anew.
        return cls(
            **{
                field.name: np.require(arrays[field.name], requirements=["C", "W"])
                for field in fields(cls)
            }
        )


def _chained(offsets: Sequence[Int64]) -> Int64:
    """Return the offsets of arrays laid end to end: ``sum of counts before + own``."""
    counts = np.concatenate([np.diff(part) for part in offsets])
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])


@compiled
def _taken(
    coords: Int32, ring_offsets: Int64, polygon_offsets: Int64, chosen: Int64
) -> tuple[Int32, Int64, Int64]:
    """Return coords, ring offsets and polygon offsets of the chosen polygons."""
    rings = 0
    vertices = 0
    for polygon in chosen:
        begin, end = polygon_offsets[polygon], polygon_offsets[polygon + 1]
        rings += end - begin
        vertices += ring_offsets[end] - ring_offsets[begin]
    taken = np.empty((vertices, 2), np.int32)
    taken_rings = np.zeros(rings + 1, np.int64)
    taken_polygons = np.zeros(len(chosen) + 1, np.int64)
    rings = 0
    vertices = 0
    for place in range(len(chosen)):
        for ring in range(polygon_offsets[chosen[place]], polygon_offsets[chosen[place] + 1]):
            for vertex in range(ring_offsets[ring], ring_offsets[ring + 1]):
                taken[vertices, 0] = coords[vertex, 0]
                taken[vertices, 1] = coords[vertex, 1]
                vertices += 1
            rings += 1
            taken_rings[rings] = vertices
        taken_polygons[place + 1] = rings
    return taken, taken_rings, taken_polygons
