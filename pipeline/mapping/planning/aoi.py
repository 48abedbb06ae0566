"""The area of interest, brought onto a scene's pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import shapely
from jaxtyping import Float64
from pyproj import Transformer
from shapely.geometry.base import BaseGeometry

from pipeline.core.window import Window
from pipeline.errors import ConfigError, SceneError
from pipeline.labels.layers import LayerChoice
from pipeline.labels.limits import memory_limits
from pipeline.labels.read import read_area
from pipeline.scenes.scene import SceneInfo

CONTEXT = 256
"""Pixels around the area of interest that are mapped too, so that polygons stay whole."""


def area_of_interest(
    path: Path, info: SceneInfo, *, layer: str | None = None, max_memory: int
) -> bytes:
    """Return the polygons of a file as one geometry in pixels of a scene, as WKB.

    Args:
        path: The file.
        info: The scene.
        layer: Which layer, where the file has several.
        max_memory: Bytes that reading the file may take.

    Raises:
        ConfigError: The file cannot be read, or holds no polygons.
        SceneError: The scene lies wholly outside, or cannot be compared.
    """
    limits = memory_limits(max_memory, option="--max-memory")
    found = read_area(path, choice=LayerChoice(name=layer, option="--aoi-layer"), limits=limits)
    area = found.geometry
    if area.is_empty:
        raise ConfigError(f"--aoi {path}: it holds no polygons")
    if found.crs is not None and info.georef is None:
        raise SceneError(
            info.source,
            f"it is not georeferenced, so --aoi {path} does not apply to it",
            "leave --aoi out, or give the scene's reference system with --crs",
        )
    if found.crs is not None and info.georef is not None:
        georef = info.georef
        move = Transformer.from_crs(found.crs, georef.crs, always_xy=True)
        west, south, east, north = area.bounds
        # A straight edge of one system bends in another: a thousandth of the area at a time.
        area = shapely.segmentize(area, max(east - west, north - south) / 1000)

        def onto(points: Float64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n 2"]:
            return georef.to_pixels(np.column_stack(move.transform(points[:, 0], points[:, 1])))

        area = shapely.make_valid(shapely.transform(area, onto))
    frame = shapely.box(0, 0, info.width, info.height)
    if not area.intersects(frame):
        raise SceneError(
            info.source, f"it lies wholly outside --aoi {path}", "check both, or leave it out"
        )
    near = shapely.intersection(area, shapely.box(-1, -1, info.width + 1, info.height + 1))
    return bytes(shapely.to_wkb(near, byte_order=1))


def needs_tile(area: BaseGeometry, core: Window) -> bool:
    """Return whether a tile is mapped: it meets the area, or lies right beside it."""
    grown = core.grown(CONTEXT)
    return bool(area.intersects(shapely.box(grown.col, grown.row, grown.right, grown.bottom)))


def around(area: BaseGeometry, core: Window) -> bytes:
    """Return the part of the area inside a core, as WKB."""
    box = shapely.box(core.col, core.row, core.right, core.bottom)
    return bytes(shapely.to_wkb(shapely.intersection(area, box), byte_order=1))
