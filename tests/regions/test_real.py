"""A region over a real town: what a later picture no longer shows is what the changes say."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
import shapely
from pyproj import Transformer
from rasterio.transform import array_bounds
from rasterio.windows import Window
from shapely.geometry.base import BaseGeometry

from pipeline.regions.layer.history import changes_between
from tests.regions.places import Clock, keep_to_schedule, site_of

TOWN = "buildings/unlabelled/banepa_town.tif"
VILLAGE = "buildings/train/kavre_np_a_z19.tif"
SIDE, STEP = 600, 400
CORNERS = {name: (4000, 5000 + STEP * at) for at, name in enumerate("abc")}
BLOCK = (100, 500)  # rows and columns of the picture in the middle, some of them its neighbours'


def _crop(town: Path, folder: Path, name: str, when: str, *, painted: bool = False) -> Path:
    """Write a piece of the town, with meadow over the block or not."""
    row, col = CORNERS[name]
    window = Window(col, row, SIDE, SIDE)
    with rasterio.open(town) as file:
        pixels = file.read(window=window)
        profile = {
            "driver": "GTiff",
            "dtype": "uint8",
            "count": 3,
            "height": SIDE,
            "width": SIDE,
            "crs": file.crs,
            "transform": file.window_transform(window),
            "photometric": "RGB",
        }
    if painted:
        side = BLOCK[1] - BLOCK[0]
        rough = np.random.default_rng(0).integers(-6, 7, (1, side, side))
        meadow = np.array([92, 108, 70])[:, None, None] + rough
        pixels[:, BLOCK[0] : BLOCK[1], BLOCK[0] : BLOCK[1]] = meadow
    folder.mkdir(exist_ok=True)
    with rasterio.open(folder / f"{name}_{when}.tif", "w", **profile) as file:
        file.write(pixels)
    return folder / f"{name}_{when}.tif"


def _block(picture: Path, *, grown: int = 0) -> BaseGeometry:
    """Return the block on the Earth, ``grown`` pixels larger on each side."""
    with rasterio.open(picture) as file:
        first, side = BLOCK[0] - grown, BLOCK[1] - BLOCK[0] + 2 * grown
        away = file.window_transform(Window(first, first, side, side))
        move = Transformer.from_crs(file.crs, "OGC:CRS84", always_xy=True)
    box = shapely.box(*array_bounds(side, side, away))
    placed: BaseGeometry = shapely.transform(
        box, lambda points: np.column_stack(move.transform(points[:, 0], points[:, 1]))
    )
    return placed


def _ids(folder: Path) -> list[str]:
    found: list[str] = pq.read_table(folder / "layer.parquet")["building_id"].to_pylist()
    return found


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.timeout(900)
def test_on_its_schedule_a_region_tells_which_block_a_later_picture_no_longer_shows(
    shared: Path, tmp_path: Path
) -> None:
    scenes = tmp_path / "scenes"
    for name in CORNERS:
        _crop(shared / TOWN, scenes, name, "20240101")
    shutil.copy(shared / VILLAGE, scenes)
    file = tmp_path / "region.yaml"
    file.write_text(
        "name: banepa\nsources: [{type: files, path: scenes}]\noutputs: [geojson]\n"
        "compute: {executor: serial, device: cpu}\n"
        "schedule: {cron: '30 2 * * 1', timezone: Asia/Kathmandu}\n"
    )
    clock, week = Clock(), timedelta(days=7)
    (first,) = keep_to_schedule(file, clock, until=clock() + week)
    assert (first["mapped"], first["failed"]) == (4, 0)
    (scenes / "b_20240101.tif").unlink()
    later = _crop(shared / TOWN, scenes, "b", "20240601", painted=True)
    (second,) = keep_to_schedule(file, clock, until=clock() + week)
    assert (second["mapped"], second["unchanged"], second["withdrawn"]) == (1, 3, 1)
    folder = Path(first["folder"])
    wkb = pq.read_table(folder / "layer.parquet")["geometry"].to_numpy()
    inside = shapely.covered_by(shapely.from_wkb(wkb), _block(later, grown=-20))
    ids = np.array(_ids(folder))
    assert inside.sum() >= 3
    assert (~inside).sum() >= 10
    changes_between(site_of(file), out=tmp_path / "changes")
    features = json.loads((tmp_path / "changes" / "changes.geojson").read_text())["features"]
    facts = [feature["properties"] for feature in features]
    removed = {one["building_id"] for one in facts if one["change"] == "removed"}
    assert set(ids[inside]) <= removed
    # The network looks around, so that outlines beside the block may move with it, no more.
    places = shapely.from_geojson([json.dumps(feature["geometry"]) for feature in features])
    beside = ~shapely.intersects(places, _block(later, grown=60))
    kinds = np.array([one["change"] for one in facts])
    assert set(kinds[beside]) <= {"changed"}
    assert beside.sum() < 0.05 * len(ids)
    assert not set(ids[inside]) & set(_ids(Path(second["folder"])))
