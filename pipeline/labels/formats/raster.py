"""Objects of a label raster: one of a scene, or a PNG mask of an image.

`pipeline.labels.values` decides what its values mean. Several bands must be equal.
Rasters are traced piece by piece: memory holds polygons, not pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import shapely
from jaxtyping import Int64, Shaped, UInt8

from pipeline.core.polygons.fragments import Fragments
from pipeline.core.polygons.merge import Merger
from pipeline.core.polygons.trace import trace
from pipeline.core.quantise import STEPS
from pipeline.core.window import Window
from pipeline.errors import ConfigError, SceneError
from pipeline.labels.objects import Objects, PixelGrid
from pipeline.labels.values import OWN, Meaning, check_classes, meaning_of
from pipeline.scenes.jp2.boxes import MAGIC, RAW_MAGIC
from pipeline.scenes.kinds import GEOTIFF, kind_of
from pipeline.scenes.open import open_scene
from pipeline.scenes.scene import Scene, SceneRef

PIECE = 4096
"""Edge of the squares in which a raster is traced, in pixels."""

_JPEG = b"\xff\xd8\xff"
_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"\x89PNG", _JPEG, MAGIC, RAW_MAGIC)


def is_raster(path: Path) -> bool:
    """Return whether a file begins as TIFF, PNG, JPEG or JPEG 2000 does."""
    try:
        if not path.is_file():  # a pipe would be waited for
            return False
        with path.open("rb") as file:
            return file.read(16).startswith(_MAGIC)
    except OSError:
        return False


def label_ref(path: Path, *, georef: bool = True) -> SceneRef:
    """Return how to open a raster of labels or probabilities."""
    href = str(path.absolute())
    kind = kind_of(href)
    if kind == "geotiff" and path.suffix.lower() not in GEOTIFF:
        kind = "image"
    options = () if georef else (("georef", "none"),)
    return SceneRef(kind=kind, href=href, options=options)


def open_labels(path: Path) -> Scene:
    """Return an open raster; one without georeferencing is opened as an image.

    Raises:
        SceneError: It cannot be read.
    """
    try:
        return open_scene(label_ref(path))
    except SceneError:
        return open_scene(label_ref(path, georef=False))


def read_levels(scene: Scene, window: Window) -> UInt8[np.ndarray, "rows cols"]:
    """Return quantised probabilities in a window: 0 to 250, 255 where there is no data.

    Raises:
        SceneError: It cannot be read, or its values are not whole numbers from 0 to 255.
    """
    pixels, valid = scene.read(window, (scene.info.bands[0].index,))
    block, nodata = pixels[0], scene.info.nodata
    if block.dtype != np.uint8:
        # What is missing may have any value: -9999, or NaN.
        valid = valid & np.isfinite(block)
        known = block[valid & (block != 255)]
        check_classes(known, scene.info.source)
        block = np.where(valid, block, 255 if nodata != 0 else 0).astype(np.uint8)
    if nodata is None:
        block[~valid] = 255
    elif 0 < nodata < 255:
        block[block == int(nodata)] = 255
    return np.asarray(block)


def read_classes(scene: Scene, window: Window, meaning: Meaning) -> UInt8[np.ndarray, "rows cols"]:
    """Return the labels of a window: 0 background, 1 to 254 classes, 255 not labelled.

    Raises:
        SceneError: It cannot be read, has bands that differ, or values that are no classes.
    """
    bands = tuple(band.index for band in scene.info.bands)
    pixels, valid = scene.read(window, bands)
    if (pixels[1:] != pixels[:1]).any():
        raise SceneError(
            scene.info.source,
            f"it has {len(bands)} bands that differ, so it is a picture and no labels",
            "give one band of classes",
        )
    return meaning.labels(pixels[0], valid, source=scene.info.source)


def trace_label_raster(
    path: Path, *, probability: Path | None = None, piece: int = PIECE, own: bool = False
) -> Objects:
    """Return the connected areas of each class of a label raster of any size.

    Args:
        path: The raster.
        probability: Quantised probabilities on the same pixels: confidence is their mean.
        piece: Edge of the squares in which it is traced; the result does not depend on it.
        own: Whether Overtile wrote it, so that its values mean what it writes.

    Raises:
        SceneError: It cannot be read, or its values are no labels.
        ConfigError: The two do not have the same pixels.
    """
    with path.open("rb") as file:
        if file.read(3) == _JPEG:
            raise SceneError(str(path), "JPEG changes labels at every edge", "give PNG or GeoTIFF")
    with ExitStack() as stack:
        scene, levels = open_labels(path), None
        stack.callback(scene.close)
        if probability is not None:
            levels = open_labels(probability)
            stack.callback(levels.close)
        meaning = OWN if own else meaning_of(scene)
        found, marked = _traced(scene, meaning, levels, piece)
        info = scene.info
    polygons, unknown = (np.asarray(one.to_shapely(), object) for one in (found, marked))
    if info.georef:
        polygons = shapely.transform(polygons, info.georef.to_map)
        unknown = shapely.transform(unknown, info.georef.to_map)
    classes = np.unique(found.label)
    described = meaning.describe(classes.tolist(), unlabelled=len(marked) > 0)
    return Objects(
        source=str(path),
        polygon=polygons,
        crs=info.georef.crs if info.georef else None,
        label=np.array([str(one) for one in found.label], object) if len(classes) > 1 else None,
        confidence=found.weight / found.pixels / STEPS if levels else None,
        grid=PixelGrid(height=info.height, width=info.width, georef=info.georef),
        unknown=unknown if len(unknown) else None,
        notes=(f"values: {described} ({', '.join(meaning.reasons)})",) if meaning.reasons else (),
        values=meaning,
        described=described,
    )


def _traced(
    scene: Scene, meaning: Meaning, levels: Scene | None, piece: int
) -> tuple[Fragments, Fragments]:
    """Return the areas of the classes 1 to 254, and those of 255, in reading order."""
    height, width = scene.info.height, scene.info.width
    if levels and (levels.info.height, levels.info.width) != (height, width):
        raise ConfigError(
            f"{levels.info.source}: it has {levels.info.height} x {levels.info.width} pixels, "
            f"{scene.info.source} {height} x {width}; give the rasters of one run"
        )
    mergers = [Merger(height=height, width=width) for _ in range(2)]
    parts: list[list[Fragments]] = [[], []]
    for window in _pieces(height, width, piece):
        labels = read_classes(scene, window, meaning)
        weights = np.zeros_like(labels) if levels is None else read_levels(levels, window)
        weights[weights == 255] = 0
        marked = (labels == 255).astype(np.uint8)
        labels[marked > 0] = 0
        for merger, part, drawn in zip(mergers, parts, (labels, marked), strict=True):
            fragments = trace(drawn, weights, row=window.row, col=window.col)
            part.append(merger.add(window, fragments))
    found, areas = (Fragments.concatenate(part).by_anchor() for part in parts)
    return found, areas


def _pieces(height: int, width: int, piece: int) -> Iterator[Window]:
    for row in range(0, height, piece):
        for col in range(0, width, piece):
            window = Window(row=row, col=col, height=piece, width=piece)
            yield window.clipped(height=height, width=width)


def polygons_of(
    labels: UInt8[np.ndarray, "rows cols"],
) -> tuple[Shaped[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
    """Return the areas of equal value above 0, joined along edges, and their values."""
    found = trace(labels, np.zeros_like(labels))
    return np.asarray(found.to_shapely(), object), found.label.astype(np.int64)
