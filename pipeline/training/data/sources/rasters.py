"""Rasters to train on: opened behind the guard of drivers, shown in 8 bits.

Small scenes are read whole, large ones window by window, as mapping reads them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from pyproj import Geod, Transformer
from rasterio.io import DatasetReader
from rasterio.windows import Window as RasterWindow

from pipeline.core.window import Window
from pipeline.errors import SceneError
from pipeline.gdal.raster_guard import install_guard
from pipeline.scenes.geotiff.header import MAX_BLOCK_BYTES, MAX_PIXELS

PERCENTILES = (1.0, 99.0)
"""Values of other types than 8 bits that become black and white, as in mapping."""
SAMPLE_EDGE, SAMPLE_BLOCKS, LOOKED_AT = 256, 64, 1024
"""Blocks of a large scene whose values decide that: their edge, how many with data, and among
how many they are looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneGrid:
    """The pixels of a scene, or of a window of one."""

    source: str
    """The scene, for messages."""
    shape: tuple[int, int]
    """Rows and columns."""
    transform: Affine
    """From columns and rows to map coordinates."""
    crs: Any
    """What those mean; None without a place."""
    window: Window | None = None
    """Where it lies in the scene; None: it is all of it."""
    scene: tuple[int, int] | None = None
    """Rows and columns of the scene that it is a window of."""

    def part(self, window: Window) -> SceneGrid:
        """Return the grid of a window of this one."""
        row, col = (0, 0) if self.window is None else (self.window.row, self.window.col)
        return replace(
            self,
            shape=(window.height, window.width),
            transform=self.transform @ Affine.translation(window.col, window.row),
            window=replace(window, row=window.row + row, col=window.col + col),
            scene=self.scene or self.shape,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """A raster's pixels as a network sees them."""

    grid: SceneGrid
    """Where they lie."""
    image: NDArray[np.uint8]
    """(3, rows, cols)."""
    valid: NDArray[np.bool_]
    """(rows, cols), False where the raster has no data."""
    pixel_size_m: float
    """Edge of a pixel on the ground."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WindowedPicture:
    """A raster whose pixels are read where they are asked for."""

    path: Path
    """The raster."""
    bands: tuple[int, ...]
    """Three that the network sees, or one, which is repeated."""
    image_nodata: int | None
    """Pixels with this value in every band have no data."""
    grid: SceneGrid
    """All of its pixels."""
    pixel_size_m: float
    """Edge of a pixel on the ground."""
    span: tuple[Any, Any] | None
    """Values that become black and white; None where they are bytes, or there are none."""

    def read(self, window: Window) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Return (3, rows, cols) and where the raster has data, of a window inside it.

        Raises:
            SceneError: It cannot be read there.
        """
        with _named(self.path):
            state = self.path.stat()
            scene = _reader(str(self.path), os.getpid(), state.st_mtime_ns, state.st_size)
            values, valid = _values(scene, self.bands, self.image_nodata, _as_rasterio(window))
        return _shown(values, valid, self.span), valid


def read_picture(
    path: Path,
    *,
    bands: Sequence[int],
    image_nodata: int | None,
    within: Callable[[tuple[int, int]], Window] | None = None,
) -> Picture:
    """Return a scene's pixels; other types than 8 bits are stretched over the whole scene.

    Args:
        path: A raster with georeferencing.
        bands: Three that the network sees, or one, which is repeated.
        image_nodata: Pixels with this value in every band have no data.
        within: The only window that is used of a scene of some rows and columns; of bytes no
            other is read, and there is no data elsewhere.

    Raises:
        SceneError: It cannot be read, has no CRS, or not these bands.
    """
    with _named(path), open_raster(path) as scene:
        grid, pixel_size_m = _checked(scene, path, bands)
        if within is None or scene.dtypes[bands[0] - 1] != "uint8":
            values, valid = _values(scene, bands, image_nodata, None)
        else:
            window = within(grid.shape)
            values = np.zeros((len(bands), *grid.shape), np.uint8)
            valid = np.zeros(grid.shape, np.bool_)
            whole = Window(row=0, col=0, height=grid.shape[0], width=grid.shape[1])
            here = window.within(whole)
            if min(window.height, window.width) > 0:
                values[:, *here], valid[here] = _values(
                    scene, bands, image_nodata, _as_rasterio(window)
                )
    span = None if values.dtype == np.uint8 else _span(values[:, valid])
    return Picture(
        grid=grid, image=_shown(values, valid, span), valid=valid, pixel_size_m=pixel_size_m
    )


def open_picture(path: Path, *, bands: Sequence[int], image_nodata: int | None) -> WindowedPicture:
    """Return a scene to be read by windows; other types than 8 bits are stretched by a sample.

    Raises:
        SceneError: It cannot be read, has no CRS, or not these bands.
    """
    with _named(path), open_raster(path) as scene:
        grid, pixel_size_m = _checked(scene, path, bands)
        span = (
            None if scene.dtypes[bands[0] - 1] == "uint8" else _sampled(scene, bands, image_nodata)
        )
    return WindowedPicture(
        path=path,
        bands=tuple(bands),
        image_nodata=image_nodata,
        grid=grid,
        pixel_size_m=pixel_size_m,
        span=span,
    )


def size_of(path: Path) -> tuple[int, int]:
    """Return a raster's rows and columns; nothing else is read.

    Raises:
        SceneError: It cannot be opened.
    """
    with _named(path), open_raster(path) as scene:
        return scene.height, scene.width


@contextmanager
def open_raster(path: Path) -> Iterator[DatasetReader]:
    """Yield a raster, opened with the allow-list of drivers."""
    install_guard()
    with rasterio.open(path) as scene:
        yield scene


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except (rasterio.errors.RasterioError, OSError) as error:
        raise SceneError(str(path), f"cannot be read ({error})", "check the file") from error


@lru_cache(maxsize=16)
def _reader(path: str, *state: int) -> DatasetReader:  # noqa: ARG001 - what it is open for
    """Return a raster that stays open, so that its decoded blocks stay in GDAL's cache.

    Args:
        path: The file.
        state: Process, time of change and size: after a fork, and when it was written anew, it
            is opened again.
    """
    install_guard()
    return rasterio.open(path)


def _checked(scene: DatasetReader, path: Path, bands: Sequence[int]) -> tuple[SceneGrid, float]:
    """Return where a scene lies and how large its pixels are."""
    check_size(scene)
    if scene.crs is None:
        raise SceneError(scene.name, "has no CRS", "give it one with gdal_edit -a_srs")
    if max(bands) > scene.count or len(bands) not in (1, 3):
        found = f"{scene.count} bands of {scene.dtypes[0]}"
        raise SceneError(scene.name, f"has {found}", "name three of them, or one, as `bands: [1]`")
    grid = SceneGrid(source=str(path), shape=scene.shape, transform=scene.transform, crs=scene.crs)
    return grid, ground_pixel_m(scene)


def check_size(scene: DatasetReader) -> None:
    """Refuse a raster of which even a window would take too much memory, as mapping does.

    Raises:
        SceneError: It claims too many pixels, or one block of it is too large.
    """
    if scene.height * scene.width > MAX_PIXELS:
        raise SceneError(
            scene.name,
            f"claims {scene.height} x {scene.width} pixels, the limit is {MAX_PIXELS}",
            "cut it into parts (gdal_retile.py)",
        )
    together = scene.count if str(scene.interleaving).lower() != "interleaving.band" else 1
    block = max(
        rows * cols * np.dtype(kind).itemsize * together
        for (rows, cols), kind in zip(scene.block_shapes, scene.dtypes, strict=True)
    )
    if block > MAX_BLOCK_BYTES:
        raise SceneError(
            scene.name,
            f"a single block of it takes {block / 2**20:.0f} MiB, the limit is "
            f"{MAX_BLOCK_BYTES // 2**20} MiB",
            "store it in tiles (gdal_translate -co TILED=YES)",
        )


def _values(
    scene: DatasetReader,
    bands: Sequence[int],
    image_nodata: int | None,
    window: RasterWindow | None,
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return (bands, rows, cols) as they are stored, and where they are data."""
    values = scene.read(list(bands), window=window)
    valid = scene.dataset_mask(window=window) > 0
    if image_nodata is not None:
        valid &= ~(values == image_nodata).all(axis=0)
    if values.dtype.kind == "f":
        valid &= np.isfinite(values).all(axis=0)
    return values, valid


def _shown(
    values: NDArray[Any], valid: NDArray[np.bool_], span: tuple[Any, Any] | None
) -> NDArray[np.uint8]:
    """Return (3, rows, cols) in 8 bits."""
    if values.dtype == np.uint8:
        image = values
    elif span is None:
        image = np.zeros(values.shape, np.uint8)
    else:
        low, high = span
        scaled = (np.where(valid, values, low).astype(np.float32) - low) / max(high - low, 1e-9)
        image = np.asarray(np.rint(np.clip(scaled, 0, 1) * 255), np.uint8)
    if len(image) == 1:
        image = np.repeat(image, 3, axis=0)
    return np.ascontiguousarray(image, np.uint8)


def _span(seen: NDArray[Any]) -> tuple[Any, Any] | None:
    """Return which of (bands, values) become black and white; None where there are none."""
    if not seen.size:
        return None
    low, high = np.percentile(seen[:, :: max(1, seen.shape[1] // 10**6)], PERCENTILES)
    return low, high


def _sampled(
    scene: DatasetReader, bands: Sequence[int], image_nodata: int | None
) -> tuple[Any, Any] | None:
    """Return the span of blocks with data, the same ones for the same scene."""
    rows, cols = (-(-length // SAMPLE_EDGE) for length in scene.shape)
    order = np.random.default_rng(0).permutation(rows * cols)[:LOOKED_AT]
    found: list[NDArray[Any]] = []
    for block in order.tolist():
        row, col = (at * SAMPLE_EDGE for at in divmod(block, cols))
        window = Window(row=row, col=col, height=SAMPLE_EDGE, width=SAMPLE_EDGE)
        inside = window.clipped(height=scene.height, width=scene.width)
        values, valid = _values(scene, bands, image_nodata, _as_rasterio(inside))
        if valid.any():
            found.append(values[:, valid])
        if len(found) == SAMPLE_BLOCKS:
            break
    return _span(np.concatenate(found, axis=1)) if found else None


def _as_rasterio(window: Window) -> RasterWindow:
    return RasterWindow(window.col, window.row, window.width, window.height)


def ground_pixel_m(scene: DatasetReader) -> float:
    """Return the edge of a pixel in the scene's middle, measured on the ground."""
    row, col = scene.height / 2, scene.width / 2
    corners = [scene.xy(*at, offset="ul") for at in ((row, col), (row, col + 1), (row + 1, col))]
    to_degrees = Transformer.from_crs(scene.crs, 4326, always_xy=True)
    (x, y), right, down = (to_degrees.transform(*corner) for corner in corners)
    geod = Geod(ellps="WGS84")
    across, along = (geod.inv(x, y, *other)[2] for other in (right, down))
    return float(np.sqrt(across * along))
