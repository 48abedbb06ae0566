"""What strangers' bytes meet first: each target reads them, or refuses them in words."""

from __future__ import annotations

import json
import struct
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import rasterio
from rasterio.io import MemoryFile

from pipeline.config.task import load_task
from pipeline.core.window import Window
from pipeline.errors import PipelineError
from pipeline.gdal.raster_guard import install_guard
from pipeline.labels.child_read import read
from pipeline.labels.opened import open_vector_file
from pipeline.labels.read_vectors import VectorQuery, arguments_for
from pipeline.models.checkpoint import read_card
from pipeline.scenes.open import open_scene
from pipeline.scenes.scene import SceneRef
from tests.jpeg2000 import write_jp2


def scene(data: bytes, place: Path) -> None:
    """Open a GeoTIFF, and read a corner of it."""
    _read(_written(place / "scene.tif", data), "geotiff")


def jp2(data: bytes, place: Path) -> None:
    """Open a JPEG 2000, and read a corner of it."""
    _read(_written(place / "scene.jp2", data), "jp2")


def _read(path: Path, kind: str) -> None:
    install_guard()
    with suppress(PipelineError):
        opened = open_scene(SceneRef(kind=kind, href=str(path)))
        try:
            info = opened.info
            window = Window(row=0, col=0, height=min(32, info.height), width=min(32, info.width))
            pixels, valid = opened.read(window, tuple(band.index for band in info.bands[:3]))
            if pixels.shape[1:] != valid.shape:
                raise AssertionError(f"{pixels.shape} pixels, {valid.shape} of them valid or not")
        finally:
            opened.close()


def config(data: bytes, place: Path) -> None:
    """Parse a task."""
    with suppress(PipelineError):
        load_task(str(_written(place / "task.yaml", data)))


def checkpoint(data: bytes, place: Path) -> None:
    """Read a model's card."""
    with suppress(PipelineError):
        read_card(_written(place / "model.safetensors", data))


def truth(data: bytes, place: Path) -> None:
    """Read polygons, in this process: what a child decodes has no coverage here."""
    path = _written(place / "truth.geojson", data)
    with (
        suppress(PipelineError),
        open_vector_file(path) as file,
        tempfile.TemporaryDirectory() as folder,
    ):
        read(arguments_for(file, VectorQuery(what="objects"), folder=folder), [*file.handles])


TARGETS: Mapping[str, Callable[[bytes, Path], None]] = {
    "scene": scene,
    "jp2": jp2,
    "config": config,
    "checkpoint": checkpoint,
    "truth": truth,
}


def seeds(name: str) -> list[bytes]:
    """Return whole inputs of a target, to begin from."""
    if name == "scene":
        return [_geotiff(compress=how, tiled=tiled) for how in ("none", "lzw") for tiled in (0, 1)]
    if name == "jp2":
        return [_jp2(), _jp2(BLOCKXSIZE="32", BLOCKYSIZE="32"), _jp2(CODEC="J2K")]
    if name == "config":
        return [b"name: mine\nmodel: threshold\nbands: [1, red]\nthreshold: 0.5\n"]
    if name == "checkpoint":
        header = json.dumps({"__metadata__": {"overtile": '{"name": "x"}'}}).encode()
        return [struct.pack("<Q", len(header)) + header]
    ring = [[85.0, 27.0], [85.1, 27.0], [85.1, 27.1], [85.0, 27.0]]
    shape = {"type": "Polygon", "coordinates": [ring]}
    feature = {"type": "Feature", "properties": {"id": 1, "confidence": 0.5}, "geometry": shape}
    return [json.dumps({"type": "FeatureCollection", "features": [feature]}).encode()]


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _jp2(**options: str) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (3, 40, 50), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        return write_jp2(Path(folder) / "scene.jp2", pixels, **options).read_bytes()


def _geotiff(*, compress: str, tiled: int) -> bytes:
    more = {"blockxsize": 16, "blockysize": 16} if tiled else {}
    settings = {"count": 1, "height": 20, "width": 24, "dtype": "uint8", "tiled": bool(tiled)}
    place = {"crs": "EPSG:32645", "transform": rasterio.Affine(0.3, 0, 354_000, 0, -0.3, 3e6)}
    with MemoryFile() as memory:
        with memory.open(driver="GTiff", compress=compress, **settings, **place, **more) as file:
            file.write(np.arange(480, dtype=np.uint8).reshape(1, 20, 24))
        return bytes(memory.read())
