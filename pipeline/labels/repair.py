"""Polygons that can be computed with, of polygons as they come."""

from __future__ import annotations

import numpy as np
import shapely
from jaxtyping import Float64, Shaped
from pyproj import CRS


def count_noun(count: int, one: str, many: str | None = None) -> str:
    """Return ``1 polygon`` or ``2 polygons``."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def unwrap_antimeridian(
    shapes: Shaped[np.ndarray, " n"], crs: CRS | None, notes: list[str]
) -> Shaped[np.ndarray, " n"]:
    """Return polygons that cross 180 degrees in one piece: -179.9 becomes 180.1."""
    if crs is None or not crs.is_geographic or not len(shapes):
        return shapes
    left, _, right, _ = shapely.bounds(shapes).T
    wide = np.flatnonzero(right - left > 180)
    if not len(wide):
        return shapes

    def eastward(points: Float64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n 2"]:
        return np.column_stack(
            [np.where(points[:, 0] < 0, points[:, 0] + 360, points[:, 0]), points[:, 1]]
        )

    moved = shapely.transform(shapes[wide], eastward)
    left, _, right, _ = shapely.bounds(moved).T
    # What is as wide as half the Earth either way, or a line there, reaches around it.
    across = (right > left) & (right - left <= 180)
    if across.any():
        notes.append(
            f"{count_noun(int(across.sum()), 'polygon')} over the antimeridian put together there"
        )
        shapes = shapes.copy()
        shapes[wide[across]] = moved[across]
    return shapes


def repair_polygons(shapes: Shaped[np.ndarray, " n"], notes: list[str]) -> Shaped[np.ndarray, " n"]:
    """Return valid polygons: rings that cross are taken apart, what has no area is dropped.

    Polygons with a coordinate that is no number become empty: their outline is not known.
    """
    with np.errstate(invalid="ignore"):
        broken = np.flatnonzero(~shapely.is_valid(shapes))
    if not len(broken):
        return shapes
    shapes = shapes.copy()
    points, owner = shapely.get_coordinates(shapes[broken], return_index=True)
    finite = np.bincount(owner, ~np.isfinite(points).all(axis=1), len(broken)) == 0
    lost = int((~finite).sum())
    if lost:
        what = count_noun(lost, "polygon")
        notes.append(f"{what} with coordinates that are no numbers made empty")
        shapes[broken[~finite]] = shapely.Polygon()
        broken = broken[finite]
        if not len(broken):
            return shapes
    shapes[broken] = shapely.make_valid(shapes[broken], method="structure", keep_collapsed=False)
    notes.append(f"{count_noun(len(broken), 'invalid polygon')} repaired")
    return shapes
