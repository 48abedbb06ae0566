"""The rasters of adjoining scenes as one, on the grid of one of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from affine import Affine
from jaxtyping import Bool, Int64, Shaped, UInt8
from pyproj import Transformer
from rasterio.features import rasterize

from pipeline.core.georef import Georef
from pipeline.core.quantise import NODATA
from pipeline.core.window import Window
from pipeline.outputs.rasters.results import ResultRasters
from pipeline.regions.seams.results import SceneResult

MOST_OPEN = 24
"""Scenes whose rasters are open at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedResult:
    """A result on a common grid."""

    result: SceneResult
    """The scene's."""
    offset: tuple[int, int] | None
    """Row and column of its first pixel; None where it lies on another grid."""
    frame: shapely.Polygon
    """Its outline in pixels of the common grid."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rasters:
    """Pixels of a window."""

    labels: UInt8[np.ndarray, "rows cols"]
    """The mask: 0, a class, or 255."""
    probability: UInt8[np.ndarray, "classes rows cols"]
    """Quantised probabilities of the classes."""
    interior: UInt8[np.ndarray, "rows cols"] | None
    """Quantised probability of lying inside an object, 0 outside the mask."""


class Stitched:
    """Scenes side by side; each pixel is that of the scene whose territory it lies in.

    Where that has no data there, another scene's is taken. Between scenes on different
    grids there may be a gap of less than a pixel: it takes the pixel beside it.
    """

    def __init__(
        self,
        georef: Georef,
        placed: Sequence[PlacedResult],
        territory: Shaped[np.ndarray, " pieces"],
    ) -> None:
        """Take scenes in order: earlier ones go before later ones where nothing else decides."""
        self._georef = georef
        self._placed = tuple(placed)
        self._territory = territory
        self._tree = shapely.STRtree([one.frame for one in placed])
        self._open: OrderedDict[int, ResultRasters] = OrderedDict()

    def read(self, window: Window) -> Rasters:
        """Return the pixels of a window.

        Raises:
            SceneError: A scene's rasters cannot be read.
        """
        box = shapely.box(window.col, window.row, window.right, window.bottom)
        found = np.sort(self._tree.query(box, predicate="dwithin", distance=1.0)).tolist()
        parts = [(at, part) for at in found if (part := self._part(at, window)) is not None]
        classes = len(self._placed[0].result.classes)
        shape = (window.height, window.width)
        labels = np.full(shape, NODATA, np.uint8)
        probability = np.full((classes, *shape), NODATA, np.uint8)
        separated = self._placed[0].result.settings["separation"] is not None
        interior = np.zeros(shape, np.uint8) if separated else None
        left = np.ones(shape, bool)

        def take(part: _Part, where: Bool[np.ndarray, "rows cols"]) -> None:
            which = where & left & (part.rasters.labels != NODATA)
            labels[which] = part.rasters.labels[which]
            probability[:, which] = part.rasters.probability[:, which]
            if interior is not None and part.rasters.interior is not None:
                interior[which] = part.rasters.interior[which]
            left[which] = False

        for at, part in parts:
            take(part, part.inside & _burned(self._territory[at], box, window))
        for _, part in parts:
            take(part, part.inside)
        beside = sum((part.near.astype(np.int64) for _, part in parts), np.zeros(shape, np.int64))
        for _, part in parts:
            take(part, part.near & (beside > 1))
        return Rasters(labels=labels, probability=probability, interior=interior)

    def close(self) -> None:
        """Give all files back."""
        while self._open:
            self._open.popitem()[1].close()

    def _part(self, at: int, window: Window) -> _Part | None:
        """Return a scene's pixels of a window, its edge repeated by a pixel."""
        placed = self._placed[at]
        rows, cols = self._places(placed, window)
        height, width = placed.result.height, placed.result.width
        inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
        near = (rows >= -1) & (rows <= height) & (cols >= -1) & (cols <= width)
        if not near.any():
            return None
        rows, cols = np.clip(rows, 0, height - 1), np.clip(cols, 0, width - 1)
        top, left = int(rows[near].min()), int(cols[near].min())
        source = Window(
            row=top,
            col=left,
            height=int(rows[near].max()) - top + 1,
            width=int(cols[near].max()) - left + 1,
        )
        rows = np.clip(rows - top, 0, source.height - 1)
        cols = np.clip(cols - left, 0, source.width - 1)
        mask, probability, interior = self._rasters(at).read(source)
        rasters = Rasters(
            labels=mask[rows, cols],
            probability=probability[:, rows, cols],
            interior=None if interior is None else interior[rows, cols],
        )
        return _Part(rasters=rasters, inside=inside, near=near)

    def _places(
        self, placed: PlacedResult, window: Window
    ) -> tuple[Int64[np.ndarray, "rows cols"], Int64[np.ndarray, "rows cols"]]:
        """Return row and column, in a scene, of each pixel of a window."""
        rows, cols = np.mgrid[window.row : window.bottom, window.col : window.right]
        if placed.offset is not None:
            return rows - placed.offset[0], cols - placed.offset[1]
        centres = np.column_stack([cols.ravel() + 0.5, rows.ravel() + 0.5])
        there = placed.result.georef
        move = Transformer.from_crs(self._georef.crs, there.crs, always_xy=True)
        here = self._georef.to_map(centres)
        points = there.to_pixels(np.column_stack(move.transform(here[:, 0], here[:, 1])))
        # What has no place there lies far outside.
        points = np.nan_to_num(np.floor(points), nan=-9.0, posinf=-9.0, neginf=-9.0)
        points = np.clip(points, -9, 2**40).astype(np.int64)
        return points[:, 1].reshape(rows.shape), points[:, 0].reshape(rows.shape)

    def _rasters(self, at: int) -> ResultRasters:
        if at not in self._open:
            while len(self._open) >= MOST_OPEN:
                self._open.popitem(last=False)[1].close()
            self._open[at] = ResultRasters(self._placed[at].result.folder)
        self._open.move_to_end(at)
        return self._open[at]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Part:
    """A scene's pixels on a window of the common grid."""

    rasters: Rasters
    """The nearest pixels, wherever they lie."""
    inside: Bool[np.ndarray, "rows cols"]
    """True where the scene has the pixel."""
    near: Bool[np.ndarray, "rows cols"]
    """True there and a pixel around."""


def _burned(area: shapely.Geometry, box: shapely.Polygon, window: Window) -> np.ndarray:
    """Return which pixels of a window have their centre in an area."""
    shape = (window.height, window.width)
    if shapely.covers(area, box):
        return np.ones(shape, bool)
    near = shapely.intersection(area, box)
    if shapely.area(near) == 0:
        return np.zeros(shape, bool)
    away = Affine.translation(window.col, window.row)
    burned = rasterize([(near, 1)], out_shape=shape, fill=0, transform=away, dtype="uint8")
    return np.asarray(burned, bool)
