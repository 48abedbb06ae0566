"""GeoJSON: what RFC 7946 asks holds on any grid, and the text is the polygons."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS
from shapely.geometry import MultiPolygon, Polygon, shape

from pipeline.core.georef import Georef
from pipeline.core.polygons.footprints import Footprints
from pipeline.errors import ExportError
from pipeline.outputs.provenance import Provenance
from pipeline.outputs.vectors.attributes import Written
from pipeline.outputs.vectors.geojson import geojson_geometries, write_geojson, write_geojsonl
from pipeline.outputs.vectors.geoparquet import write_geoparquet
from pipeline.outputs.vectors.lonlat import to_lonlat_polygons
from pipeline.validation.geojson import check_geojson, check_geojsonl
from tests.strategies import examples

Make = Callable[..., Footprints]
Where = Callable[..., Provenance]
UTM = CRS("EPSG:32645").to_wkt()
steps = st.floats(-1, 1).map(lambda x: round(x, 3))


def _features(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["features"]
    return found


@settings(max_examples=examples(40), deadline=None)
@given(seed=st.integers(0, 99), a=steps, b=steps, d=steps, e=steps)
def test_winding_and_validity_hold_on_any_affine_grid(
    footprints: Make, provenance: Where, seed: int, a: float, b: float, d: float, e: float
) -> None:
    if abs(a * e - b * d) < 1e-3:
        return
    georef = Georef(crs_wkt=UTM, transform=(a, b, 3e5, d, e, 3e6))
    batch = footprints(seed, count=16)
    with TemporaryDirectory() as folder:
        path = Path(folder, "polygons.geojson")
        written = write_geojson(path, [batch], provenance(georef))
        assert check_geojson(path) == []
        assert written.features + written.dropped == len(batch)
        # A pixel is 11 mm or more here: hardly anything vanishes.
        assert written.dropped <= 1


def test_every_grid_gives_what_the_check_accepts(
    footprints: Make, provenance: Where, georef: Georef, tmp_path: Path
) -> None:
    batch = footprints(7)
    written = write_geojson(tmp_path / "p.geojson", [batch], provenance(georef))
    assert written == Written(features=len(batch))
    assert check_geojson(tmp_path / "p.geojson") == []
    lines = write_geojsonl(tmp_path / "p.geojsonl", [batch], provenance(georef))
    assert lines == written
    assert check_geojsonl(tmp_path / "p.geojsonl") == []
    by_line = [
        json.loads(line) for line in (tmp_path / "p.geojsonl").read_text("utf-8").splitlines()
    ]
    assert by_line == _features(tmp_path / "p.geojson")


def test_geojson_and_geoparquet_hold_the_same_polygons(
    footprints: Make, provenance: Where, georef: Georef, tmp_path: Path
) -> None:
    batch = footprints(3)
    where = provenance(georef)
    write_geojson(tmp_path / "p.geojson", [batch], where)
    write_geoparquet(tmp_path / "p.parquet", [batch], where)
    from_json = _features(tmp_path / "p.geojson")
    table = geopandas.read_parquet(tmp_path / "p.parquet")
    assert [f["id"] for f in from_json] == table["id"].tolist()
    assert [f["properties"]["confidence"] for f in from_json] == table["confidence"].tolist()
    assert [f["properties"]["class"] for f in from_json] == table["class"].tolist()
    if abs(georef.to_lonlat(np.array([[128.0, 128.0]]))[0, 1]) > 80:
        return  # straight in metres is a spiral in degrees there
    there = table.to_crs("OGC:CRS84").geometry
    for feature, other in zip(from_json, there, strict=True):
        mine = shape(feature["geometry"])
        if mine.geom_type == "Polygon" and abs(other.bounds[2] - other.bounds[0]) < 180:
            turn = 360 * round((mine.centroid.x - other.centroid.x) / 360)
            moved = shapely.transform(other, partial(np.add, [turn, 0]))
            assert shapely.hausdorff_distance(mine, moved) < 2e-7


def test_polygons_over_the_antimeridian_are_cut_there(
    batch_of: Make, provenance: Where, tmp_path: Path
) -> None:
    georef = Georef(crs_wkt=CRS("EPSG:4326").to_wkt(), transform=(0.1, 0.0, 179.0, 0.0, -0.1, 10.0))
    batch = batch_of([Polygon([(5, 5), (15, 5), (15, 15), (5, 15)], [[(8, 8), (12, 8), (12, 12)]])])
    write_geojson(tmp_path / "p.geojson", [batch], provenance(georef))
    assert check_geojson(tmp_path / "p.geojson") == []
    (feature,) = _features(tmp_path / "p.geojson")
    whole = shape(feature["geometry"])
    assert isinstance(whole, MultiPolygon)
    parts = whole.geoms
    assert sorted(part.bounds for part in parts) == [
        (-180.0, 8.5, -179.5, 9.5),
        (179.5, 8.5, 180.0, 9.5),
    ]
    assert sum(part.area for part in parts) == pytest.approx(1 - 0.08)


def test_a_polygon_around_the_pole_covers_it(batch_of: Make) -> None:
    georef = Georef(
        crs_wkt=CRS("EPSG:3031").to_wkt(), transform=(400.0, 0.0, -5e4, 0.0, -400.0, 5e4)
    )
    batch = batch_of([Polygon([(100, 100), (150, 100), (150, 150), (100, 150)])])
    (cap,) = to_lonlat_polygons(batch.geometry, georef)
    assert cap.is_valid
    assert cap.bounds[:2] == (-180, -90)
    assert cap.bounds[2] == 180
    assert shapely.covers(cap, shapely.Point(12, -89.99))


def test_long_edges_follow_the_grid(batch_of: Make) -> None:
    georef = Georef(crs_wkt=UTM, transform=(0.3, 0.0, 8e5, 0.0, -0.3, 6e6))
    (wide,) = to_lonlat_polygons(batch_of([shapely.box(0, 0, 40_000, 10)]).geometry, georef)
    middle = georef.to_lonlat(np.array([[20_000.0, 0.0]]))[0]
    assert wide.exterior.distance(shapely.Point(middle)) < 1e-7


@settings(max_examples=examples(30), deadline=None)
@given(seed=st.integers(0, 99), pixel=st.sampled_from([1e-5, 1e-7, 3e-8, 1e-9]))
def test_rounding_leaves_valid_polygons_or_none(
    footprints: Make, provenance: Where, seed: int, pixel: float
) -> None:
    georef = Georef(
        crs_wkt=CRS("EPSG:4326").to_wkt(), transform=(pixel, 0.0, 9.0, 0.0, -pixel, 8.0)
    )
    batch = footprints(seed, count=25)
    with TemporaryDirectory() as folder:
        path = Path(folder, "polygons.geojson")
        written = write_geojson(path, [batch], provenance(georef))
        assert written.features + written.dropped == len(batch)
        assert check_geojson(path) == []


numbers = st.floats(-180, 180, allow_nan=False)


@given(points=st.lists(st.tuples(numbers, numbers), min_size=3, max_size=9))
def test_coordinates_are_read_back_as_those_of_seven_decimals(
    points: list[tuple[float, float]],
) -> None:
    (text,) = geojson_geometries(np.array([Polygon(points)], dtype=object))
    ring = np.array(Polygon(points).exterior.coords)
    expected = [[float(f"{x:.7f}") for x in point] for point in np.round(ring * 1e7) / 1e7 + 0.0]
    assert json.loads(text) == {"type": "Polygon", "coordinates": [expected]}
    assert "-0.0," not in text
    assert "-0.0]" not in text


def test_holes_and_parts_keep_their_order() -> None:
    holed = Polygon(
        [(0, 0), (9, 0), (9, 9), (0, 9)],
        [[(1, 1), (1, 2), (2, 2), (2, 1)], [(5, 5), (5, 6), (6, 6), (6, 5)]],
    )
    several = shapely.MultiPolygon([shapely.box(-180, 1, -179.5, 2), holed])
    texts = list(geojson_geometries(np.array([several, holed], dtype=object)))
    assert [shapely.from_geojson(text).wkb for text in texts] == [several.wkb, holed.wkb]


def test_no_polygons_make_an_empty_collection(
    provenance: Where, georef: Georef, tmp_path: Path
) -> None:
    assert write_geojson(tmp_path / "p.geojson", [], provenance(georef)) == Written(features=0)
    assert _features(tmp_path / "p.geojson") == []
    assert check_geojson(tmp_path / "p.geojson") == []
    write_geojsonl(tmp_path / "p.geojsonl", [], provenance(georef))
    assert (tmp_path / "p.geojsonl").read_bytes() == b""


def test_polygons_that_have_no_place_are_counted(
    batch_of: Make, provenance: Where, tmp_path: Path
) -> None:
    whole_disc = "+proj=geos +h=35785831 +lon_0=0 +sweep=y"
    georef = Georef(
        crs_wkt=CRS(whole_disc).to_wkt(), transform=(3e4, 0.0, -5.5e6, 0.0, -3e4, 5.5e6)
    )
    batch = batch_of([shapely.box(1, 1, 4, 4), shapely.box(180, 180, 190, 190)])
    written = write_geojson(tmp_path / "p.geojson", [batch], provenance(georef))
    assert written == Written(features=1, dropped=1)
    assert check_geojson(tmp_path / "p.geojson") == []


def test_a_scene_without_crs_is_refused(
    footprints: Make, provenance: Where, tmp_path: Path
) -> None:
    for write in (write_geojson, write_geojsonl, write_geoparquet):
        with pytest.raises(ExportError, match="COCO"):
            write(tmp_path / "p", [footprints(1)], provenance(None))
    assert list(tmp_path.iterdir()) == []


def test_pyogrio_reads_what_was_written(
    footprints: Make, provenance: Where, georef: Georef, tmp_path: Path
) -> None:
    write_geojson(tmp_path / "p.geojson", [footprints(5)], provenance(georef))
    table = geopandas.read_file(tmp_path / "p.geojson")
    assert table.crs == "OGC:CRS84" or table.crs == "EPSG:4326"
    assert table.is_valid.all()
    assert set(table["class"]) <= {"building", 'salt "x" 100%'}
    assert {"id", "confidence", "area_m2", "scene", "datetime", "model"} <= set(table.columns)
