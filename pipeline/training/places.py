"""Places: a ground's images at several pixel sizes, with its buildings aligned to each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import geopandas
import numpy as np
import rasterio
from numpy.typing import NDArray
from pyproj import Geod, Transformer
from rasterio.features import rasterize
from rasterio.io import DatasetReader
from shapely.geometry.base import BaseGeometry

from pipeline.errors import ConfigError, SceneError
from pipeline.training.config import PlaceConfig
from pipeline.training.targets import contact_map

COARSEST_M = 0.5
"""Levels are halved until a pixel is about this large."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Level:
    """A place at one pixel size."""

    image: NDArray[np.uint8]
    """(3, rows, cols), red, green, blue."""
    instances: NDArray[np.int32]
    """(rows, cols), 0 on ground, a number a building."""
    contact: NDArray[np.uint8]
    """(rows, cols), see `contact_map`."""
    known: NDArray[np.bool_]
    """(rows, cols), False where the survey has no data."""
    pixel_m: float
    """Edge of a pixel on the ground."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Place:
    """One ground: what may be trained on together and must never be split."""

    name: str
    """What logs and scores call it."""
    levels: tuple[Level, ...]
    """The finest first."""
    share: float
    """How often crops come from here."""
    centres: NDArray[np.float64]
    """(buildings, 2): row and column of each, as parts of height and width."""


def read_place(config: PlaceConfig, *, contact_sigma: float, halve: bool = True) -> Place:
    """Return a place from rasters and label polygons.

    Raises:
        ConfigError: The labels cannot be read, or none lies inside a scene.
        SceneError: A scene has no CRS or not three bands of 8 bits.
    """
    try:
        labels = geopandas.read_file(config.labels)
    except Exception as error:
        raise ConfigError(f"{config.labels}: cannot be read as polygons: {error}") from error
    levels = []
    for path in config.scenes:
        with rasterio.open(path) as scene:
            levels.append(_read_level(scene, labels, config.empty, contact_sigma))
    levels.sort(key=lambda level: level.pixel_m)
    if not levels[0].instances.any():
        raise ConfigError(f"{config.labels}: no polygon lies inside {config.scenes[0]}")
    return make_place(config.name, levels, share=config.share, sigma=contact_sigma, halve=halve)


def make_place(
    name: str, levels: Sequence[Level], *, share: float, sigma: float, halve: bool = True
) -> Place:
    """Return a place of the given levels, halved further down to `COARSEST_M`."""
    chain = list(levels)
    while halve and chain[-1].pixel_m * 1.5 < COARSEST_M:
        chain.append(_halved(chain[-1], sigma))
    return Place(name=name, levels=tuple(chain), share=share, centres=_centres(chain[0].instances))


def level_of(
    image: NDArray[np.uint8], instances: NDArray[np.int32], *, pixel_m: float, sigma: float
) -> Level:
    """Return a level whose every pixel is known."""
    return Level(
        image=np.ascontiguousarray(image),
        instances=np.ascontiguousarray(instances, np.int32),
        contact=contact_map(instances, sigma=sigma),
        known=np.ones(instances.shape, np.bool_),
        pixel_m=pixel_m,
    )


def _read_level(
    scene: DatasetReader, labels: geopandas.GeoDataFrame, empty: int | None, sigma: float
) -> Level:
    if scene.crs is None:
        raise SceneError(scene.name, "has no CRS", "give it one with gdal_edit -a_srs")
    if scene.count < 3 or scene.dtypes[0] != "uint8":
        found = f"{scene.count} bands of {scene.dtypes[0]}"
        raise SceneError(scene.name, f"has {found}", "train on three bands of 8 bits")
    image = scene.read([1, 2, 3])
    known = scene.dataset_mask() > 0
    if empty is not None:
        known &= ~(image == empty).all(axis=0)
    shapes = [shape for shape in labels.to_crs(scene.crs).geometry if shape and not shape.is_empty]
    instances = _instances(shapes, scene)
    return Level(
        image=image,
        instances=instances,
        contact=contact_map(instances, sigma=sigma),
        known=known,
        pixel_m=ground_pixel_m(scene),
    )


def _instances(shapes: list[BaseGeometry], scene: DatasetReader) -> NDArray[np.int32]:
    """Return the polygons as numbers; where two overlap the smaller one stays whole."""
    shapes.sort(key=lambda shape: -shape.area)
    out = np.zeros(scene.shape, np.int32)
    if shapes:
        numbered = [(shape, number) for number, shape in enumerate(shapes, start=1)]
        rasterize(numbered, out=out, transform=scene.transform)
    return out


def ground_pixel_m(scene: DatasetReader) -> float:
    """Return the edge of a pixel in the scene's middle, measured on the ground."""
    row, col = scene.height / 2, scene.width / 2
    corners = [scene.xy(*at, offset="ul") for at in ((row, col), (row, col + 1), (row + 1, col))]
    to_degrees = Transformer.from_crs(scene.crs, 4326, always_xy=True)
    (x, y), right, down = (to_degrees.transform(*corner) for corner in corners)
    geod = Geod(ellps="WGS84")
    across, along = (geod.inv(x, y, *other)[2] for other in (right, down))
    return float(np.sqrt(across * along))


def _halved(level: Level, sigma: float) -> Level:
    """Return every second pixel of the labels and the mean of four of the image."""
    rows, cols = (length // 2 * 2 for length in level.instances.shape)
    blocks = level.image[:, :rows, :cols].reshape(3, rows // 2, 2, cols // 2, 2)
    instances = np.ascontiguousarray(level.instances[:rows:2, :cols:2])
    return Level(
        image=np.rint(blocks.mean(axis=(2, 4), dtype=np.float32)).astype(np.uint8),
        instances=instances,
        contact=contact_map(instances, sigma=sigma),
        known=np.ascontiguousarray(level.known[:rows:2, :cols:2]),
        pixel_m=level.pixel_m * 2,
    )


def _centres(instances: NDArray[np.int32]) -> NDArray[np.float64]:
    rows, cols = np.nonzero(instances)
    numbers = instances[rows, cols]
    counts = np.bincount(numbers)
    there = np.flatnonzero(counts)
    middle = [np.bincount(numbers, weights=at)[there] / counts[there] for at in (rows, cols)]
    return np.stack(middle, axis=1) / np.array(instances.shape, np.float64)


def existing(paths: Sequence[Path]) -> None:
    """Check that files are there.

    Raises:
        ConfigError: Names the ones that are not.
    """
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise ConfigError(f"not found: {', '.join(missing)}; paths are relative to where you are")
