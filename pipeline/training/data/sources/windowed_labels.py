"""Labels of a large scene, laid onto one window after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize
from rasterio.transform import array_bounds
from rasterio.warp import transform_bounds
from shapely.geometry.base import BaseGeometry

from pipeline.training.config import ClassConfig, PlaceConfig
from pipeline.training.data.sources.label_rasters import NothingThereError, footprint, read_values
from pipeline.training.data.sources.labels import (
    RASTERS,
    Labels,
    class_values,
    from_raster,
    read_label_area,
    read_shapes,
)
from pipeline.training.data.sources.rasters import SceneGrid

OUTLINE = 21
"""Points along an edge of a label raster whose footprint is laid onto another grid."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shapes:
    """Polygons and an index of where they lie."""

    shapes: NDArray[np.object_]
    """Geometries in the scene's coordinates, later ones over earlier ones."""
    tree: shapely.STRtree
    """Their index."""

    @classmethod
    def of(cls, shapes: Sequence[BaseGeometry]) -> Shapes:
        """Index some polygons."""
        array = np.array(shapes, dtype=object)
        return cls(shapes=array, tree=shapely.STRtree(array))

    def near(self, grid: SceneGrid) -> NDArray[np.intp]:
        """Return which of them may lie on a grid, in their order."""
        bounds = array_bounds(*grid.shape, grid.transform)
        return np.sort(self.tree.query(shapely.box(*bounds)))

    def burnt(self, grid: SceneGrid, numbers: NDArray[np.int32] | None = None) -> NDArray[np.int32]:
        """Return (rows, cols): the number of what stands on each pixel, 0 for nothing.

        Args:
            grid: Where.
            numbers: Of each polygon; 1 for all without.
        """
        out = np.zeros(grid.shape, np.int32)
        near = self.near(grid)
        if len(near):
            values = np.ones(len(near), np.int32) if numbers is None else numbers[near]
            pairs = list(zip(self.shapes[near], values.tolist(), strict=True))
            rasterize(pairs, out=out, transform=grid.transform)
        return out


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WindowedLabels:
    """A place's labels, read where they are asked for.

    Objects of polygons keep their numbers from window to window; those of a raster of classes
    are numbered anew in each: parts that meet outside a window are different ones in it.
    """

    config: PlaceConfig
    """Names them."""
    classes: tuple[ClassConfig, ...]
    """What is looked for."""
    polygons: Shapes | None
    """Of a vector file; None where labels are a raster."""
    class_of: NDArray[np.uint8]
    """(polygons + 1,): their classes; 0 is ground."""
    area: Shapes | None
    """Within which everything is labelled; None: everywhere."""

    def read(self, grid: SceneGrid) -> Labels:
        """Return the labels on a window's grid.

        Raises:
            ConfigError: A raster cannot be read there, or holds values of no class.
        """
        if self.polygons is None:
            found = self._of_raster(grid)
        else:
            numbers = np.arange(1, len(self.class_of), dtype=np.int32)
            found = Labels(
                instances=self.polygons.burnt(grid, numbers),
                class_of=self.class_of,
                known=np.ones(grid.shape, np.bool_),
            )
        if self.area is not None:
            np.logical_and(found.known, self.area.burnt(grid) > 0, out=found.known)
        return found

    def nothing_in(self, grid: SceneGrid) -> bool:
        """Return whether no object lies on a grid, without laying labels onto it.

        Raises:
            ConfigError: A raster cannot be read there.
        """
        if self.polygons is not None:
            return not len(self.polygons.near(grid))
        if not self.config.objects and 0 in class_values(self.classes):
            return False
        try:
            return not read_values(self.config.labels, grid)[0].any()
        except NothingThereError:
            return True

    def known_on(self, grid: SceneGrid) -> NDArray[np.bool_]:
        """Return where a grid, of any pixel size, is labelled: by footprints, nothing is read."""
        known = np.ones(grid.shape, np.bool_)
        if self.area is not None:
            known &= self.area.burnt(grid) > 0
        if self.polygons is None:
            bounds, crs = footprint(self.config.labels)
            if crs is not None and grid.crs is not None:
                there = transform_bounds(crs, grid.crs, *bounds, densify_pts=OUTLINE)
                known &= Shapes.of([shapely.box(*there)]).burnt(grid) > 0
        return known

    def _of_raster(self, grid: SceneGrid) -> Labels:
        try:
            return from_raster(self.config, self.classes, grid)
        except NothingThereError:
            nothing = np.zeros(grid.shape, np.int32)
            return Labels(
                instances=nothing, class_of=np.zeros(1, np.uint8), known=nothing.astype(np.bool_)
            )


def open_windowed_labels(
    config: PlaceConfig, classes: Sequence[ClassConfig], grid: SceneGrid
) -> WindowedLabels:
    """Return a place's labels, to be read by windows of a scene's grid.

    Raises:
        ConfigError: Polygons cannot be read, or are not georeferenced.
    """
    polygons, class_of = None, np.zeros(1, np.uint8)
    if config.labels.suffix.lower() not in RASTERS:
        pairs = read_shapes(config, classes, grid)
        polygons = Shapes.of([shape for shape, _ in pairs])
        class_of = np.array([0, *(number for _, number in pairs)], np.uint8)
    area = None
    if config.area is not None:
        area = Shapes.of(read_label_area(config.area, grid, layer=config.area_layer))
    return WindowedLabels(
        config=config,
        classes=tuple(classes),
        polygons=polygons,
        class_of=class_of,
        area=area,
    )
