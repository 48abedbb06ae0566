"""FlatGeobuf, GeoPackage and PMTiles: what was given reads back, anywhere on the Earth."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import geopandas
import numpy as np
import pyarrow as pa
import pytest
import shapely
from geopandas.testing import assert_geodataframe_equal
from pyproj import CRS
from shapely.geometry import Polygon

from pipeline.core.georef import Georef
from pipeline.core.polygons.footprints import Footprints
from pipeline.errors import ExportError
from pipeline.gdal.vector_guard import pyogrio
from pipeline.outputs.provenance import Provenance
from pipeline.outputs.vectors.flatgeobuf import flatgeobuf_layer
from pipeline.outputs.vectors.formats import FORMATS, FormatName, file_name, writer
from pipeline.outputs.vectors.geopackage import geopackage_layer
from pipeline.outputs.vectors.pmtiles import pmtiles_layer
from pipeline.outputs.vectors.pmtiles_header import HEADER, PMTilesHeader
from pipeline.outputs.vectors.style import polygon_style
from pipeline.validation.validate import check_file

Make = Callable[..., Footprints]
Where = Callable[..., Provenance]
OGR: tuple[FormatName, ...] = ("fgb", "gpkg", "pmtiles")


def by_id(path: Path) -> geopandas.GeoDataFrame:
    """Return the polygons of a file in the order of their ids."""
    if path.suffix == ".parquet":
        frame = geopandas.read_parquet(path)
    else:
        frame = geopandas.read_file(path, layer="made")
    parts, owner = shapely.get_parts(frame.geometry.to_numpy(), return_index=True)
    frame["geometry"] = shapely.multipolygons(parts, indices=owner)
    return frame.set_geometry("geometry").sort_values("id").reset_index(drop=True)


@pytest.mark.parametrize("name", ["fgb", "gpkg"])
def test_every_field_and_corner_reads_back_as_from_geoparquet(
    footprints: Make, provenance: Where, georef: Georef, tmp_path: Path, name: FormatName
) -> None:
    for one in ("parquet", name):
        writer(one)(tmp_path / file_name(one), [footprints(5)], provenance(georef))
    assert check_file(tmp_path / file_name(name)) == []
    expected, found = (by_id(tmp_path / file_name(one)) for one in ("parquet", name))
    assert found.crs is not None
    assert found.crs.to_authority() == expected.crs.to_authority()
    found = found.set_crs(expected.crs, allow_override=True)
    found["datetime"] = found["datetime"].astype(expected["datetime"].dtype)
    assert list(found.columns) == list(expected.columns)
    assert_geodataframe_equal(found, expected, check_dtype=False)


def test_tiles_hold_every_polygon_on_the_map_and_none_beyond_its_end(
    footprints: Make, provenance: Where, georef: Georef, tmp_path: Path
) -> None:
    path = tmp_path / "polygons.pmtiles"
    batch = footprints(5)
    written = writer("pmtiles")(path, [batch], provenance(georef))
    assert check_file(path) == []
    assert written.features + written.dropped == len(batch)
    polar = "Antarctic" in georef.crs.name
    assert written.features == (0 if polar else len(batch))
    if not polar:
        tiles = pyogrio().read_dataframe(path, use_arrow=False)
        assert len(set(tiles["id"])) == len(batch)
        assert set(tiles.columns) == {"mvt_id", "id", "class", "confidence", "geometry"}


@pytest.mark.slow
def test_crowded_tiles_are_coarser_and_the_last_zoom_still_holds_every_polygon(
    tmp_path: Path,
) -> None:
    count = 16_000
    corner = np.stack(np.divmod(np.arange(count), 127), axis=1) * 1.5e-4
    turn = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    ring = np.column_stack([np.cos(turn), np.sin(turn)]) * 6e-5
    schema = pa.schema([pa.field("id", pa.string()), pa.field("geometry", pa.binary())])
    rows = pa.record_batch(
        {
            "id": [f"{at * 2654435761 % 2**32:08x}" for at in range(count)],
            "geometry": shapely.to_wkb(np.asarray(shapely.polygons(corner[:, None] + ring))),
        },
        schema=schema,
    )
    path = tmp_path / "t.pmtiles"
    pmtiles_layer(path, [rows], schema=schema, title="t", about="a town")
    assert check_file(path) == []
    found = {
        zoom: set(pyogrio().read_dataframe(path, columns=["id"], ZOOM_LEVEL=str(zoom))["id"])
        for zoom in (10, 15)
    }
    assert 0 < len(found[10]) < len(found[15]) == count


@pytest.mark.parametrize("name", FORMATS)
def test_no_polygons_make_a_sound_file(
    provenance: Where, utm: Georef, tmp_path: Path, name: FormatName
) -> None:
    path = tmp_path / file_name(name)
    assert writer(name)(path, [], provenance(utm)).features == 0
    assert check_file(path) == []


@pytest.mark.parametrize("name", FORMATS)
def test_a_scene_without_a_place_is_refused(
    provenance: Where, footprints: Make, tmp_path: Path, name: FormatName
) -> None:
    with pytest.raises(ExportError, match="has no CRS; write its polygons as COCO"):
        writer(name)(tmp_path / file_name(name), [footprints(1)], provenance(None))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", FORMATS)
def test_batches_do_not_change_the_bytes(
    footprints: Make, provenance: Where, utm: Georef, tmp_path: Path, name: FormatName
) -> None:
    batch = footprints(1)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole, pieces = (tmp_path / folder / file_name(name) for folder in "ab")
    writer(name)(whole, [batch], provenance(utm))
    cut = (batch.take(slice(at, at + 7)) for at in range(0, len(batch), 7))
    writer(name)(pieces, cut, provenance(utm))
    assert whole.read_bytes() == pieces.read_bytes()


@pytest.mark.parametrize("name", OGR)
def test_an_error_among_the_polygons_comes_out_as_it_is(
    footprints: Make, provenance: Where, utm: Georef, tmp_path: Path, name: FormatName
) -> None:
    def broken() -> Iterator[Footprints]:
        yield footprints(1)
        raise ExportError("the store cannot be read")

    with pytest.raises(ExportError, match=r"^the store cannot be read$"):
        writer(name)(tmp_path / file_name(name), broken(), provenance(utm))
    assert list(tmp_path.iterdir()) == []


WRITE = """
import sys
from pathlib import Path
from typing import Any
import numpy as np, shapely
from pyproj import CRS
from pipeline.core.georef import Georef
from pipeline.outputs.vectors.formats import FORMATS, file_name, writer
from tests.outputs.conftest import make_footprints, make_provenance

grid = Georef(crs_wkt=CRS("EPSG:32645").to_wkt(), transform=(0.3, 0.0, 3e5, 0.0, -0.3, 3e6))
for name in FORMATS:
    path = Path(sys.argv[1]) / file_name(name)
    writer(name)(path, [make_footprints(7)], make_provenance(grid))
"""


def written_elsewhere(folder: Path, *, clock: str, zone: str, seed: str) -> dict[str, bytes]:
    """Return every format as another process writes it, its clock moved where that can be."""
    folder.mkdir()
    moved = ["faketime", clock] if shutil.which("faketime") else []
    root = Path(__file__).parents[2]
    ran = subprocess.run(
        [*moved, sys.executable, "-c", WRITE, str(folder)],
        cwd=folder,
        env=os.environ | {"TZ": zone, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_neither_clock_nor_time_zone_nor_process_stands_in_the_bytes(tmp_path: Path) -> None:
    here = written_elsewhere(
        tmp_path / "here", clock="2024-02-28 23:59:58", zone="Asia/Kathmandu", seed="1"
    )
    there = written_elsewhere(
        tmp_path / "there", clock="2031-07-01 03:00:00", zone="America/Lima", seed="2"
    )
    assert set(here) == {file_name(name) for name in FORMATS}
    assert [name for name in here if here[name] != there[name]] == []


def test_qgis_finds_the_style_of_the_layer(
    footprints: Make, provenance: Where, utm: Georef, tmp_path: Path
) -> None:
    path = tmp_path / "polygons.gpkg"
    writer("gpkg")(path, [footprints(1)], provenance(utm))
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute(
            "SELECT s.f_table_name, s.f_geometry_column, s.useAsDefault, s.styleQML"
            " FROM layer_styles s JOIN gpkg_geometry_columns g"
            " ON g.table_name = s.f_table_name AND g.column_name = s.f_geometry_column"
        ).fetchall()
    ((layer, column, default, style),) = rows
    assert (layer, column, default) == ("made", "geom", 1)
    root = ElementTree.fromstring(style)
    assert [entry.get("value") for entry in root.iter("category")] == [
        "building",
        'salt "x" 100%',
    ]
    symbols = {symbol.get("name") for symbol in root.iter("symbol")}
    assert {entry.get("symbol") for entry in root.iter("category")} == symbols


@pytest.mark.parametrize("scene", ["banepa_west", "Straße-7.b", "gpkg_contents", "layer_styles"])
def test_layers_are_named_for_the_scene(
    footprints: Make, provenance: Where, utm: Georef, tmp_path: Path, scene: str
) -> None:
    made = replace(provenance(utm), scene=scene)
    expected = f"scene_{scene}" if scene in ("gpkg_contents", "layer_styles") else scene
    for name in ("geojson", *OGR):
        for batches in ([footprints(1)], []):
            path = tmp_path / file_name(name)
            writer(name)(path, batches, made)
            assert check_file(path) == []
            if name != "pmtiles":
                layers = [str(layer) for layer, kind in pyogrio().list_layers(path) if kind]
                assert layers == [expected]
                continue
            _, metadata = pmtiles_parts(path)
            assert [one["id"] for one in metadata["vector_layers"]] == [expected]
            assert metadata["name"] == scene


def pmtiles_parts(path: Path) -> tuple[PMTilesHeader, Any]:
    """Return header and metadata of an archive."""
    raw = path.read_bytes()
    header = PMTilesHeader(*HEADER.unpack(raw[: HEADER.size]))
    packed = raw[header.metadata : header.metadata + header.metadata_length]
    return header, json.loads(gzip.decompress(packed))


@pytest.mark.parametrize("name", ["fgb", "gpkg"])
def test_a_box_reads_what_lies_in_it(
    footprints: Make, provenance: Where, utm: Georef, tmp_path: Path, name: FormatName
) -> None:
    path = tmp_path / file_name(name)
    writer(name)(path, [footprints(2)], provenance(utm))
    whole = geopandas.read_file(path, layer="made")
    west, south, east, north = whole.total_bounds
    box = (west, south, (west + east) / 2, (south + north) / 2)
    some = geopandas.read_file(path, layer="made", bbox=box)
    assert 0 < len(some) < len(whole)
    assert set(some["id"]) == set(whole[whole.intersects(shapely.box(*box))]["id"])


def test_layers_of_any_columns_are_written_too(tmp_path: Path) -> None:
    schema = pa.schema(
        [
            pa.field("building_id", pa.string()),
            pa.field("n_obs", pa.int32()),
            pa.field("geometry", pa.binary()),
        ]
    )
    shapes = [
        shapely.box(1, 1, 1.01, 1.01),
        shapely.MultiPolygon([shapely.box(1.1, 1, 1.11, 1.01)]),
    ]
    rows = pa.record_batch(
        {"building_id": ["a", "b"], "n_obs": [1, 2], "geometry": shapely.to_wkb(shapes)},
        schema=schema,
    )
    lonlat = CRS("OGC:CRS84").to_wkt()
    style = polygon_style(())
    flatgeobuf_layer(tmp_path / "r.fgb", [rows], schema=schema, crs=lonlat, name="r")
    geopackage_layer(tmp_path / "r.gpkg", [rows], schema=schema, crs=lonlat, name="r", style=style)
    pmtiles_layer(tmp_path / "r.pmtiles", [rows], schema=schema, title="r", about="a region")
    for path in tmp_path.iterdir():
        assert check_file(path) == [], path.name
    frame = geopandas.read_file(tmp_path / "r.gpkg", layer="r")
    assert dict(zip(frame["building_id"], frame["n_obs"], strict=True)) == {"a": 1, "b": 2}


def _cut(path: Path, share: float) -> None:
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * share)])


@pytest.fixture
def layer(
    request: pytest.FixtureRequest,
    footprints: Make,
    provenance: Where,
    utm: Georef,
    tmp_path: Path,
) -> Path:
    """A sound file of the format that is asked for."""
    name: FormatName = request.param
    path = tmp_path / file_name(name)
    writer(name)(path, [footprints(1, count=200)], provenance(utm))
    return path


@pytest.mark.parametrize("layer", OGR, indirect=True)
@pytest.mark.parametrize("share", [0.0, 0.0005, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.9999])
def test_a_file_cut_anywhere_is_noticed(layer: Path, share: float) -> None:
    _cut(layer, share)
    assert check_file(layer) != []


@pytest.mark.parametrize("layer", OGR, indirect=True)
def test_another_files_bytes_are_noticed(layer: Path) -> None:
    layer.write_bytes(b'<OGRVRTDataSource><OGRVRTLayer name="x"/></OGRVRTDataSource>' * 40)
    (line,) = check_file(layer)
    assert line.startswith("not readable as ")


GPKG_FAULTS = [
    ("PRAGMA application_id = 1", "application_id is 0x1"),
    ("PRAGMA user_version = 3", "user_version is 3"),
    ("DROP TABLE gpkg_extensions", "no table gpkg_extensions"),
    ("DELETE FROM gpkg_extensions", "no spatial index"),
    ("DELETE FROM layer_styles", "0 default styles"),
    ("DROP TABLE layer_styles", "0 default styles"),
    ("UPDATE layer_styles SET styleQML = '<qgis>'", "is no QML"),
    ("UPDATE gpkg_contents SET max_x = max_x + 1 WHERE min_x > 0", "extent of layer made"),
    ("DELETE FROM gpkg_contents WHERE data_type = 'features'", "no layer of features"),
    ("DELETE FROM gpkg_geometry_columns", "gpkg_geometry_columns does not know"),
    ("UPDATE gpkg_geometry_columns SET srs_id = 4326", "has srs_id 4326, and 32645"),
    ("UPDATE gpkg_geometry_columns SET geometry_type_name = 'POLYGON'", "another type"),
    ("UPDATE gpkg_geometry_columns SET geometry_type_name = 'POINT'", "declared as POINT"),
    ("DELETE FROM gpkg_spatial_ref_sys WHERE srs_id = 0", "lacks -1, 0 or 4326"),
    ("UPDATE gpkg_spatial_ref_sys SET definition = '?' WHERE srs_id = 32645", "is no WKT"),
    ("DELETE FROM rtree_made_geom WHERE id = 5", "spatial index"),
    ("UPDATE rtree_made_geom SET maxx = minx WHERE id = 5", "does not cover it"),
    ("UPDATE made SET geom = x'00' WHERE fid = 5", "no GeoPackage header"),
    ("UPDATE made SET geom = substr(geom, 1, 60) WHERE fid = 5", "not WKB"),
    ("DELETE FROM gpkg_spatial_ref_sys WHERE srs_id = 32645", "does not know srs_id 32645"),
]


@pytest.mark.parametrize("layer", ["gpkg"], indirect=True)
@pytest.mark.parametrize(("statement", "told"), GPKG_FAULTS)
def test_every_rule_of_a_geopackage_that_is_broken_is_told(
    layer: Path, statement: str, told: str
) -> None:
    with closing(sqlite3.connect(layer, isolation_level=None)) as database:
        # GDAL's triggers call functions that only GDAL has.
        for (name,) in database.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall():
            database.execute(f'DROP TRIGGER "{name}"')
        database.execute("PRAGMA foreign_keys = OFF")
        database.execute(statement)
    assert any(told in line for line in check_file(layer)), check_file(layer)


def _rows(shape: Polygon) -> tuple[pa.Schema, list[pa.RecordBatch]]:
    schema = pa.schema([pa.field("id", pa.string()), pa.field("geometry", pa.binary())])
    batch = pa.record_batch({"id": ["a"], "geometry": [shapely.to_wkb(shape)]}, schema=schema)
    return schema, [batch]


WRONG = {
    "not a valid geometry": Polygon([(0, 0), (2, 2), (2, 0), (0, 2)]),
    "outer ring that runs clockwise": Polygon([(0, 0), (0, 2), (2, 2), (2, 0)]),
    "hole that runs counter-clockwise": Polygon(
        [(0, 0), (9, 0), (9, 9), (0, 9)], [[(2, 2), (4, 2), (4, 4), (2, 4)]]
    ),
}


@pytest.mark.parametrize("told", WRONG)
@pytest.mark.parametrize("suffix", ["fgb", "gpkg"])
def test_wrong_polygons_are_told(tmp_path: Path, told: str, suffix: str) -> None:
    schema, rows = _rows(WRONG[told])
    path = tmp_path / f"x.{suffix}"
    crs = CRS("EPSG:32645").to_wkt()
    if suffix == "fgb":
        flatgeobuf_layer(path, rows, schema=schema, crs=crs, name="x")
    else:
        geopackage_layer(path, rows, schema=schema, crs=crs, name="x", style=polygon_style(()))
    assert any(told in line for line in check_file(path)), check_file(path)


@pytest.mark.parametrize("layer", ["fgb"], indirect=True)
def test_a_flatgeobuf_index_that_lies_is_told(layer: Path) -> None:
    raw = bytearray(layer.read_bytes())
    count = len(geopandas.read_file(layer))
    header = 12 + int.from_bytes(raw[8:12], "little")
    nodes = count + -(-count // 16) + (1 if count > 16 else 0)
    first_leaf = header + (nodes - count) * 40
    moved = np.frombuffer(bytes(raw[first_leaf : first_leaf + 8]), "<f8") + 1.0
    raw[first_leaf : first_leaf + 8] = moved.tobytes()
    layer.write_bytes(raw)
    assert check_file(layer) == [
        "has a box in the index that does not cover it (1x, first in feature 0)"
    ]
    raw[first_leaf + 32] ^= 1
    layer.write_bytes(raw)
    assert check_file(layer) == ["does not begin where the index says (1x, first in feature 0)"]


def test_a_flatgeobuf_without_an_index_or_a_place_is_told(tmp_path: Path) -> None:
    shape = geopandas.GeoDataFrame({"id": ["a"]}, geometry=[shapely.box(0, 0, 1, 1)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is no reference system
        pyogrio().write_dataframe(shape, tmp_path / "x.fgb", SPATIAL_INDEX="NO")
    assert check_file(tmp_path / "x.fgb") == [
        "crs is missing: the file does not state its coordinate reference system",
        "there is no spatial index",
    ]


@pytest.mark.parametrize("layer", ["pmtiles"], indirect=True)
@pytest.mark.parametrize(
    ("at", "value", "told"),
    [
        (7, b"\x02", "of version 2, not 3"),
        (97, b"\x01", "compressed with gzip"),
        (99, b"\x02", "compressed with gzip"),
        (100, b"\x10", "zooms 16 to 15"),
        (101, b"\x0c", "no zoom that the header tells of"),
        (72, b"\x01\x00", "addressed tiles"),
        (80, b"\x01\x00", "tile entries"),
        (88, b"\x01\x00", "tile contents"),
        (56, b"\xff\xff\xff\xff", "within its tiles"),
        (106, b"\x00\x00\x00\x80", "do not lie on the Earth"),
    ],
)
def test_a_pmtiles_header_that_lies_is_told(layer: Path, at: int, value: bytes, told: str) -> None:
    raw = bytearray(layer.read_bytes())
    raw[at : at + len(value)] = value
    layer.write_bytes(raw)
    assert any(told in line for line in check_file(layer)), check_file(layer)


@pytest.mark.parametrize("layer", ["pmtiles"], indirect=True)
def test_a_flipped_bit_in_a_tile_is_told(layer: Path) -> None:
    raw = bytearray(layer.read_bytes())
    start = int.from_bytes(raw[56:64], "little")
    for at in range(start + 12, len(raw), len(raw) // 10):
        raw[at] ^= 4
        layer.write_bytes(raw)
        assert check_file(layer) != [], at
        raw[at] ^= 4
