"""Objects of a label raster: one of a scene, or a PNG mask of an image.

Meaning of the values: 0 is background, 1 to 254 are classes. 255 is "no data" where the
file says so or has classes below it, and the only class where it has not (0 and 255 is
how masks of one class are usually drawn). A declared nodata of 0 is background.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import shapely
from jaxtyping import Int64, Shaped, UInt8

from pipeline.core.trace import trace
from pipeline.core.window import Window
from pipeline.errors import SceneError
from pipeline.runs.truth import Grid, Objects
from pipeline.scenes.open import open_scene
from pipeline.scenes.scene import Scene, SceneRef

MAX_PIXELS = 1_000_000_000
"""Greater label rasters are refused: they are held in memory, a byte a pixel."""

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"\x89PNG", b"\xff\xd8\xff", b"\0\0\0\x0cjP  ")


def is_raster(path: Path) -> bool:
    """Return whether a file begins as TIFF, PNG, JPEG or JPEG 2000 does."""
    try:
        with path.open("rb") as file:
            return file.read(16).startswith(_MAGIC)
    except OSError:
        return False


def label_ref(path: Path, *, georef: bool = True) -> SceneRef:
    """Return how to open a raster of labels or probabilities."""
    tiff = path.suffix.lower() in (".tif", ".tiff")
    options = () if georef or not tiff else (("georef", "none"),)
    return SceneRef(kind="geotiff" if tiff else "image", href=str(path.absolute()), options=options)


def open_labels(path: Path) -> Scene:
    """Return an open raster; one without a place on the Earth is opened as an image.

    Raises:
        SceneError: It cannot be read.
    """
    try:
        return open_scene(label_ref(path))
    except SceneError:
        if path.suffix.lower() not in (".tif", ".tiff"):
            raise
        return open_scene(label_ref(path, georef=False))


def read_block(scene: Scene, window: Window) -> UInt8[np.ndarray, "rows cols"]:
    """Return the first band of a window; 255 where there is no data."""
    pixels, valid = scene.read(window, (scene.info.bands[0].index,))
    block = pixels[0]
    if block.dtype != np.uint8:
        if block.min(initial=0) < 0 or block.max(initial=0) > 255:
            raise SceneError(
                scene.info.source,
                f"its labels reach from {block.min()} to {block.max()}",
                "give classes from 0 to 254 (0 is background)",
            )
        block = block.astype(np.uint8)
    nodata = scene.info.nodata
    if nodata is None:
        block[~valid] = 255
    elif 0 < nodata < 255:
        block[block == int(nodata)] = 255
    return np.asarray(block)


def read_labels(path: Path) -> Objects:
    """Return the connected areas of each class of a label raster.

    Raises:
        SceneError: It cannot be read, or is too large.
    """
    scene = open_labels(path)
    try:
        info = scene.info
        if info.height * info.width > MAX_PIXELS:
            raise SceneError(
                str(path),
                f"it has {info.height} x {info.width} pixels; the limit is {MAX_PIXELS:,}",
                "give its polygons instead",
            )
        labels = np.empty((info.height, info.width), np.uint8)
        for top in range(0, info.height, 1024):
            window = Window(row=top, col=0, height=min(1024, info.height - top), width=info.width)
            labels[top : window.bottom] = read_block(scene, window)
    finally:
        scene.close()
    present = np.flatnonzero(np.bincount(labels.ravel(), minlength=256))
    classes = set(present.tolist()) - {0}
    unknown = labels == 255
    if info.nodata is None and classes == {255}:
        labels[unknown], unknown = 1, np.zeros_like(unknown)
    labels[unknown] = 0
    polygons, value = polygons_of(labels)
    holes, _ = polygons_of(unknown.astype(np.uint8))
    if info.georef:
        polygons = shapely.transform(polygons, info.georef.to_map)
        holes = shapely.transform(holes, info.georef.to_map)
    several = len(classes - {255}) > 1
    return Objects(
        source=str(path),
        polygon=polygons,
        crs=info.georef.crs if info.georef else None,
        label=np.array([str(one) for one in value], object) if several else None,
        grid=Grid(height=info.height, width=info.width, georef=info.georef),
        unknown=holes if len(holes) else None,
    )


def polygons_of(
    labels: UInt8[np.ndarray, "rows cols"],
) -> tuple[Shaped[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
    """Return the areas of equal value above 0, joined along edges, and their values."""
    found = trace(labels, np.zeros_like(labels))
    return np.asarray(found.to_shapely(), object), found.label.astype(np.int64)
