"""What two layers can be compared on: the ground that both have mapped."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from jaxtyping import Bool, Float64, Int64
from shapely.geometry.base import BaseGeometry

from pipeline.core.conflation.observations import near_part, share_within
from pipeline.core.conflation.pairs import Outlines
from pipeline.regions.layer.layer_file import RegionLayer

_AT_ONCE = 4096


def common_ground(one: BaseGeometry, other: BaseGeometry) -> BaseGeometry:
    """Return the area of both; an area itself where they are equal, to the last bit."""
    if one.equals_exact(other, 0.0):
        return one
    # Overlays of a and b, and of b and a, may differ in the last bits.
    first, second = sorted((one, other), key=lambda shape: shapely.to_wkb(shape))
    found: BaseGeometry = shapely.intersection(first, second)
    return found


def common_footprints(
    ground: BaseGeometry, layer: RegionLayer, labels: list[str]
) -> tuple[Outlines, Float64[np.ndarray, " n"]]:
    """Return what of each footprint lies on common ground, and the share of it that does."""
    whole = layer.outlines(labels)
    share = np.zeros(len(layer))
    clipped: dict[int, BaseGeometry] = {}
    area, bounds = whole.area.copy(), whole.bounds.copy()
    for start in range(0, len(layer), _AT_ONCE):
        rows = np.arange(start, min(start + _AT_ONCE, len(layer)))
        shapes = whole.load(rows)
        share[rows] = share_within(shapes, ground)
        beyond = rows[(share[rows] < 1) & (share[rows] > 0)]
        if len(beyond):
            parts = _areas(shapely.intersection(whole.load(beyond), near_part(ground, shapes)))
            clipped.update(zip(beyond.tolist(), parts, strict=True))
            area[beyond], bounds[beyond] = shapely.area(parts), shapely.bounds(parts)
    area[share == 0] = 0.0

    def load(rows: Int64[np.ndarray, " k"]) -> Any:
        found = layer.load(rows)
        for at, row in enumerate(rows.tolist()):
            if row in clipped:
                found[at] = clipped[row]
        return found

    return Outlines(bounds=bounds, area=area, label=whole.label, load=load), share


def cut_footprints(layers: tuple[RegionLayer, RegionLayer]) -> Bool[np.ndarray, " n"]:
    """Return which footprints of both layers the edge of a scene, or a failure, may have cut."""
    flags = ("touches_scene_edge", "touches_failure")
    return np.concatenate(
        [np.any([layer.table[flag].to_numpy() for flag in flags], axis=0) for layer in layers]
    )


def _areas(shapes: Any) -> Any:
    """Return the areas among the parts of each shape."""
    found = shapes.copy()
    for at in np.flatnonzero(shapely.get_type_id(shapes) > shapely.GeometryType.POLYGON).tolist():
        parts = shapely.get_parts(shapely.get_parts(shapes[at]))
        found[at] = shapely.multipolygons(parts[shapely.get_dimensions(parts) == 2])
    return found
