"""Rasters to train on: opened behind the guard of drivers, read whole, shown in 8 bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from pyproj import Geod, Transformer
from rasterio.io import DatasetReader

from pipeline.errors import ConfigError, SceneError
from pipeline.gdal.raster_guard import install_guard

PERCENTILES = (1.0, 99.0)
"""Values of other types than 8 bits that become black and white, as in mapping."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The pixels of a scene."""

    source: str
    """The scene, for messages."""
    shape: tuple[int, int]
    """Rows and columns."""
    transform: Affine
    """From columns and rows to map coordinates."""
    crs: Any
    """What those mean; None without a place."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """A raster's pixels as a network sees them."""

    grid: Grid
    """Where they lie."""
    image: NDArray[np.uint8]
    """(3, rows, cols)."""
    valid: NDArray[np.bool_]
    """(rows, cols), False where the raster has no data."""
    pixel_m: float
    """Edge of a pixel on the ground."""


def read_picture(path: Path, *, bands: Sequence[int], empty: int | None) -> Picture:
    """Return a scene's pixels; other types than 8 bits are stretched over the whole scene.

    Args:
        path: A raster with a place on the Earth.
        bands: Three that the network sees, or one, which is repeated.
        empty: Pixels with this value in every band have no data.

    Raises:
        SceneError: It cannot be read, has no CRS, or not these bands.
    """
    install_guard()
    try:
        with rasterio.open(path) as scene:
            if scene.crs is None:
                raise SceneError(scene.name, "has no CRS", "give it one with gdal_edit -a_srs")
            if max(bands) > scene.count or len(bands) not in (1, 3):
                found = f"{scene.count} bands of {scene.dtypes[0]}"
                raise SceneError(
                    scene.name, f"has {found}", "name three of them, or one, as `bands: [1]`"
                )
            values = scene.read(list(bands))
            valid = scene.dataset_mask() > 0
            grid = Grid(
                source=str(path), shape=scene.shape, transform=scene.transform, crs=scene.crs
            )
            pixel_m = ground_pixel_m(scene)
    except rasterio.errors.RasterioError as error:
        raise SceneError(str(path), f"cannot be read ({error})", "check the file") from error
    if empty is not None:
        valid &= ~(values == empty).all(axis=0)
    if values.dtype.kind == "f":
        valid &= np.isfinite(values).all(axis=0)
    image = values if values.dtype == np.uint8 else _stretched(values, valid)
    if len(bands) == 1:
        image = np.repeat(image, 3, axis=0)
    return Picture(
        grid=grid, image=np.ascontiguousarray(image, np.uint8), valid=valid, pixel_m=pixel_m
    )


def _stretched(values: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    seen = values[:, valid]
    if not seen.size:
        return np.zeros(values.shape, np.uint8)
    low, high = np.percentile(seen[:, :: max(1, seen.shape[1] // 10**6)], PERCENTILES)
    scaled = (np.where(valid, values, low).astype(np.float32) - low) / max(high - low, 1e-9)
    return np.asarray(np.rint(np.clip(scaled, 0, 1) * 255), np.uint8)


def read_values(path: Path) -> tuple[NDArray[Any], Affine, Any]:
    """Return a label raster's first band, its transform and its CRS, None without a place.

    Raises:
        ConfigError: It cannot be read.
    """
    install_guard()
    try:
        with rasterio.open(path) as file:
            return file.read(1), file.transform, file.crs
    except rasterio.errors.RasterioError as error:
        raise ConfigError(f"{path}: cannot be read as labels: {error}") from error


def ground_pixel_m(scene: DatasetReader) -> float:
    """Return the edge of a pixel in the scene's middle, measured on the ground."""
    row, col = scene.height / 2, scene.width / 2
    corners = [scene.xy(*at, offset="ul") for at in ((row, col), (row, col + 1), (row + 1, col))]
    to_degrees = Transformer.from_crs(scene.crs, 4326, always_xy=True)
    (x, y), right, down = (to_degrees.transform(*corner) for corner in corners)
    geod = Geod(ellps="WGS84")
    across, along = (geod.inv(x, y, *other)[2] for other in (right, down))
    return float(np.sqrt(across * along))
