"""A small ground with buildings on it, on disk as training expects it."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import yaml
from rasterio.transform import from_origin
from shapely import box

CORNER = (354000.0, 3057500.0)
PIXEL_M = 0.25


@pytest.fixture
def ground(tmp_path: Path) -> Path:
    """Return a folder with ``scene.tif`` and ``labels.geojson``: three roofs on noise."""
    rng = np.random.default_rng(0)
    image = rng.integers(40, 90, (3, 96, 128), np.uint8)
    pixel_boxes = [(10, 10, 30, 40), (30, 10, 55, 40), (70, 50, 110, 80)]
    for left, top, right, bottom in pixel_boxes:
        image[:, top:bottom, left:right] += 120
    x, y = CORNER
    transform = from_origin(x, y, PIXEL_M, PIXEL_M)
    shape = {"height": 96, "width": 128, "count": 3, "dtype": "uint8"}
    with rasterio.open(
        tmp_path / "scene.tif", "w", driver="GTiff", crs="EPSG:32645", transform=transform, **shape
    ) as file:
        file.write(image)
    outlines = [
        box(x + left * PIXEL_M, y - bottom * PIXEL_M, x + right * PIXEL_M, y - top * PIXEL_M)
        for left, top, right, bottom in pixel_boxes
    ]
    labels = geopandas.GeoDataFrame(geometry=outlines, crs="EPSG:32645").to_crs(4326)
    (tmp_path / "labels.geojson").write_text(labels.to_json())
    return tmp_path


@pytest.fixture
def small(ground: Path) -> Path:
    """Return the config of a training of six steps on that ground."""
    place = {
        "name": "here",
        "scenes": [str(ground / "scene.tif")],
        "labels": str(ground / "labels.geojson"),
    }
    config = {
        "places": [place],
        "validation": [place],
        "split_overlap": {"action": "warn"},
        "network": {"name": "unet", "width": 4, "depth": 2},
        "crop": 64,
        "batch": 2,
        "threads": 1,
        "bfloat16": False,
        "save_every": 2,
        "log_every": 3,
        "schedule": {"steps": 6, "warmup": 2, "decay": 2},
    }
    path = ground / "config.yaml"
    path.write_text(yaml.safe_dump(json.loads(json.dumps(config))))
    return path
