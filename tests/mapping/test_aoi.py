"""The area of interest: 255 outside, polygons whole or cut; and scenes without data."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
from pyproj import Transformer

from pipeline.errors import ConfigError
from tests.mapping.scenery import NORTH_UP, UTM, band, contents, on_map, run, write_scene

SQUARES = {"inside": (40, 40), "across": (90, 60), "outside": (150, 150)}
SIDE = 20


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    pixels = np.zeros((1, 200, 220), np.uint8)
    for row, col in SQUARES.values():
        pixels[0, row : row + SIDE, col : col + SIDE] = 220
    return write_scene(tmp_path / "s.tif", pixels)


def area(tmp_path: Path, *, crs: str, box: tuple[int, int, int, int] = (10, 10, 100, 100)) -> Path:
    """Write a box of columns and rows of the scene, in another reference system."""
    left, top, right, bottom = box
    ring = [(left, top), (right, top), (right, bottom), (left, bottom)]
    move = Transformer.from_crs(UTM, crs, always_xy=True)
    points = [move.transform(*on_map(NORTH_UP, corner)) for corner in ring]
    path = tmp_path / f"aoi_{crs.replace(':', '_')}.gpkg"
    geopandas.GeoDataFrame(geometry=[shapely.Polygon(points)], crs=crs).to_file(path)
    return path


@pytest.mark.parametrize("crs", [UTM, "EPSG:4326", "EPSG:3857", "EPSG:32644"])
def test_outside_is_no_data_and_polygons_stay_whole(tmp_path: Path, scene: Path, crs: str) -> None:
    run(scene, tmp_path / "out", aoi=area(tmp_path, crs=crs), tile=32)
    folder = tmp_path / "out" / "s"
    for name in ("mask.tif", "probability.tif"):
        known = band(folder / name) != 255
        assert known[11:99, 11:99].all()
        assert not known[102:].any()
        assert not known[:, 102:].any()
        assert not known[:8].any()
    frame = geopandas.read_parquet(folder / "polygons.parquet")
    assert frame["touches_aoi"].tolist() == [False, True]
    assert frame["area_m2"].tolist() == pytest.approx([SIDE**2 * 0.09] * 2, rel=1e-3)


def test_polygons_are_cut_if_asked(tmp_path: Path, scene: Path) -> None:
    run(scene, tmp_path / "out", aoi=area(tmp_path, crs=UTM), clip=True, tile=32)
    frame = geopandas.read_parquet(tmp_path / "out" / "s" / "polygons.parquet")
    assert frame["area_m2"].tolist() == pytest.approx([400 * 0.09, 200 * 0.09], rel=1e-3)
    assert frame["touches_aoi"].tolist() == [False, True]


@pytest.mark.parametrize("clip", [False, True])
def test_the_tile_does_not_matter(tmp_path: Path, scene: Path, clip: bool) -> None:
    aoi = area(tmp_path, crs="EPSG:4326")
    for tile in (16, 500):
        run(scene, tmp_path / str(tile), aoi=aoi, clip=clip, tile=tile)
    one, other = (contents(tmp_path / str(tile) / "s") for tile in (16, 500))
    for name in ("mask.tif", "probability.tif", "polygons.geojson", "polygons.parquet"):
        assert one[name] == other[name], name


def test_a_scene_outside_is_refused(tmp_path: Path, scene: Path) -> None:
    aoi = area(tmp_path, crs="EPSG:4326", box=(5000, 5000, 5100, 5100))
    (row,) = run(scene, tmp_path / "out", aoi=aoi)["scenes"]
    assert row["state"] == "failed"
    assert "outside --aoi" in row["reason"]
    assert not (tmp_path / "out" / "s").exists()


def test_an_area_without_polygons_is_refused(tmp_path: Path, scene: Path) -> None:
    path = tmp_path / "points.geojson"
    point = {
        "type": "Feature",
        "properties": {},
        "geometry": {"type": "Point", "coordinates": [0, 0]},
    }
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [point]}))
    with pytest.raises(ConfigError, match=r"points\.geojson"):
        run(scene, tmp_path / "out", aoi=path)


@pytest.mark.parametrize("how", ["nodata", "alpha", "nan"])
def test_where_there_is_no_data_there_are_no_polygons(tmp_path: Path, how: str) -> None:
    missing = np.zeros((100, 120), bool)
    missing[20:70, 30:80] = True
    pixels = np.full((100, 120), 200, np.uint8)
    pixels[:10] = 20
    if how == "alpha":
        alpha = np.where(missing, 0, 255).astype(np.uint8)
        scene = write_scene(tmp_path / "s.tif", np.stack([pixels, alpha]), alpha="YES")
    elif how == "nan":
        values = np.where(missing, np.nan, pixels).astype(np.float32)
        scene = write_scene(tmp_path / "s.tif", values[None])
    else:
        values = np.where(missing, np.int16(-9999), pixels.astype(np.int16))
        scene = write_scene(tmp_path / "s.tif", values[None], nodata=-9999)
    run(scene, tmp_path / "out", values=(0.0, 255.0), tile=32)
    folder = tmp_path / "out" / "s"
    for name in ("mask.tif", "probability.tif"):
        np.testing.assert_array_equal(band(folder / name) == 255, missing)
    frame = geopandas.read_parquet(folder / "polygons.parquet")
    (only,) = frame.geometry
    assert len(only.interiors) == 1
    assert frame["area_m2"].sum() == pytest.approx((90 * 120 - 2500) * 0.09, rel=1e-3)
