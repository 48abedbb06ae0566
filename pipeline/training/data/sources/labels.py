"""Labels, laid once onto the pixels of a scene: numbered objects, their classes, what is known."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize
from rasterio.warp import Resampling, reproject
from scipy import ndimage
from shapely.geometry.base import BaseGeometry

from pipeline.errors import ConfigError
from pipeline.labels.layers import LayerChoice
from pipeline.labels.read_vectors import read_vectors
from pipeline.labels.values import Meaning, block_values
from pipeline.labels.vectors import Vectors
from pipeline.training.config import ClassConfig, PlaceConfig
from pipeline.training.data.sources.label_rasters import NothingThereError, read_values
from pipeline.training.data.sources.label_values import label_meaning, meaning_of_file
from pipeline.training.data.sources.rasters import SceneGrid

log = logging.getLogger(__name__)

_AREAL = (3, 6)  # Polygon, MultiPolygon
_FIELDS_NAMED = 50
RASTERS = {".tif", ".tiff", ".png"}
"""Suffixes of label rasters; all others hold polygons."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Labels:
    """What stands on each pixel of a grid."""

    instances: NDArray[np.int32]
    """(rows, cols), 0 on ground, a number an object."""
    class_of: NDArray[np.uint8]
    """(objects + 1,): the class of each object, from 1; 0 is ground."""
    known: NDArray[np.bool_]
    """(rows, cols), False where nothing is labelled."""


def read_place_labels(
    config: PlaceConfig, classes: Sequence[ClassConfig], grid: SceneGrid
) -> Labels:
    """Return a place's labels on a grid.

    Raises:
        ConfigError: They cannot be read, are not georeferenced, have another size
            than a scene without a place, or hold values of no class.
    """
    if config.labels.suffix.lower() in RASTERS:
        found = from_raster(config, classes, grid)
    else:
        found = _from_polygons(config, classes, grid)
    if config.area is not None:
        shapes = read_label_area(config.area, grid, layer=config.area_layer)
        area = np.zeros(grid.shape, np.uint8)
        if shapes:
            rasterize(shapes, out=area, transform=grid.transform)
        if not area.any():
            raise ConfigError(f"{config.area}: no part of the labelled area lies in {grid.source}")
        np.logical_and(found.known, area > 0, out=found.known)
    return found


def read_label_area(path: Path, grid: SceneGrid, *, layer: str | None) -> list[BaseGeometry]:
    """Return the polygons within which everything is labelled, in a grid's coordinates."""
    choice = LayerChoice(name=layer, option="area_layer")
    inside = _laid_onto(_read_polygons(path, choice), grid)
    return [shape for shape in inside if shape and not shape.is_empty]


def read_shapes(
    config: PlaceConfig, classes: Sequence[ClassConfig], grid: SceneGrid
) -> list[tuple[BaseGeometry, int]]:
    """Return a place's polygons in a grid's coordinates, the largest first, with their classes.

    Raises:
        ConfigError: They cannot be read, or the grid has no CRS.
    """
    found = _read_polygons(
        config.labels, LayerChoice(name=config.layer, option="layer"), field=config.field
    )
    if grid.crs is None:
        raise ConfigError(f"{grid.source}: has no CRS, so that polygons cannot be laid onto it")
    numbers = _classes_of(found, config, classes)
    shapes = [
        (shape, number)
        for shape, number in zip(_laid_onto(found, grid), numbers, strict=True)
        if shape and not shape.is_empty and number > 0
    ]
    # Where two overlap the smaller one stays whole.
    shapes.sort(key=lambda pair: -pair[0].area)
    return shapes


def _from_polygons(config: PlaceConfig, classes: Sequence[ClassConfig], grid: SceneGrid) -> Labels:
    shapes = read_shapes(config, classes, grid)
    out = np.zeros(grid.shape, np.int32)
    if shapes:
        numbered = [(shape, at) for at, (shape, _) in enumerate(shapes, start=1)]
        rasterize(numbered, out=out, transform=grid.transform)
    class_of = np.array([0, *(number for _, number in shapes)], np.uint8)
    return Labels(instances=out, class_of=class_of, known=np.ones(grid.shape, np.bool_))


def _read_polygons(path: Path, choice: LayerChoice, *, field: str | None = None) -> Vectors:
    """Return the polygons of a file, and the values of one field.

    Raises:
        ConfigError: It cannot be read.
    """
    found = read_vectors(path, choice=choice, wanted=() if field is None else (field,))
    areal = np.isin(shapely.get_type_id(found.geometry), _AREAL)
    if not areal.all():
        log.warning("%s: %d labels are no polygons, left out", path, int((~areal).sum()))
    rows = np.flatnonzero(areal)
    columns = {name: [values[row] for row in rows] for name, values in found.columns.items()}
    return replace(found, geometry=found.geometry[rows], columns=columns)


def _laid_onto(found: Vectors, grid: SceneGrid) -> list[BaseGeometry]:
    """Return geometries in the reference system of a grid."""
    return list(geopandas.GeoSeries(found.geometry, crs=found.crs).to_crs(grid.crs))


def _classes_of(found: Vectors, config: PlaceConfig, classes: Sequence[ClassConfig]) -> list[int]:
    """Return the class of each polygon, from 1; 0 where it is of none."""
    if config.field is None:
        if len(classes) > 1:
            raise ConfigError(
                f"{config.labels}: {len(classes)} classes need a `field` that distinguishes"
            )
        return [1] * len(found.geometry)
    if config.field not in found.columns:
        there = ", ".join(found.fields[:_FIELDS_NAMED]) or "none"
        raise ConfigError(f"{config.labels}: has no field {config.field!r}; there are {there}")
    class_at = _class_at(classes)
    if not class_at:
        return [1] * len(found.geometry)
    values = found.columns[config.field]
    numbers = [class_at.get(_key(value), 0) for value in values]
    others = sorted({str(value) for value, at in zip(values, numbers, strict=True) if at == 0})
    if others:
        log.warning("%s: of no class, taken as ground: %s", config.labels, ", ".join(others[:20]))
    return numbers


def _class_at(classes: Sequence[ClassConfig]) -> dict[str, int]:
    """Return which class a value means."""
    return {
        _key(value): number
        for number, known in enumerate(classes, start=1)
        for value in known.values
    }


def class_values(classes: Sequence[ClassConfig]) -> dict[int, int]:
    """Return which whole number means which class, from 1."""
    return {
        int(value): number
        for value, number in _class_at(classes).items()
        if value.removeprefix("-").isdecimal()
    }


def _key(value: Any) -> str:
    """Return a value as it is compared: 1, 1.0 and "1" are one."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)


def from_raster(config: PlaceConfig, classes: Sequence[ClassConfig], grid: SceneGrid) -> Labels:
    """Return the objects of a label raster on a grid.

    Raises:
        ConfigError: It cannot be read, has another size than a scene without a place, lies
            elsewhere (`NothingThereError`), or holds values of no class.
    """
    values, transform, crs = read_values(config.labels, grid)
    covered = np.ones(grid.shape, np.bool_)
    if crs is not None and grid.crs is not None:
        there = (values.shape, transform, crs)
        if there != (grid.shape, grid.transform, grid.crs):
            values, covered = laid(values, transform, crs, grid)
    elif values.shape != grid.shape:
        raise ConfigError(
            f"{config.labels}: has {values.shape[0]} x {values.shape[1]} pixels, "
            f"{grid.source} {grid.shape[0]} x {grid.shape[1]}; mask and image must be of one size"
        )
    if not covered.any():
        raise NothingThereError(f"{config.labels}: no label lies inside {grid.source}")
    found = number_objects(
        values,
        classes,
        ignore_value=config.ignore_value,
        objects=config.objects,
        source=config.labels,
        meaning=meaning_of_file(
            config.labels,
            tuple(class_values(classes)),
            ignore_value=config.ignore_value,
            objects=config.objects,
        ),
    )
    np.logical_and(found.known, covered, out=found.known)
    return found


def laid(
    values: NDArray[Any], transform: Affine, crs: Any, grid: SceneGrid
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return a raster's nearest values on a grid, and where it covers it."""
    out = np.zeros(grid.shape, values.dtype)
    covered = np.zeros(grid.shape, np.uint8)
    ones = np.ones(values.shape, np.uint8)
    for source, into in ((values, out), (ones, covered)):
        reproject(
            source,
            into,
            src_transform=transform,
            src_crs=crs,
            dst_transform=grid.transform,
            dst_crs=grid.crs,
            resampling=Resampling.nearest,
        )
    return out, covered > 0


def number_objects(
    values: NDArray[Any],
    classes: Sequence[ClassConfig],
    *,
    ignore_value: int | None,
    objects: bool,
    source: Path,
    meaning: Meaning | None = None,
) -> Labels:
    """Return the objects of a raster of labels.

    Args:
        values: (rows, cols); a value a class, or a number an object.
        classes: Which values mean which class; without values all but 0 are the first.
        ignore_value: Value that means: not labelled; 255 only where there are other classes.
        objects: Whether values number objects.
        source: The file, for messages.
        meaning: What values mean, where these are a part of all.

    Raises:
        ConfigError: A value is of no class, or a fraction.
    """
    class_at = class_values(classes)
    known = np.isfinite(values)
    if meaning is None:
        there = block_values(values, known, None)
        meaning = label_meaning(there, class_at, ignore_value=ignore_value, objects=objects)
    known &= ~np.isin(values, list(meaning.unlabelled))
    ground = ~known | np.isin(values, list(meaning.background - {0.0, *class_at}))
    values = np.where(ground, 0, values)
    if np.any(values % 1):
        raise ConfigError(
            f"{source}: its labels are fractions, such as {values[values % 1 > 0][0]:g}; cut them "
            "at a threshold, and give classes as whole numbers"
        )
    if objects:
        numbers_of, flat = np.unique(values, return_inverse=True)
        numbers = flat.reshape(values.shape) + (1 if numbers_of[0] != 0 else 0)
        class_of = np.ones(int(numbers.max(initial=0)) + 1, np.uint8)
        class_of[0] = 0
        return Labels(instances=numbers.astype(np.int32), class_of=class_of, known=known)
    present = {int(value) for value in np.unique(values[known])}
    if not class_at:
        class_at = dict.fromkeys(sorted(present - {0}), 1)
    stray = sorted(present - {0, *class_at})
    if stray:
        raise ConfigError(
            f"{source}: values {', '.join(map(str, stray[:10]))} are of no class; "
            "name them in classes.values, or as `ignore_value`"
        )
    instances = np.zeros(values.shape, np.int32)
    kinds = [0]
    for value, number in class_at.items():
        if value not in present:
            continue
        parts, count = ndimage.label((values == value) & known)
        instances = np.where(parts > 0, parts + len(kinds) - 1, instances)
        kinds.extend([number] * count)
    return Labels(
        instances=instances.astype(np.int32), class_of=np.array(kinds, np.uint8), known=known
    )
