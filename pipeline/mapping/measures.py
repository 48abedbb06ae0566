"""What polygons measure on the ground."""

from __future__ import annotations

import math

import numpy as np
import shapely
from jaxtyping import Bool, Float64, Shaped

from pipeline.scenes.scene import SceneInfo

LARGE = 512.0
"""Polygons longer than this are measured exactly, pixels; others as is due to their place."""
FAR_M = 10_000.0
"""So do those longer than this on the ground: a pixel of a global grid is not like the next."""


def areas_m2(shapes: Shaped[np.ndarray, " n"], info: SceneInfo) -> Float64[np.ndarray, " n"]:
    """Return geodesic areas; pixels where the scene is not georeferenced."""
    areas: Float64[np.ndarray, " n"] = shapely.area(shapes)
    if info.georef is None or not len(shapes):
        return areas
    areas *= info.georef.pixel_area_m2(_middles(shapes))
    for index in np.flatnonzero(_large(shapes, info)).tolist():
        areas[index] = info.georef.area_m2(shapes[index])
    return np.asarray(np.nan_to_num(areas))


def perimeters_m(shapes: Shaped[np.ndarray, " n"], info: SceneInfo) -> Float64[np.ndarray, " n"]:
    """Return geodesic lengths of all rings; pixels where the scene is not georeferenced."""
    if info.georef is None or not len(shapes):
        lengths: Float64[np.ndarray, " n"] = shapely.length(shapes)
        return lengths
    _, coords, (rings, parts) = shapely.to_ragged_array(shapes, include_z=False)
    owners = np.repeat(np.arange(len(shapes)), np.diff(rings[parts]))
    steps = np.diff(coords, axis=0, append=coords[:1])
    # What leads from one ring to the next is no edge.
    steps[rings[1:] - 1] = 0
    e, f, g = info.georef.pixel_metric_m2(_middles(shapes))[owners].T
    dx, dy = steps.T
    metres = np.sqrt(np.maximum(e * dx * dx + 2 * f * dx * dy + g * dy * dy, 0))
    found = np.bincount(owners, metres, minlength=len(shapes))
    for index in np.flatnonzero(_large(shapes, info)).tolist():
        found[index] = info.georef.perimeter_m(shapes[index])
    return np.asarray(np.nan_to_num(found))


def _middles(shapes: Shaped[np.ndarray, " n"]) -> Float64[np.ndarray, "n 2"]:
    bounds = shapely.bounds(shapes)
    return np.asarray((bounds[:, :2] + bounds[:, 2:]) / 2)


def _large(shapes: Shaped[np.ndarray, " n"], info: SceneInfo) -> Bool[np.ndarray, " n"]:
    longest = LARGE
    if info.georef is not None:
        across, down = info.georef.ground_size_m(col=info.width / 2, row=info.height / 2)
        if across + down < math.inf:
            longest = min(LARGE, FAR_M / max(across, down))
    bounds = shapely.bounds(shapes)
    return np.asarray((bounds[:, 2:] - bounds[:, :2]).max(axis=1) > longest)
