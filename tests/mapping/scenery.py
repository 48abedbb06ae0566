"""Small scenes on disk, small networks, and runs over them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.features
from affine import Affine
from numpy.typing import NDArray

from pipeline.mapping.planning.request import MapRequest
from pipeline.mapping.run import map_scenes
from pipeline.models.card import Class, Inputs, ModelCard, Network, Outputs, Terms
from pipeline.validation.validate import CHECKS, check_file

UTM = "EPSG:32645"
NORTH_UP = Affine(0.3, 0, 354_000, 0, -0.3, 3_057_500)


def blobs(
    seed: int, *, height: int, width: int, size: int = 12, share: float = 0.4
) -> NDArray[np.uint8]:
    """Return one band of bright shapes of about ``size`` pixels, with their own brightness."""
    rng = np.random.default_rng(seed)
    rows, cols = -(-height // size), -(-width // size)
    coarse = rng.random((rows, cols)) < share
    bright = coarse.repeat(size, axis=0).repeat(size, axis=1)[:height, :width]
    bright ^= rng.random((height, width)) < 0.02
    noise = rng.integers(0, 100, (height, width))
    return np.where(bright, 140 + noise, noise).astype(np.uint8)


def write_scene(path: Path, pixels: np.ndarray, **profile: Any) -> Path:
    """Write ``(bands, rows, cols)`` as a tiled GeoTIFF in UTM 45 N at 0.3 m."""
    settings: dict[str, Any] = {
        "driver": "GTiff",
        "count": len(pixels),
        "height": pixels.shape[1],
        "width": pixels.shape[2],
        "dtype": pixels.dtype.name,
        "crs": UTM,
        "transform": NORTH_UP,
        "tiled": True,
        "blockxsize": 128,
        "blockysize": 128,
        "photometric": "RGB" if len(pixels) == 3 and pixels.dtype == np.uint8 else "MINISBLACK",
    }
    with rasterio.open(path, "w", **(settings | profile)) as file:
        file.write(pixels)
    return path


def run(scene: Path | tuple[Path, ...], out: Path, **settings: Any) -> dict[str, Any]:
    """Map scenes with the threshold model, serially unless ``settings`` say otherwise.

    Every output of every test that does is held against its format.
    """
    scenes = scene if isinstance(scene, tuple) else (scene,)
    chosen: dict[str, Any] = {"task": "bright", "executor": "serial", "device": "cpu"} | settings
    request = MapRequest(scenes=tuple(map(str, scenes)), out=out, **chosen)
    summary = map_scenes(request, report=lambda _: None)
    for row in summary["scenes"]:
        if row["state"] == "done":
            assert not faults(Path(row["folder"]))
    return summary


def faults(folder: Path) -> dict[str, list[str]]:
    """Return what `overtile check` says of a scene's outputs, where it says anything."""
    found = {path.name: check_file(path) for path in folder.iterdir() if path.suffix in CHECKS}
    return {name: told for name, told in found.items() if told}


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file of a scene's outputs but the log, which holds clocks."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "log.jsonl"}


def on_map(away: Affine, place: tuple[float, float]) -> tuple[float, float]:
    """Return map coordinates of a column and a row."""
    col, row = place
    return away.a * col + away.b * row + away.c, away.d * col + away.e * row + away.f


def band(path: Path) -> np.ndarray:
    """Return the first band of a raster."""
    with rasterio.open(path) as file:
        return np.asarray(file.read(1))


def pack(path: Path, *, architecture: str, stride: int, seed: int = 0, **card: Any) -> ModelCard:
    """Write an untrained network whose answers are neither all 0 nor all 1."""
    # Imported here: scenes and runs with the threshold model need no torch.
    import torch

    from pipeline.models.checkpoint import save_checkpoint
    from pipeline.models.networks import build
    from pipeline.models.receptive_field import rf_radius

    arguments, farthest = card.pop("arguments"), card.pop("farthest", 208)
    torch.manual_seed(seed)
    network = build(architecture, arguments)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.1, 0.1)  # type: ignore[arg-type]
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)  # type: ignore[arg-type]
    looks = rf_radius(network, in_channels=3, stride=stride, limit=farthest)
    filled: dict[str, Any] = {
        "name": "small",
        "network": Network(
            architecture=architecture, arguments=arguments, stride=stride, rf_radius=looks
        ),
        "inputs": Inputs(
            bands=("red", "green", "blue"), mean=(0.5, 0.4, 0.6), std=(0.25, 0.3, 0.2)
        ),
        "outputs": Outputs(classes=(Class(name="building", colour="#e6550d"),)),
        "terms": Terms(license="Apache-2.0"),
    }
    return save_checkpoint(path, network.state_dict(), ModelCard(**(filled | card)))


def classic(
    path: Path, *, depth: int = 2, padding: str = "padded", seed: int = 0, **card: Any
) -> ModelCard:
    """Write a U-Net of 2015 with four filters."""
    arguments = {"in_channels": 3, "classes": 1, "width": 4, "depth": depth, "padding": padding}
    settings = {"arguments": arguments, "farthest": 112} | card
    return pack(path, architecture="unet", stride=2**depth, seed=seed, **settings)


def regions(mask: np.ndarray) -> list[dict[str, Any]]:
    """Return the 4-connected regions of class 1 as GDAL polygonizes them.

    For a process of its own: the guard takes the driver away that GDAL needs.
    """
    found = rasterio.features.shapes(mask, mask=mask == 1, connectivity=4)
    return [geometry for geometry, _ in found]
