"""STAC items: valid, on the Earth wherever the scene lies, true of the files beside them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pystac
import pytest
import shapely
from pyproj import CRS

from pipeline.core.georef import WGS84, Georef
from pipeline.outputs.catalogue.assets import KINDS
from pipeline.outputs.catalogue.stac import make_item, write_item
from pipeline.outputs.provenance import Provenance
from pipeline.validation.validate import check_file

Where = Callable[..., Provenance]


def _write(folder: Path, provenance: Provenance) -> Path:
    files = []
    for name in KINDS:
        (folder / name).write_text(name)
        files.append(folder / name)
    write_item(folder / "item.json", files, provenance, source="s3://x/made.tif", version="0.1.0")
    return folder / "item.json"


def test_items_are_valid_on_every_grid(provenance: Where, georef: Georef, tmp_path: Path) -> None:
    path = _write(tmp_path, provenance(georef))
    assert check_file(path) == []
    item = pystac.Item.from_file(str(path))
    assert item.datetime is not None
    assert item.datetime.isoformat() == "2024-02-03T04:05:06+00:00"
    assert item.assets["mask"].media_type == pystac.MediaType.COG
    assert item.assets["geoparquet"].media_type == "application/vnd.apache.parquet"
    (link,) = item.links[-1:]
    assert (link.rel, link.href) == ("derived_from", "s3://x/made.tif")
    assert item.properties["proj:shape"] == [256, 256]
    assert item.properties["proj:transform"][:6] == list(georef.transform)


def test_the_frame_holds_the_pixels(provenance: Where, utm: Georef) -> None:
    item = make_item([], provenance(utm), source="x", version="1")
    frame = shapely.from_geojson(json.dumps(item["geometry"]))
    assert isinstance(frame, shapely.Polygon)
    assert shapely.is_ccw(frame.exterior)
    area, _ = WGS84.geometry_area_perimeter(frame)
    assert area == pytest.approx((256 * 0.3) ** 2, rel=2e-3)  # UTM stretches by up to 1e-3
    assert item["bbox"] == [round(x, 7) for x in frame.bounds]


def test_a_frame_over_the_antimeridian_is_cut_and_its_bbox_runs_over_it(provenance: Where) -> None:
    georef = Georef(
        crs_wkt=CRS("EPSG:4326").to_wkt(), transform=(0.01, 0.0, 179.0, 0.0, -0.01, 10.0)
    )
    item = make_item([], provenance(georef), source="x", version="1")
    assert item["geometry"]["type"] == "MultiPolygon"
    assert item["bbox"] == [179.0, 7.44, -178.44, 10.0]


def test_a_frame_around_the_pole_covers_it(provenance: Where) -> None:
    georef = Georef(
        crs_wkt=CRS("EPSG:3031").to_wkt(), transform=(400.0, 0.0, -5e4, 0.0, -400.0, 5e4)
    )
    item = make_item([], provenance(georef), source="x", version="1")
    assert item["bbox"][:3] == [-180, -90, 180]


def test_an_unknown_time_is_an_interval_that_says_so(
    provenance: Where, utm: Georef, tmp_path: Path
) -> None:
    path = _write(tmp_path, replace(provenance(utm), datetime=None))
    assert check_file(path) == []
    properties = json.loads(path.read_text("utf-8"))["properties"]
    assert properties["datetime"] is None
    assert properties["start_datetime"] < properties["end_datetime"]
    assert properties["overtile:datetime_known"] is False


def test_a_scene_without_crs_has_an_item_without_geometry(
    provenance: Where, tmp_path: Path
) -> None:
    path = _write(tmp_path, provenance(None))
    assert check_file(path) == []
    item = json.loads(path.read_text("utf-8"))
    assert item["geometry"] is None
    assert "bbox" not in item
    assert not any(key.startswith("proj:") for key in item["properties"])


def test_a_crs_without_a_code_is_told_in_full(provenance: Where) -> None:
    wkt = CRS("+proj=tmerc +lon_0=85.3 +ellps=WGS84").to_wkt()
    georef = Georef(crs_wkt=wkt, transform=(0.3, 0.0, 0.0, 0.0, -0.3, 3e6))
    properties = make_item([], provenance(georef), source="x", version="1")["properties"]
    assert properties["proj:code"] is None
    assert CRS(properties["proj:wkt2"]) == CRS(wkt)


def test_a_file_of_another_name_is_refused(provenance: Where, utm: Georef, tmp_path: Path) -> None:
    (tmp_path / "other.bin").write_bytes(b"")
    with pytest.raises(KeyError, match="other"):
        make_item([tmp_path / "other.bin"], provenance(utm), source="x", version="1")
