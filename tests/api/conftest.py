"""A small scene that the threshold model maps: one bright building on dark ground."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

import overtile

CORNER = (500_000.0, 5_500_000.0)
QUICK = {"device": "cpu", "executor": "serial", "tile": 64}
Write = Callable[..., Path]


@pytest.fixture(scope="session")
def write_scene(tmp_path_factory: pytest.TempPathFactory) -> Write:
    """Return what writes a scene with a building of 25 x 40 m and a corner without data."""

    def write(name: str = "a scene", *, size: tuple[int, int] = (200, 260), **profile: Any) -> Path:
        pixels = np.full((3, *size), 40, np.uint8)
        pixels[:, 60:110, 80:160] = 250
        pixels[:, :20, :20] = 0
        path = tmp_path_factory.mktemp("scenes with space") / f"{name}.tif"
        shape = {"count": 3, "height": size[0], "width": size[1], "dtype": "uint8", "nodata": 0}
        where = {"crs": "EPSG:32633", "transform": from_origin(*CORNER, 0.5, 0.5)}
        with rasterio.open(path, "w", driver="GTiff", **{**shape, **where, **profile}) as file:
            file.write(pixels)
        return path

    return write


@pytest.fixture(scope="session")
def scene(write_scene: Write) -> Path:
    return write_scene()


@pytest.fixture(scope="session")
def mapped(scene: Path, tmp_path_factory: pytest.TempPathFactory) -> overtile.MapResults:
    """Return the mapped scene."""
    out = tmp_path_factory.mktemp("out")
    return overtile.map(scene, out, task="bright", options=QUICK, progress=None)
