"""Polygons lie where they should, with areas in square metres, on any grid."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import Geod, Transformer

from tests.mapping.scenery import on_map, run, write_scene

ROW, COL, HEIGHT, WIDTH = 30, 50, 40, 24
GRIDS = {
    "rotated": ("EPSG:32645", Affine(0.26, 0.15, 354_000, 0.15, -0.26, 3_057_500)),
    "south-up": ("EPSG:32645", Affine(0.3, 0, 354_000, 0, 0.3, 3_057_500)),
    "mirrored": ("EPSG:32645", Affine(-0.3, 0, 354_000, 0, -0.3, 3_057_500)),
    "degrees": ("EPSG:4326", Affine(3e-6, 0, 85.5, 0, -3e-6, 27.6)),
    "US feet": ("EPSG:2263", Affine(1, 0, 980_000, 0, -1, 200_000)),
    "web mercator": ("EPSG:3857", Affine(0.6, 0, 2_700_000, 0, -0.6, 8_400_000)),
}


@pytest.mark.parametrize("name", GRIDS)
def test_a_bright_square_lies_where_it_should(tmp_path: Path, name: str) -> None:
    crs, away = GRIDS[name]
    pixels = np.zeros((1, 120, 130), np.uint8)
    pixels[0, ROW : ROW + HEIGHT, COL : COL + WIDTH] = 220
    scene = write_scene(tmp_path / "s.tif", pixels, crs=crs, transform=away)
    run(scene, tmp_path / "out", tile=32)
    corners = [
        (COL, ROW),
        (COL + WIDTH, ROW),
        (COL + WIDTH, ROW + HEIGHT),
        (COL, ROW + HEIGHT),
    ]
    ground = shapely.Polygon([on_map(away, corner) for corner in corners])
    move = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    on_earth = shapely.Polygon([move.transform(*on_map(away, corner)) for corner in corners])
    area = abs(Geod(ellps="WGS84").geometry_area_perimeter(on_earth)[0])

    frame = geopandas.read_parquet(tmp_path / "out" / "s" / "polygons.parquet")
    (found,) = frame.geometry
    assert shapely.symmetric_difference(found, ground).area < 1e-6 * ground.area
    assert frame["area_m2"].tolist() == pytest.approx([area], rel=1e-3)
    text = (tmp_path / "out" / "s" / "polygons.geojson").read_text()
    (feature,) = json.loads(text)["features"]
    outline = shapely.geometry.shape(feature["geometry"])
    assert shapely.hausdorff_distance(outline, on_earth) < 2e-7
    assert isinstance(outline, shapely.Polygon)
    assert outline.exterior.is_ccw
    assert feature["properties"]["area_m2"] == pytest.approx(area, rel=1e-3)
    assert feature["properties"]["class"] == "bright"
