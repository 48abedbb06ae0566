"""Adjoining scenes on the grid of one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from jaxtyping import Float64, Int64, Shaped
from pyproj import Transformer
from shapely.geometry.base import BaseGeometry

from pipeline.core.conflation.territories import Territories, territories
from pipeline.core.georef import Georef
from pipeline.regions.seams.results import SceneResult, place_on
from pipeline.regions.seams.stitch import PlacedResult
from pipeline.regions.seams.trace_seams import TraceSettings
from pipeline.scenes.scene import SceneInfo

_SIDES = 64
"""Pieces that the sides of a frame are cut into, where they bend on another grid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneMember:
    """A scene among adjoining ones."""

    scene: int
    """Its number in the layer."""
    acquisition: int
    """A number that pieces of one acquisition share."""
    result: SceneResult
    """Its rasters."""
    coverage: BaseGeometry
    """Its valid area in longitude and latitude."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProjectedGroup:
    """A common grid, and what lies where on it."""

    georef: Georef
    """Where its pixels lie."""
    placed: tuple[PlacedResult, ...]
    """The scenes."""
    land: Territories
    """Area of each, and the seams that are joined on this grid."""
    manner: TraceSettings
    """How polygons are made."""

    def to_pixels(self, shapes: Shaped[np.ndarray, " n"]) -> Shaped[np.ndarray, " n"]:
        """Return shapes in longitude and latitude in pixels of the grid."""
        move = Transformer.from_crs("OGC:CRS84", self.georef.crs, always_xy=True)

        def moved(points: Float64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n 2"]:
            return self.georef.to_pixels(
                np.column_stack(move.transform(points[:, 0], points[:, 1]))
            )

        return np.asarray(shapely.transform(shapes, moved))

    def to_lonlat(self, shapes: Shaped[np.ndarray, " n"]) -> Shaped[np.ndarray, " n"]:
        """Return shapes in pixels of the grid in longitude and latitude."""
        return np.asarray(shapely.transform(shapes, self.georef.to_lonlat))


def lattices(members: Sequence[SceneMember]) -> tuple[list[Georef], Int64[np.ndarray, " members"]]:
    """Return the different grids of scenes, and which each lies on; one's pixels are another's."""
    grids: list[Georef] = []
    which = []
    for member in members:
        fits = (at for at, grid in enumerate(grids) if place_on(grid, member.result) is not None)
        found = next(fits, None)
        if found is None:
            found = len(grids)
            grids.append(member.result.georef)
        which.append(found)
    return grids, np.array(which, np.int64)


def project_group(
    members: Sequence[SceneMember],
    grid: Georef,
    *,
    lattice: int,
    which: Int64[np.ndarray, " members"],
) -> ProjectedGroup:
    """Return members on a grid, with the seams that are joined on it.

    A seam between scenes on different grids is joined on the earlier one.
    """
    offsets = [place_on(grid, member.result) for member in members]
    frames = [_frame(grid, one.result, at) for one, at in zip(members, offsets, strict=True)]
    left, top, right, bottom = shapely.total_bounds(frames)
    col, row = int(np.floor(left + 1e-3)), int(np.floor(top + 1e-3))
    georef = _shifted(grid, members, offsets, (row, col))
    placed = tuple(
        PlacedResult(
            result=one.result,
            offset=None if at is None else (at[0] - row, at[1] - col),
            frame=shapely.transform(frame, lambda points: points - [col, row]),
        )
        for one, at, frame in zip(members, offsets, frames, strict=True)
    )
    model = members[int(np.flatnonzero(which == lattice)[0])].result
    manner = TraceSettings(
        info=SceneInfo(
            name="seams",
            source="seams",
            height=int(np.ceil(bottom - row - 1e-3)),
            width=int(np.ceil(right - col - 1e-3)),
            bands=(),
            dtype="uint8",
            georef=georef,
            fingerprint="",
        ),
        separation=model.separation,
        outline=model.outline,
        threshold=int(model.settings["threshold"]),
        min_area_m2=float(model.settings["min_area_m2"]),
        min_hole_m2=float(model.settings["shape"]["min_hole_m2"]),
    )
    bare = ProjectedGroup(georef=georef, placed=placed, land=_nothing(), manner=manner)
    areas = np.empty(len(members), object)
    for at, (member, one) in enumerate(zip(members, placed, strict=True)):
        areas[at] = _area(bare, member, one)
    land = territories(areas, yields=lambda a, b: members[a].acquisition == members[b].acquisition)
    here = np.minimum(which[land.one], which[land.two]) == lattice
    land = Territories(area=land.area, one=land.one[here], two=land.two[here], seam=land.seam[here])
    return ProjectedGroup(georef=georef, placed=placed, land=land, manner=manner)


def _nothing() -> Territories:
    empty: Any = np.empty(0, object)
    none = np.empty(0, np.int64)
    return Territories(area=empty, one=none, two=none, seam=empty)


def _frame(grid: Georef, result: SceneResult, offset: tuple[int, int] | None) -> shapely.Polygon:
    """Return the outline of a scene in pixels of a grid."""
    if offset is not None:
        row, col = offset
        return shapely.box(col, row, col + result.width, row + result.height)
    own = shapely.box(0, 0, result.width, result.height)
    own = shapely.segmentize(own, max(result.width, result.height) / _SIDES)
    move = Transformer.from_crs(result.georef.crs, grid.crs, always_xy=True)

    def moved(points: Float64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n 2"]:
        there = result.georef.to_map(points)
        return grid.to_pixels(np.column_stack(move.transform(there[:, 0], there[:, 1])))

    return shapely.transform(own, moved)


def _area(plane: ProjectedGroup, member: SceneMember, placed: PlacedResult) -> BaseGeometry:
    """Return the valid area of a scene in pixels."""
    if member.result.complete:
        return placed.frame
    shapes = np.array([member.coverage], object)
    area = shapely.make_valid(shapely.simplify(plane.to_pixels(shapes)[0], 0.25))
    inside: BaseGeometry = shapely.intersection(area, placed.frame)
    return inside


def _shifted(
    grid: Georef,
    members: Sequence[SceneMember],
    offsets: Sequence[tuple[int, int] | None],
    origin: tuple[int, int],
) -> Georef:
    """Return a grid with its origin elsewhere: that of a scene which begins there, if one does."""
    for member, offset in zip(members, offsets, strict=True):
        if offset == origin:
            return member.result.georef
    a, b, c, d, e, f = grid.transform
    row, col = origin
    transform = (a, b, c + a * col + b * row, d, e, f + d * col + e * row)
    return Georef(crs_wkt=grid.crs_wkt, transform=transform)
