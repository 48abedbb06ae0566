"""Tiles put together, in the order of the grid: rasters, polygons, quicklook.

::

    cached tiles -> mosaics (two temporary rasters)
              -> polygons, see there
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.core.quantise import NODATA
from pipeline.core.window import Window
from pipeline.malloc import malloc_trim
from pipeline.mapping.finishing.polygons import Polygons
from pipeline.mapping.planning.plan import ScenePlan
from pipeline.outputs.rasters.mosaic import MosaicWriter, Raster

TRIMMED = 8
"""Tiles after which what was freed is given back to the system."""


class Stitcher:
    """Takes tiles in the order of the grid; missing ones leave a hole that is marked."""

    def __init__(self, plan: ScenePlan, folder: Path) -> None:
        """Open mosaics and polygons in ``folder``.

        Raises:
            ExportError: They cannot be made.
        """
        self._plan = plan
        self.rasters = output_rasters(plan)
        self._writers = {
            kind: MosaicWriter(folder / f"{kind}.mosaic.tif", raster)
            for kind, raster in self.rasters.items()
        }
        self.polygons = Polygons(plan, folder)
        step = plan.thumb_step
        rows, cols = -(-plan.info.height // step), -(-plan.info.width // step)
        self.thumb = np.zeros((3, rows, cols), np.uint8)
        self.small_mask = np.full((rows, cols), NODATA, np.uint8)
        self._added = 0
        self.counts = np.zeros(256, np.int64)
        self.spread = np.zeros(256, np.int64)

    def add(self, core: Window, arrays: dict[str, np.ndarray]) -> None:
        """Add the cached tile of the next core.

        Raises:
            ExportError: The disk is full.
        """
        self._writers["mask"].write(core, arrays["mask"][None])
        self._writers["probability"].write(core, arrays["probability"])
        if "interior" in self._writers:
            self._writers["interior"].write(core, arrays["interior"][None])
        self._place(core, arrays)
        self.counts += np.bincount(arrays["mask"].ravel(), minlength=256)
        if "spread" in arrays:
            self.spread += arrays["spread"]
        self.polygons.add(core, arrays)
        self._added += 1
        if self._added % TRIMMED == 0:
            malloc_trim()

    def skip(self, core: Window, *, failed: bool) -> None:
        """Leave a hole where the next tile could not be predicted, or is not wanted."""
        self.counts[NODATA] += core.pixels
        self.polygons.skip(core, failed=failed)

    def close(self) -> None:
        """Finish mosaics and polygons.

        Raises:
            ExportError: The disk is full, or lost what was written.
        """
        self.polygons.close()
        for writer in self._writers.values():
            writer.close()

    def _place(self, core: Window, arrays: dict[str, np.ndarray]) -> None:
        step = self._plan.thumb_step
        row, col = -(-core.row // step), -(-core.col // step)
        small = arrays["mask"][-core.row % step :: step, -core.col % step :: step]
        rows, cols = slice(row, row + small.shape[0]), slice(col, col + small.shape[1])
        self.small_mask[rows, cols] = small
        self.thumb[:, rows, cols] = arrays["thumb"]


def output_rasters(plan: ScenePlan) -> dict[str, Raster]:
    """Return what the rasters of a scene show."""
    names = tuple(known.name for known in plan.card.outputs.classes)
    made = {
        "mask": Raster(kind="mask", bands=("class",), provenance=plan.provenance),
        "probability": Raster(kind="probability", bands=names, provenance=plan.provenance),
    }
    if plan.interior:
        made["interior"] = Raster(kind="interior", bands=("interior",), provenance=plan.provenance)
    return made
