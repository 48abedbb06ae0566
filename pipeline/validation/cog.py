"""Rasters: cloud-optimised, and with the values, colours and scale of their kind."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import rasterio
from jaxtyping import Int64, UInt8
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window
from rio_cogeo.cogeo import cog_validate

from pipeline.outputs.rasters.mosaic import NODATA, PROBABILITY_STEP


def check_cog(path: Path) -> list[str]:
    """Return what is wrong with a mask or a probability raster; every block is read.

    A raster is a mask if it has a colour table or is called so, else a probability.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            _, errors, notes = cog_validate(path, strict=True, quiet=True)
            with rasterio.open(path) as raster:
                return [*errors, *notes, *_check_raster(raster, path)]
        except (RasterioError, OSError) as error:
            return [f"not readable as GeoTIFF: {error}"]


def _check_raster(raster: DatasetReader, path: Path) -> Iterator[str]:
    if any(kind != "uint8" for kind in raster.dtypes):
        yield f"pixels are {raster.dtypes[0]}, not uint8"
        return
    if any(value != NODATA for value in raster.nodatavals):
        yield f"nodata is {raster.nodata}, not {NODATA}"
    if raster.tags().get("AREA_OR_POINT", "Area") != "Area":
        yield "pixels are points, not areas"
    palette = raster.colorinterp[0] is ColorInterp.palette
    found = np.flatnonzero(_values(raster))
    if palette or path.stem.startswith("mask"):
        yield from _check_mask(raster, found)
    else:
        if any(abs(scale - PROBABILITY_STEP) > 1e-12 for scale in raster.scales):
            yield f"scale is {raster.scales[0]}, not {PROBABILITY_STEP}"
        if any(raster.offsets):
            yield f"offset is {raster.offsets[0]}, not 0"
        if (wrong := found[(found > 250) & (found != NODATA)]).size:
            yield f"probabilities above 250: {wrong.tolist()}"


def _check_mask(raster: DatasetReader, found: Int64[np.ndarray, " n"]) -> Iterator[str]:
    classes = {int(key[6:]) for key in raster.tags() if key[:6] == "CLASS_" and key[6:].isdigit()}
    unknown = set(found.tolist()) - classes - {0, NODATA}
    if unknown:
        yield f"values that no CLASS_n tag names: {sorted(unknown)}"
    if raster.colorinterp[0] is not ColorInterp.palette:
        yield "there is no colour table"
        return
    colours = raster.colormap(1)
    if colours[NODATA][3]:
        yield f"{NODATA} is not transparent in the colour table"
    if any(colours[value][:3] == colours[0][:3] for value in classes):
        yield "a class has the colour of the background"


def _values(raster: DatasetReader) -> UInt8[np.ndarray, " 256"]:
    seen = np.zeros(256, np.uint8)
    for row in range(0, raster.height, 512):
        window = Window(0, row, raster.width, min(512, raster.height - row))
        seen[np.unique(raster.read(window=window))] = 1
    return seen
