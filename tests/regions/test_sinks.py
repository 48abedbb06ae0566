"""Every form of a layer holds its footprints, and is what its format promises."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import numpy as np
import pyarrow.dataset
import pystac
import pytest
import shapely
from pyproj import CRS
from shapely.geometry import box

from pipeline.core.georef import Georef
from pipeline.errors import ConfigError, ExportError
from pipeline.outputs.catalogue.stac import write_item
from pipeline.outputs.postgis.table import table_of
from pipeline.outputs.provenance import MapClass, Provenance
from pipeline.regions.layer.layer import LayerScene, build_layer
from pipeline.regions.layer.layer_file import SCHEMA
from pipeline.regions.layer.sinks import SINKS, cell_name, item_name, write_sinks
from pipeline.validation.validate import check_file
from tests.regions.towns import View, mapped, square

WORLD = box(-50, -50, 250, 30_050)
HOUSES = tuple(square(30 * x, 3_000 * y) for x in range(5) for y in range(10))


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    out = tmp_path / "run" / "layer.parquet"
    out.parent.mkdir()
    views = [View(key=key, houses=HOUSES, frame=WORLD) for key in "ab"]
    build_layer(mapped(tmp_path / "scenes", views), previous=None, out=out, policy="newest")
    return out


def item(folder: Path, key: str, when: str | None) -> Path:
    """Write a mapped scene's item, its footprints beside it."""
    (scene,) = mapped(folder / key, [View(key=key, houses=HOUSES[:3], frame=WORLD)])
    polygons = scene.parquet.rename(folder / key / "polygons.parquet")
    provenance = Provenance(
        scene=key,
        fingerprint="sha256:0",
        datetime=when,
        model="made",
        classes=(MapClass(value=1, name="house", colour=(9, 9, 9)),),
        height=100,
        width=100,
        georef=Georef(
            crs_wkt=CRS.from_epsg(32633).to_wkt(),
            transform=(1.0, 0.0, 277_000.0, 0.0, -1.0, 5_320_100.0),
        ),
    )
    path = folder / key / "item.json"
    write_item(path, [polygons], provenance, source=f"/imagery/{key}.tif", version="1")
    assert check_file(path) == []
    return path


def test_every_sink_holds_every_footprint_and_passes_its_check(layer: Path, tmp_path: Path) -> None:
    items = {key: item(tmp_path / "mapped", key, None) for key in "ab"}
    out = tmp_path / "run"
    written = write_sinks(layer, out, names=SINKS, region="towns", items=items)
    assert [*written] == [*SINKS]
    known = geopandas.read_parquet(layer)
    for name in ("geojson", "fgb", "gpkg", "shapefile"):
        # The layer is named for the region.
        found = geopandas.read_file(written[name], layer="towns")
        found = found.rename(columns={"bldg_id": "building_id"})
        assert sorted(found["building_id"]) == sorted(known["building_id"])
        areas = [shapely.area(table.geometry.to_numpy()).sum() for table in (found, known)]
        assert areas[0] == pytest.approx(areas[1])
    lines = written["geojsonl"].read_text().splitlines()
    assert sorted(json.loads(line)["id"] for line in lines) == sorted(known["building_id"])
    for path in out.rglob("*"):
        if path.is_file() and path.suffix != ".arrow":
            assert check_file(path) == []


def test_squares_partition_the_layer(layer: Path, tmp_path: Path) -> None:
    folder = write_sinks(layer, tmp_path, names=["parquet"], region="towns")["parquet"]
    table = pyarrow.dataset.dataset(folder, partitioning="hive").to_table()
    known = geopandas.read_parquet(layer)
    assert sorted(table["building_id"].to_pylist()) == sorted(known["building_id"])
    assert len(set(table["cell"].to_pylist())) > 1
    for wkb, cell in zip(table["geometry"].to_pylist(), table["cell"].to_pylist(), strict=True):
        west, south, east, north = shapely.from_wkb(wkb).bounds
        x, y = (np.floor(side / 2 / 0.25) * 0.25 for side in (west + east, south + north))
        assert cell == cell_name(float(x), float(y))


def test_cells_are_named_after_their_lower_left_corner() -> None:
    assert cell_name(85.25, 27.5) == "E085.25_N27.50"
    assert cell_name(-0.25, -1.0) == "W000.25_S01.00"


def test_the_same_layer_gives_the_same_bytes(layer: Path, tmp_path: Path) -> None:
    names = ["parquet", "geojson", "fgb", "pmtiles"]
    for out in ("one", "two"):
        write_sinks(layer, tmp_path / out, names=names, region="towns")
    one, two = (
        {
            f.relative_to(tmp_path / out): f.read_bytes()
            for f in (tmp_path / out).rglob("*.*")
            if f.is_file()
        }
        for out in ("one", "two")
    )
    assert one == two


def test_a_catalogue_leads_from_the_region_to_every_scenes_files(
    layer: Path, tmp_path: Path
) -> None:
    dates = {"a": "2024-02-03T04:05:06Z", "b": None, "c": "2023-01-01T00:00:00Z"}
    items = {key: item(tmp_path / "mapped", key, when) for key, when in dates.items()}
    path = write_sinks(layer, tmp_path / "run", names=["stac"], region="towns", items=items)["stac"]
    collection = pystac.Collection.from_file(path)
    assert sorted(one.id for one in collection.get_items()) == ["a", "b", "c"]
    assert {one.collection_id for one in collection.get_items()} == {"towns"}
    for one in collection.get_items():
        assert Path(one.assets["geoparquet"].get_absolute_href() or "").is_file()
    (interval,) = json.loads(path.read_text())["extent"]["temporal"]["interval"]
    assert interval == ["2023-01-01T00:00:00Z", "2024-02-03T04:05:06Z"]
    assert check_file(path) == []
    (path.parent / "b" / "b.json").unlink()
    assert check_file(path) == ["link item: there is no file ./b/b.json"]


def test_scenes_whose_names_are_paths_or_urls_have_an_item_each(
    layer: Path, tmp_path: Path
) -> None:
    names = ["x/a.tif", "y/a.tif", "https://host/a.tif", "catalog c.json: /a", "../../a", "a"]
    assert len({item_name(name).casefold() for name in names}) == len(names)
    items = {name: item(tmp_path / "mapped", str(at), None) for at, name in enumerate(names)}
    path = write_sinks(layer, tmp_path / "run", names=["stac"], region="towns", items=items)["stac"]
    assert check_file(path) == []
    found = [one.parent.parent for one in path.parent.rglob("*.json") if one != path]
    assert found == [path.parent] * len(names)


def test_an_empty_layer_has_every_form(tmp_path: Path) -> None:
    layer = tmp_path / "layer.parquet"
    build_layer([], previous=None, out=layer, policy="newest")
    names = ["parquet", "geojson", "stac"]
    write_sinks(layer, tmp_path / "out", names=names, region="towns")
    assert check_file(tmp_path / "out" / "footprints.geojson") == []
    assert check_file(tmp_path / "out" / "stac" / "collection.json") == []


def test_what_lies_beyond_web_mercator_is_left_out_of_tiles_alone(tmp_path: Path) -> None:
    folder = tmp_path / "polar"
    far = [
        [box(10, 85.0499, 10.01, 85.0501), box(10, 86, 10.01, 86.001), box(10, 60, 10.01, 60.01)]
    ]
    source = geopandas.GeoDataFrame(
        {
            "id": ["a", "b", "c"],
            "class": "house",
            "confidence": 0.5,
            "area_m2": 1.0,
            "geometry": far[0],
        },
        crs="OGC:CRS84",
    )
    folder.mkdir()
    source.to_parquet(folder / "s.parquet")
    scene = LayerScene(
        key="s", parquet=folder / "s.parquet", coverage=shapely.to_wkb(box(0, 50, 20, 89))
    )
    build_layer([scene], previous=None, out=folder / "layer.parquet", policy="newest")
    names = ["geojson", "pmtiles"]
    written = write_sinks(folder / "layer.parquet", folder, names=names, region="pole")
    assert len(geopandas.read_file(written["geojson"])) == 3
    assert check_file(written["pmtiles"]) == []


def test_sinks_that_are_none_and_items_that_are_none_are_refused(
    layer: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"'FGB' is none of .*stac; write 'fgb'"):
        write_sinks(layer, tmp_path / "out", names=["FGB"], region="towns")
    assert not (tmp_path / "out").exists()
    broken = tmp_path / "item.json"
    broken.write_text("{}")
    with pytest.raises(ExportError, match="is no item of a mapped scene"):
        write_sinks(layer, tmp_path, names=["stac"], region="towns", items={"a": broken})


def test_a_database_has_a_type_for_every_column() -> None:
    assert table_of("towns", SCHEMA)
