"""torchgeo's view of the data: one dataset a file and pixel size, one long list of them.

torchgeo merges what shares a dataset: one CRS, one resolution, zooms of a place laid over
each other, vectors read again for every sample. So each level of each place is a dataset of
its own, its labels already on its pixels, and datasets are put one after the other.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import shapely
import torch
from affine import Affine
from pyproj import CRS
from torchgeo.datasets import GeoDataset

from pipeline.core.window import Window
from pipeline.training.data.sources.places import Level
from pipeline.training.data.sources.windowed import WindowedLevel

NOWHERE = CRS.from_wkt(
    'ENGCRS["pixels of an image",EDATUM["its corner"],CS[Cartesian,2],'
    'AXIS["x",east,ORDER[1]],AXIS["y",north,ORDER[2]],LENGTHUNIT["metre",1]]'
)
"""The reference system of images and synthetic scenes: metres from their lower left corner."""
ALWAYS = slice(pd.Timestamp.min, pd.Timestamp.max, 1)
SNAP = 1e-3
"""Parts of a pixel by which a query may miss the grid: rounding, no more."""


class LevelDataset(GeoDataset):
    """One scene at one pixel size: image, objects, contact map and what is known.

    Queries are `[xmin:xmax, ymin:ymax]` on pixel edges; past the scene's edges it is
    mirrored, as mapping mirrors it.
    """

    def __init__(self, level: Level | WindowedLevel) -> None:
        """Lay an index around a level: in memory, or read by windows."""
        self.level = level
        rows, cols = level.shape
        self.transform = level.transform or Affine(
            level.pixel_size_m, 0.0, 0.0, 0.0, -level.pixel_size_m, rows * level.pixel_size_m
        )
        self._res = (abs(self.transform.a), abs(self.transform.e))
        self._bounds = self.query((0, rows), (0, cols))

    @cached_property
    def index(self) -> geopandas.GeoDataFrame:  # laid when asked for
        """The footprint of the scene, without a time."""
        x, y, time = self.bounds
        span = pd.IntervalIndex.from_tuples(
            [(time.start, time.stop)], closed="both", name="datetime"
        )
        return geopandas.GeoDataFrame(
            {"filepath": [self.level.source]},
            index=span,
            geometry=[shapely.box(x.start, y.start, x.stop, y.stop)],
            crs=self.level.crs if self.level.crs is not None else NOWHERE,
        )

    @property
    def bounds(self) -> tuple[slice, slice, slice]:
        """The footprint and all times, as slices."""
        return self._bounds

    def query(self, rows: tuple[int, int], cols: tuple[int, int]) -> tuple[slice, slice, slice]:
        """Return the slices of map coordinates that stand for a window of pixels."""
        (left, top), (right, bottom) = (
            self.transform @ (col, row) for col, row in zip(cols, rows, strict=True)
        )
        return (
            slice(min(left, right), max(left, right), self.res[0]),
            slice(min(top, bottom), max(top, bottom), self.res[1]),
            ALWAYS,
        )

    def window(self, query: Any) -> tuple[int, int, int, int]:
        """Return the first row, first column, height and width of a query.

        Raises:
            IndexError: It does not lie on pixel edges: taking it would resample.
        """
        x, y, _ = self._disambiguate_slice(query)
        inverse = ~self.transform
        ends = np.array([inverse @ (x.start, y.start), inverse @ (x.stop, y.stop)])
        snapped = np.rint(ends)
        if np.abs(ends - snapped).max() > SNAP:
            raise IndexError(f"{query}: not on the pixels of {self.level.source}")
        (left, top), (right, bottom) = snapped.min(axis=0), snapped.max(axis=0)
        return int(top), int(left), int(bottom - top), int(right - left)

    def cut(self, query: Any) -> Level:
        """Return the part of the level that a query means."""
        row, col, height, width = self.window(query)
        return self.level.part(Window(row=row, col=col, height=height, width=width))

    def __getitem__(self, query: Any) -> dict[str, Any]:
        """Return image, mask (classes, 255 where unknown), objects and contact of a query."""
        part = self.cut(query)
        mask = np.where(part.known, part.classes(part.instances), 255)
        return {
            "image": torch.from_numpy(part.image).float(),
            "mask": torch.from_numpy(mask).long(),
            "instances": torch.from_numpy(part.instances),
            "contact": torch.from_numpy(part.contact),
            "crs": self.crs,
            "bounds": query,
        }
