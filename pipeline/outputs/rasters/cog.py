"""Cloud-optimised GeoTIFFs, made of finished mosaics."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import rasterio
from rasterio.io import DatasetReader
from rasterio.shutil import copy
from rasterio.windows import Window as RasterioWindow

from pipeline.errors import ExportError
from pipeline.outputs.atomic import write_atomically
from pipeline.outputs.rasters.mosaic import BLOCK, Raster, ignore_not_georeferenced

_COMPARED = 8 * BLOCK
_WIDE = 2**15


def write_cog(mosaic: Path, path: Path, raster: Raster, *, threads: int = 2) -> None:
    """Make a cloud-optimised GeoTIFF of a finished mosaic, and read it back.

    Overviews of masks take the commonest value, those of probabilities the mean of
    what is not nodata. DEFLATE, because every reader has it; at level 6 for masks
    and 1 for probabilities, whose noise does not pack (98 Mpx: 2.7 s and 55 MB at
    level 6, 1.4 s and 60 MB at level 1).

    Memory does not grow with the width of the scene: it is read back in parts, and a wide
    one's overviews are made of few rows at a time (a mask of 190,000 columns: 155 MB
    instead of 330).

    Args:
        mosaic: What a `MosaicWriter` of the same raster has closed.
        path: The COG to be; appears whole or not at all.
        raster: What the numbers mean.
        threads: For overviews and compression; the bytes do not depend on it.

    Raises:
        ExportError: The file could not be written, or does not read back the same.
    """

    def verify(part: Path) -> None:
        _compare(mosaic, part)

    settings = {"GDAL_NUM_THREADS": str(threads)}
    if raster.provenance.width > _WIDE:
        settings["GDAL_OVR_CHUNKYSIZE"] = "64"
    with write_atomically(path, verify=verify) as part, rasterio.Env(**settings):
        copy(
            mosaic,
            part,
            driver="COG",
            compress="DEFLATE",
            level=6 if raster.kind == "mask" else 1,
            blocksize=_block(mosaic),
            overview_resampling="mode" if raster.kind == "mask" else "average",
            bigtiff="IF_SAFER",
            num_threads=threads,
        )


def _block(mosaic: Path) -> int:
    """Return the edge of a COG's blocks, unlike the width of any of its levels.

    Blocks as wide as the raster are taken for strips (rasterio's ``is_tiled``), and
    validators refuse those.
    """
    with rasterio.open(mosaic) as source:
        width = source.width
    widths = {-(-width // 2**level) for level in range(width.bit_length())}
    # No width has both among its halves: 512 and 384 are not a power of two apart.
    return BLOCK if BLOCK not in widths else 384


def _compare(mosaic: Path, cog: Path) -> None:
    # GDAL can lose a write without a word (a full disk noticed only on closing):
    # the decoded pixels are the proof. 0.3 s for 98 Mpx.
    with ignore_not_georeferenced(), rasterio.open(mosaic) as source, rasterio.open(cog) as copied:
        if (source.shape, source.crs, source.transform) != (
            copied.shape,
            copied.crs,
            copied.transform,
        ):
            raise ExportError(f"{cog} has another grid than its mosaic; report this as a fault")
        for window in _parts(source):
            if not np.array_equal(source.read(window=window), copied.read(window=window)):
                raise ExportError(
                    f"{cog} does not read back as written at row {window.row_off}; "
                    "check the disk, then run again"
                )


def _parts(dataset: DatasetReader) -> Iterator[RasterioWindow]:
    for row in range(0, dataset.height, BLOCK):
        rows = min(BLOCK, dataset.height - row)
        for col in range(0, dataset.width, _COMPARED):
            yield RasterioWindow(col, row, min(_COMPARED, dataset.width - col), rows)
