"""Label rasters: as much of one as covers a scene, or a window of a scene."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.io import DatasetReader
from rasterio.transform import array_bounds
from rasterio.warp import transform_bounds
from rasterio.windows import Window as RasterWindow

from pipeline.core.window import Window
from pipeline.errors import ConfigError, SceneError
from pipeline.training.data.sources.rasters import SceneGrid, check_size, open_raster

WHOLE = 2**26
"""Pixels up to which a label raster is read whole."""
LARGEST = 2**29
"""Bytes of labels that are read at once."""
AROUND = 2
"""Pixels beyond a scene that are read where grids differ: the nearest one may lie there."""
SNAP = 1e-6
"""Parts of a pixel by which two grids may differ and be one."""


class NothingThereError(ConfigError):
    """No label lies on a grid."""


def read_values(path: Path, grid: SceneGrid) -> tuple[NDArray[Any], Affine, Any]:
    """Return a label raster's first band, its transform and its CRS, None without a place.

    Of a large raster, and for a window of a scene, only what covers the grid is read.

    Raises:
        ConfigError: It cannot be read, covers nothing of the grid, has another size than a
            scene without a place, or is too much finer than the scene.
    """
    try:
        with open_raster(path) as file:
            check_size(file)
            if grid.window is None and file.height * file.width <= WHOLE:
                return file.read(1), file.transform, file.crs
            window = _covering(file, grid, path)
            inside = RasterWindow(window.col, window.row, window.width, window.height)
            return file.read(1, window=inside), file.window_transform(inside), file.crs
    except rasterio.errors.RasterioError as error:
        raise ConfigError(f"{path}: cannot be read as labels: {error}") from error
    except SceneError as error:
        raise ConfigError(f"{path}: {error.reason}; {error.hint}") from error


def footprint(path: Path) -> tuple[tuple[float, float, float, float], Any]:
    """Return the bounds of a label raster (left, bottom, right, top) and its CRS.

    Raises:
        ConfigError: It cannot be read.
    """
    try:
        with open_raster(path) as file:
            return tuple(file.bounds), file.crs
    except rasterio.errors.RasterioError as error:
        raise ConfigError(f"{path}: cannot be read as labels: {error}") from error


def _covering(file: DatasetReader, grid: SceneGrid, path: Path) -> Window:
    """Return the window of a label raster that covers a grid."""
    if file.crs is None or grid.crs is None:
        rows, cols = grid.scene or grid.shape
        if file.shape != (rows, cols):
            raise ConfigError(
                f"{path}: has {file.height} x {file.width} pixels, {grid.source} {rows} x {cols}; "
                "mask and image must be of one size"
            )
        window = grid.window or Window(row=0, col=0, height=rows, width=cols)
    else:
        window = _aligned(file, grid) or _around(file, grid)
    try:
        window = window.clipped(height=file.height, width=file.width)
    except ValueError as error:
        raise NothingThereError(f"{path}: no label lies inside {grid.source}") from error
    if window.pixels * np.dtype(file.dtypes[0]).itemsize > LARGEST:
        raise ConfigError(
            f"{path}: {window.height} x {window.width} of its pixels lie on {grid.shape[0]} x "
            f"{grid.shape[1]} of {grid.source}, more than {LARGEST // 2**20} MiB; cut both, or "
            "make the labels as coarse as the scene"
        )
    return window


def _aligned(file: DatasetReader, grid: SceneGrid) -> Window | None:
    """Return the window whose pixels are those of the grid; None where none are."""
    if file.crs != grid.crs:
        return None
    step = ~file.transform @ grid.transform
    same = np.allclose((step.a, step.b, step.d, step.e), (1, 0, 0, 1), rtol=0, atol=1e-9)
    row, col = round(step.f), round(step.c)
    if not same or max(abs(step.f - row), abs(step.c - col)) > SNAP:
        return None
    return Window(row=row, col=col, height=grid.shape[0], width=grid.shape[1])


def _around(file: DatasetReader, grid: SceneGrid) -> Window:
    """Return the window that holds the grid's bounds in the raster's own system."""
    left, bottom, right, top = transform_bounds(
        grid.crs, file.crs, *array_bounds(*grid.shape, grid.transform), densify_pts=21
    )
    corners = [~file.transform @ (x, y) for x in (left, right) for y in (bottom, top)]
    if not np.isfinite(corners).all():
        return Window(row=0, col=0, height=file.height, width=file.width)
    (first_col, first_row), (last_col, last_row) = np.min(corners, axis=0), np.max(corners, axis=0)
    row, col = math.floor(first_row) - AROUND, math.floor(first_col) - AROUND
    return Window(
        row=row,
        col=col,
        height=math.ceil(last_row) + AROUND - row,
        width=math.ceil(last_col) + AROUND - col,
    )
