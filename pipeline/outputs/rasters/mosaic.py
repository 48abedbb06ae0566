"""Rasters put together from tiles."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal
from zlib import crc32

import numpy as np
import rasterio
from jaxtyping import UInt8
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetWriter
from rasterio.windows import Window as RasterioWindow

from pipeline.core.window import Window
from pipeline.outputs.atomic import write_faults
from pipeline.outputs.provenance import Provenance

NODATA = 255
BLOCK = 512
PROBABILITY_STEP = 0.004
"""Probability per count: 0..250 stand for 0..1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Raster:
    """A raster output: what its numbers mean."""

    kind: Literal["mask", "probability", "interior"]
    """``mask``: 0 or a class value; ``probability`` and ``interior``: 0..250, 0.004 each."""
    bands: tuple[str, ...]
    """What each band shows."""
    provenance: Provenance
    """Scene, model, classes and grid."""


class MosaicWriter:
    """A temporary raster, written window by window; what is never written is nodata.

    It is tiled and not compressed: windows that do not fall on its blocks are then
    written in place, in any order, and no block is ever stored twice. (98 Mpx: 0.19 s
    against 0.27 s with ZSTD level 1 and 0.52 s with LZW, in whole rows of blocks.)

    Closing reads every window back: on a full disk GDAL may lose blocks that were
    still in its cache, and rasterio closes the file without a word.
    """

    def __init__(self, path: Path, raster: Raster) -> None:
        """Open ``path`` for writing; an older file there is written over.

        Raises:
            ExportError: The file cannot be created.
        """
        self._path = path
        self._written: dict[Window, int] = {}
        with write_faults(path):
            self._dataset = _create(path, raster)

    def write(self, window: Window, pixels: UInt8[np.ndarray, "bands rows cols"]) -> None:
        """Write the core of a tile; windows may be repeated, but not overlap.

        Raises:
            ExportError: The disk is full, or the file cannot be written.
        """
        with write_faults(self._path):
            self._dataset.write(pixels, window=_theirs(window))
        self._written[window] = crc32(pixels.tobytes())

    def close(self) -> None:
        """Write out what is still in memory, fill what was never written, read all back.

        Raises:
            ExportError: The disk is full, or the file cannot be written.
        """
        with write_faults(self._path):
            self._dataset.close()
            with ignore_not_georeferenced(), rasterio.open(self._path) as readable:
                for window, checksum in self._written.items():
                    if crc32(readable.read(window=_theirs(window))) != checksum:
                        raise OSError(f"what was written at {window} is lost")

    def __enter__(self) -> MosaicWriter:
        """Return the writer, open."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        if error is None:
            self.close()
        else:
            self._dataset.close()


def _create(path: Path, raster: Raster) -> DatasetWriter:
    place: dict[str, Any] = {}
    georef = raster.provenance.georef
    if georef is not None:
        crs = rasterio.crs.CRS.from_wkt(georef.crs_wkt)
        place = {"crs": crs, "transform": rasterio.Affine(*georef.transform)}
    with ignore_not_georeferenced():
        dataset = rasterio.open(
            path,
            "w",
            driver="GTiff",
            height=raster.provenance.height,
            width=raster.provenance.width,
            count=len(raster.bands),
            dtype="uint8",
            nodata=NODATA,
            tiled=True,
            blockxsize=BLOCK,
            blockysize=BLOCK,
            interleave="band",
            photometric="PALETTE" if raster.kind == "mask" else "MINISBLACK",
            bigtiff="IF_SAFER",
            sparse_ok=False,
            **place,
        )
    dataset.descriptions = raster.bands
    if raster.kind == "mask":
        dataset.write_colormap(1, _colours(raster.provenance))
    else:
        dataset.scales = [PROBABILITY_STEP] * len(raster.bands)
        dataset.offsets = [0.0] * len(raster.bands)
        dataset.units = ["1"] * len(raster.bands)
    dataset.update_tags(**_tags(raster.provenance))
    return dataset


def _colours(provenance: Provenance) -> dict[int, tuple[int, int, int, int]]:
    # TIFF's colour table has no alpha: GDAL makes nodata transparent, and 0 cannot be.
    # White at least vanishes when a map multiplies; mask.qml hides it in QGIS.
    # All 256 values, or those left out are black.
    colours = dict.fromkeys(range(256), (255, 255, 255, 255))
    return colours | {known.value: (*known.colour, 255) for known in provenance.classes}


def _tags(provenance: Provenance) -> dict[str, str]:
    tags = {
        "TIFFTAG_SOFTWARE": "Overtile",
        "AREA_OR_POINT": "Area",
        "SCENE": provenance.scene,
        "SCENE_FINGERPRINT": provenance.fingerprint,
        "MODEL": provenance.model,
    }
    if provenance.datetime is not None:
        tags["ACQUISITION_DATETIME"] = provenance.datetime
    return tags | {f"CLASS_{known.value}": known.name for known in provenance.classes}


def _theirs(window: Window) -> RasterioWindow:
    return RasterioWindow(window.col, window.row, window.width, window.height)


@contextmanager
def ignore_not_georeferenced() -> Iterator[None]:
    """Keep quiet about images that are not georeferenced: they are allowed here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield
