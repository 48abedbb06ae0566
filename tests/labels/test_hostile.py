"""Vector files that would reach elsewhere, never end or explode: read as data, or refused."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import struct
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from pipeline.errors import ConfigError
from pipeline.gdal.child import ChildMemoryError, call_in_child
from pipeline.labels import read_vectors as reading
from pipeline.labels.layers import LayerChoice
from pipeline.labels.limits import Limits
from pipeline.labels.read import read_area, read_objects
from pipeline.labels.read_vectors import read_vectors

BOX = shapely.box(15, 49, 15.1, 49.1)
FRAME = geopandas.GeoDataFrame({"class": ["a"]}, geometry=[BOX], crs=4326)
SMALL = Limits(memory_bytes=40_000_000)  # 40,000 features, 500,000 corners, 20,000 in one
RECURSIVE = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c)"
LISTED = (
    "INSERT INTO gpkg_contents(table_name, data_type, identifier, srs_id) "
    "VALUES('{0}', 'features', '{0}', 4326);"
    "INSERT INTO gpkg_geometry_columns VALUES('{0}', 'geom', 'POLYGON', 4326, 0, 0);"
)
INSTEAD = (
    "UPDATE gpkg_contents SET table_name = '{0}'; "
    "UPDATE gpkg_geometry_columns SET table_name = '{0}';"
)

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def server() -> Iterator[str]:
    """Lend the address of a server that nobody may call."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.settimeout(0)
        with pytest.raises(BlockingIOError):
            listening.accept()


def text(path: Path, content: str) -> Path:
    path.write_text(content)
    return path


def package(path: Path, *scripts: str) -> Path:
    FRAME.to_file(path, layer="houses")
    with closing(sqlite3.connect(path)) as database:
        for script in scripts:
            database.executescript(script)
        database.commit()
    return path


@pytest.mark.parametrize(
    "name",
    [
        "/vsicurl/http://127.0.0.1:9/a.geojson",
        "/vsizip//tmp/a.zip/a.shp",
        "/vsistdin/",
        "http://127.0.0.1:9/a.geojson",
        "s3://bucket/a.parquet",
        "GPKG:/tmp/a.gpkg:houses",
        "<OGRVRTDataSource/>",
        '{"type": "gdal_streamed_alg"}',
    ],
)
def test_names_of_no_local_file_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="the name of no local file; fetch it"):
        read_objects(Path(name))


@pytest.mark.parametrize("suffix", ["geojson", "gpkg", "fgb", "shp", "kml", "gml", "parquet"])
def test_documents_that_refer_elsewhere_are_refused_under_any_name(
    tmp_path: Path, server: str, suffix: str
) -> None:
    other = text(tmp_path / "other.geojson", FRAME.to_json())
    layer = f'<OGRVRTLayer name="other"><SrcDataSource>{other}</SrcDataSource></OGRVRTLayer>'
    documents = [
        f"<OGRVRTDataSource>{layer}</OGRVRTDataSource>",
        f"\n<!-- <kml> --><OGRVRTDataSource>{layer}</OGRVRTDataSource>",
        f"<OGRWFSDataSource><URL>{server}/</URL></OGRWFSDataSource>",
        f'<WMS_Capabilities><kml/><xlink:href="{server}"/></WMS_Capabilities>',
        f"<kml><NetworkLink><Link><href>{server}/a.kml</href></Link></NetworkLink></kml>",
        f'<k:kml xmlns:k="http://www.opengis.net/kml/2.2"><k:NetworkLink>{server}</k:NetworkLink>'
        "</k:kml>",
        '<?xml version="1.0" encoding="UTF-7"?><kml>+ADwAIQ-ENTITY a SYSTEM "/etc/passwd"</kml>',
        json.dumps(
            {
                "type": "gdal_streamed_alg",
                "command_line": f"gdal vector pipeline ! read {other} ! limit 1",
            }
        ),
        json.dumps({"type": "gdal_virtual_dataset", "source": f"/vsicurl/{server}/a"}),
        json.dumps({"type": "Topology", "objects": {}, "arcs": []}),
        json.dumps({"geometryType": "esriGeometryPolygon", "features": [{"geometry": {}}]}),
    ]
    path = tmp_path / f"labels.{suffix}"
    for document in documents:
        with pytest.raises(ConfigError, match=rf"labels\.{suffix}: .*; "):
            read_objects(text(path, document))


@pytest.mark.parametrize(
    ("scripts", "says"),
    [
        (
            [
                f"CREATE VIEW v AS {RECURSIVE} SELECT n AS fid, n AS geom FROM c;",
                "DROP TABLE houses; DELETE FROM gpkg_contents;DELETE FROM gpkg_geometry_columns;",
                LISTED.format("v"),
            ],
            "layer 'v' is a view",
        ),
        (
            ["ALTER TABLE houses RENAME TO b; CREATE VIEW houses AS SELECT * FROM b"],
            "layer 'houses' is a view",
        ),
        (["CREATE VIRTUAL TABLE g USING fts5(geom);", INSTEAD.format("g")], "virtual table"),
        (
            [
                "ALTER TABLE gpkg_contents RENAME TO x; CREATE VIEW gpkg_contents AS "
                f"{RECURSIVE} SELECT x.* FROM x, c"
            ],
            "gpkg_contents is no table",
        ),
        (
            [
                "ALTER TABLE gpkg_spatial_ref_sys RENAME TO x; CREATE VIEW gpkg_spatial_ref_sys "
                f"AS {RECURSIVE} SELECT x.* FROM x, c"
            ],
            "gpkg_spatial_ref_sys is no table",
        ),
        (
            [
                "CREATE TABLE g(fid INTEGER PRIMARY KEY, x, geom AS (zeroblob(900000000)));"
                "INSERT INTO g(x) VALUES(1);",
                INSTEAD.format("g"),
            ],
            "no stored column geom",
        ),
        (
            [
                "CREATE TABLE g(fid INTEGER PRIMARY KEY, geom POLYGON);"
                "INSERT INTO g(geom) VALUES(zeroblob(300000000));",
                INSTEAD.format("g"),
            ],
            "too big",
        ),
        (
            [
                "CREATE TABLE g(fid INTEGER PRIMARY KEY, geom TEXT);"
                "INSERT INTO g(geom) VALUES('/etc/passwd');",
                INSTEAD.format("g"),
            ],
            "no geometry of a GeoPackage",
        ),
        (
            [
                f"{RECURSIVE} INSERT INTO gpkg_contents(table_name, data_type, identifier) "
                "SELECT 'a' || n, 'features', 'a' || n FROM c LIMIT 10001"
            ],
            "more than 10,000 layers",
        ),
    ],
    ids=[
        "recursive view",
        "view",
        "virtual",
        "contents",
        "systems",
        "computed",
        "blob",
        "text",
        "layers",
    ],
)
def test_only_plain_tables_of_a_geopackage_are_read(
    tmp_path: Path, scripts: list[str], says: str
) -> None:
    with pytest.raises(ConfigError, match=rf"a\.gpkg: .*{says}.*; "):
        read_area(package(tmp_path / "a.gpkg", *scripts))


def test_a_table_beside_views_triggers_and_computed_columns_is_read(tmp_path: Path) -> None:
    path = package(
        tmp_path / "a.gpkg",
        f"CREATE VIEW v AS {RECURSIVE} SELECT n AS fid, n AS geom FROM c;",
        LISTED.format("v"),
        "CREATE TRIGGER t AFTER INSERT ON houses BEGIN SELECT zeroblob(900000000); END;",
        "ALTER TABLE houses ADD COLUMN label TEXT AS (hex(zeroblob(400000000)));",
    )
    found = read_objects(path)
    assert found.label is not None
    assert found.label.tolist() == ["a"]
    assert found.notes == ("1 view among its layers not read",)
    with pytest.raises(ConfigError, match="layer 'v' is a view"):
        read_objects(path, choice=LayerChoice(name="v"))
    with pytest.raises(ConfigError, match=r"no layer 'w'; its layers are houses"):
        read_objects(path, choice=LayerChoice(name="w"))


def test_changes_that_are_not_in_a_geopackage_yet_are_not_left_out(tmp_path: Path) -> None:
    path = package(tmp_path / "a.gpkg")
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE more(x)")
        database.commit()
        with pytest.raises(ConfigError, match=r"a\.gpkg-wal beside it holds changes"):
            read_objects(path)
    assert len(read_objects(path)) == 1
    hot = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + bytes(504)
    path.with_name("a.gpkg-journal").write_bytes(hot)
    with pytest.raises(ConfigError, match=r"a\.gpkg-journal beside it holds changes"):
        read_objects(path)
    path.with_name("a.gpkg-journal").write_bytes(bytes(512))  # of a change that was finished
    assert len(read_objects(path)) == 1


@pytest.mark.parametrize("name", ["a.gpkg", "a.geojson", "a.shp", "a.fgb", "a.kml"])
def test_a_file_exchanged_after_it_was_opened_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path, other = tmp_path / name, tmp_path / "other" / name
    other.parent.mkdir()
    away = FRAME.set_geometry([shapely.box(1, 1, 2, 2)])
    for frame, place in ((FRAME, path), (away, other)):
        if name == "a.kml":
            points = " ".join(f"{x},{y}" for x, y in frame.geometry[0].exterior.coords)
            place.write_text(
                "<kml><Placemark><Polygon><outerBoundaryIs><LinearRing><coordinates>"
                f"{points}</coordinates></LinearRing></outerBoundaryIs></Polygon></Placemark></kml>"
            )
        else:
            frame.to_file(place)

    def exchange(*arguments: Any, **more: Any) -> Any:
        for one in list(other.parent.iterdir()):
            one.replace(path.with_suffix(one.suffix))
        return call_in_child(*arguments, **more)

    monkeypatch.setattr(reading, "call_in_child", exchange)
    if name == "a.gpkg":  # SQLite goes by paths, and is held to the open file
        with pytest.raises(ConfigError, match=r"a\.gpkg: .*(exchanged|unable to open)"):
            read_objects(path)
    else:
        np.testing.assert_allclose(read_objects(path).polygon[0].bounds, BOX.bounds)
    assert read_vectors(path).geometry[0].bounds == (1, 1, 2, 2)


def test_a_file_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = text(tmp_path / "a.geojson", FRAME.to_json())

    def change(*arguments: Any, **more: Any) -> Any:
        found = call_in_child(*arguments, **more)
        with path.open("a") as file:
            file.write("\n")
        return found

    monkeypatch.setattr(reading, "call_in_child", change)
    with pytest.raises(ConfigError, match="it changed while it was read"):
        read_objects(path)


def _pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def _link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def _patched(offset: int, raw: bytes) -> Callable[[Path], None]:
    def patch(path: Path) -> None:
        content = path.read_bytes()
        path.write_bytes(content[:offset] + raw + content[offset + len(raw) :])

    return patch


@pytest.mark.parametrize(
    ("suffix", "change", "says"),
    [
        (".dbf", _pipe, "no regular file"),
        (".cpg", _pipe, "no regular file"),
        (".dbf", _link, "is a link"),
        (".prj", _link, "is a link"),
        (".dbf", Path.unlink, "not beside it"),
        (".cpg", lambda path: path.write_text("x" * 5000), "5,000 bytes; the limit is 1,024"),
        (".prj", lambda path: path.write_text("GEOGCS[" * 20_000), "the limit is 65,536"),
        (".prj", lambda path: path.write_text("+init=/etc/passwd:x"), "names no CRS"),
        (".prj", lambda path: path.write_text("http://127.0.0.1:9/"), "names no CRS"),
        (".shx", _patched(24, struct.pack(">i", 2**31 - 8)), "cannot be read as shp"),
    ],
)
def test_files_beside_a_shapefile_do_no_harm(
    tmp_path: Path, suffix: str, change: Callable[[Path], None], says: str
) -> None:
    FRAME.to_file(tmp_path / "a.shp")
    change(tmp_path / f"a{suffix}")
    with pytest.raises(ConfigError, match=rf"a\.shp: .*{says}.*; "):
        read_objects(tmp_path / "a.shp")


def test_what_only_speeds_a_shapefile_up_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.shp"
    FRAME.to_file(path)
    os.mkfifo(path.with_suffix(".qix"))
    path.with_suffix(".sbn").symlink_to("/dev/zero")
    _patched(4, struct.pack("<I", 2**31 - 1))(path.with_suffix(".dbf"))  # two billion rows
    assert len(read_objects(path)) == 1


def gml(*, schema: str = "") -> str:
    return (
        '<?xml version="1.0"?><ogr:FeatureCollection xmlns:ogr="http://ogr.maptools.org/" '
        'xmlns:gml="http://www.opengis.net/gml" '
        f'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" {schema}><gml:featureMember>'
        '<ogr:house><ogr:geometryProperty><gml:Polygon srsName="EPSG:4326"><gml:outerBoundaryIs>'
        "<gml:LinearRing><gml:coordinates>15,49 15.1,49 15.1,49.1 15,49</gml:coordinates>"
        "</gml:LinearRing></gml:outerBoundaryIs></gml:Polygon></ogr:geometryProperty></ogr:house>"
        "</gml:featureMember></ogr:FeatureCollection>"
    )


def test_reading_gml_writes_nothing_and_asks_nobody(tmp_path: Path, server: str) -> None:
    victim = tmp_path / "victim"
    folder = tmp_path / "given"
    folder.mkdir()
    plain = text(folder / "plain.gml", gml())
    linked = text(folder / "linked.gml", gml())
    linked.with_suffix(".gfs").symlink_to(victim)
    located = text(
        folder / "located.gml",
        gml(schema=f'xsi:schemaLocation="http://ogr.maptools.org/ {server}/a.xsd"'),
    )
    served = text(
        folder / "served.gml",
        gml(schema=f'xsi:schemaLocation="http://www.opengis.net/wfs {server}/wfs?SERVICE=WFS"'),
    )
    described = text(folder / "described.gml", gml())
    text(folder / "described.xsd", f'<schema><include schemaLocation="{server}/b.xsd"/></schema>')
    before = sorted(one.name for one in folder.iterdir())
    for path in (plain, linked, located, served, described):
        assert len(read_objects(path)) == 1
    assert sorted(one.name for one in folder.iterdir()) == before
    assert not victim.exists()


def parquet(path: Path, table: pa.Table, *, rows: int = 1) -> Path:
    """Write a table ``rows`` times over: where values repeat, it hardly grows."""
    columns = {"geometry": {"encoding": "WKB", "geometry_types": []}}
    geo = json.dumps({"version": "1.0.0", "primary_column": "geometry", "columns": columns})
    with pq.ParquetWriter(path, table.schema, store_schema=False) as file:
        file.write_table(pa.concat_tables([table] * rows))
        file.add_key_value_metadata({"geo": geo})
    return path


def repeated(shape: shapely.Geometry, **more: Any) -> pa.Table:
    return pa.table({"geometry": pa.array([shapely.to_wkb(shape)], pa.binary()), **more})


def test_a_parquet_file_is_refused_by_what_it_decodes_to(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", repeated(BOX), rows=40_001)
    assert path.stat().st_size < 20_000
    with pytest.raises(ConfigError, match=r"40,001 features or more; the limit is 40,000"):
        read_objects(path, limits=SMALL)
    round_ = shapely.Point(0, 0).buffer(1, quad_segs=50)
    path = parquet(tmp_path / "b.parquet", repeated(round_), rows=8000)
    with pytest.raises(ConfigError, match="more than 1,250,000 corners, which is the limit"):
        read_objects(path, limits=Limits(memory_bytes=100_000_000))
    path = parquet(tmp_path / "c.parquet", repeated(BOX, label=["x" * 5000]), rows=15_000)
    assert path.stat().st_size < 20_000
    with pytest.raises(ConfigError, match=r"decodes to 5\d,\d+,\d+ bytes .* is 50,000,000"):
        read_objects(path, limits=Limits(memory_bytes=200_000_000))
    round_ = shapely.Point(0, 0).buffer(1, quad_segs=5001)
    path = parquet(tmp_path / "d.parquet", repeated(round_))
    with pytest.raises(ConfigError, match=r"feature 1 has 20,005 corners; the limit is 20,000"):
        read_vectors(path, limits=SMALL)


def test_nested_columns_of_a_parquet_file_are_not_decoded(tmp_path: Path) -> None:
    many = pa.ListArray.from_arrays(pa.array([0, 30_000_000], pa.int32()), pa.nulls(30_000_000))
    typed = many.cast(pa.list_(pa.int8()))
    path = parquet(tmp_path / "a.parquet", repeated(BOX, label=typed, score=[0.5]))
    found = read_objects(path, limits=SMALL)
    assert found.label is None
    assert found.confidence is not None
    assert found.confidence.tolist() == [0.5]


@pytest.mark.parametrize("place", [0.2, 0.5, 0.8])
def test_a_parquet_footer_that_lies_is_refused_or_read_within_limits(
    tmp_path: Path, place: float
) -> None:
    raw = bytearray(parquet(tmp_path / "a.parquet", repeated(BOX), rows=10).read_bytes())
    footer = struct.unpack("<I", raw[-8:-4])[0]
    raw[int(len(raw) - 8 - footer * place)] ^= 0x7F
    (tmp_path / "b.parquet").write_bytes(raw)
    with suppress(ConfigError):  # which names the file, as `refusal` does
        assert len(read_objects(tmp_path / "b.parquet", limits=SMALL)) == 10


def feature(ring: str) -> str:
    return (
        '{"type":"FeatureCollection","features":[{"type":"Feature","properties":{},"geometry":'
        f'{{"type":"Polygon","coordinates":[[{ring}]]}}}}]}}'
    )


def test_large_geometries_of_text_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    path = text(tmp_path / "a.geojson", feature(",".join(["[1,2]"] * 30_000)))
    with pytest.raises(ConfigError, match=r"feature 1 has 30,000 corners; the limit is 20,000"):
        read_objects(path, limits=SMALL)
    path = text(tmp_path / "b.geojson", feature(",".join(["[1.25,2.25]"] * 200_000)))
    with pytest.raises(ConfigError, match="one value has more than 800,000 characters"):
        read_objects(path, limits=SMALL)
    path = text(tmp_path / "c.geojson", '{"x":"' + "a" * 2_000_000 + '"}')
    with pytest.raises(ConfigError, match="one value has more than 800,000 characters"):
        read_objects(path, limits=SMALL)
    points = " ".join(["15,49 15.1,49 15.1,49.1"] * 10_000) + " 15,49"
    path = text(
        tmp_path / "d.kml",
        "<kml><Placemark><Polygon><outerBoundaryIs><LinearRing><coordinates>"
        f"{points}</coordinates></LinearRing></outerBoundaryIs></Polygon></Placemark></kml>",
    )
    limits = Limits(memory_bytes=50_000_000)
    with pytest.raises(ConfigError, match=r"feature 1 has 30,001 corners; the limit is 25,000"):
        read_objects(path, limits=limits)


def test_a_header_of_flatgeobuf_that_claims_a_quadrillion_features_is_refused(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.fgb"
    many = geopandas.GeoDataFrame(geometry=[BOX] * 300, crs=4326)
    many.to_file(path, driver="FlatGeobuf")
    raw = path.read_bytes()
    place = raw.index(struct.pack("<Q", 300))
    path.write_bytes(raw[:place] + struct.pack("<Q", 10**15) + raw[place + 8 :])
    with pytest.raises(ConfigError, match=r"a\.fgb: .*; "):
        read_objects(path, limits=SMALL)


def coco(path: Path, segmentation: Any, *, height: int = 100, width: int = 100) -> Path:
    image = {"id": 1, "file_name": "a.png", "height": height, "width": width}
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": segmentation}
    return text(path, json.dumps({"images": [image], "annotations": [annotation]}))


@pytest.mark.parametrize(
    ("size", "counts", "says"),
    [
        ((10**6, 10**6), [0, 10**12], r"1000000 x 1000000 pixels; the limit is 17,179,869,184"),
        ((10**5, 10**5), [0, 10**10], r"a mask over 100000 x 100000 pixels; the limit is 2,500,"),
        ((100, 100), "o" * 10**6, "more than 64 bits"),
        ((100, 100), [2**62] * 4 + [10_000], "runs of"),
        ((-100, -100), [10_000], "-100 x -100 pixels"),
    ],
)
def test_masks_are_not_decoded_beyond_a_limit(
    tmp_path: Path, size: tuple[int, int], counts: Any, says: str
) -> None:
    code = {"size": size, "counts": counts}
    path = coco(tmp_path / "a.json", code, height=size[0], width=size[1])
    with pytest.raises(ConfigError, match=rf"a\.json: .*{says}"):
        read_objects(path, limits=SMALL)


def test_a_small_mask_in_a_large_image_is_read(tmp_path: Path) -> None:
    side = 100_000
    before = side * 50_000 + 7
    after = side * side - before - 10 - side
    code = {"size": [side, side], "counts": [before, 10, side - 10, 10, after]}
    found = read_objects(coco(tmp_path / "a.json", code, height=side, width=side), limits=SMALL)
    assert [one.bounds for one in found.polygon] == [(50_000, 7, 50_002, 17)]


def test_a_polygon_whose_repair_never_ends_is_given_up(tmp_path: Path) -> None:
    points = np.random.default_rng(0).random((20_000, 2)).tolist()
    path = text(tmp_path / "a.geojson", feature(json.dumps(points)[1:-1]))
    says = r"a\.geojson: reading it takes more than 1 s, which is the limit; cut it into parts"
    for read in (read_objects, read_area):
        with pytest.raises(ConfigError, match=says):
            read(path, limits=Limits(seconds=1))


def test_a_file_that_takes_too_much_memory_is_blamed_with_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def starve(*_: Any, **__: Any) -> Any:
        raise ChildMemoryError

    monkeypatch.setattr(reading, "call_in_child", starve)
    path = text(tmp_path / "a.geojson", FRAME.to_json())
    with pytest.raises(ConfigError, match=r"a\.geojson: .* 4 GB of memory, which is the limit; "):
        read_objects(path)


def test_attributes_keep_their_values_and_types(tmp_path: Path) -> None:
    values = [1, 1.0, "1", True, None, {"a": [1]}, 10**30, "\ud800"]
    features = [
        {"type": "Feature", "properties": {"kind": one, "n": at}, "geometry": None}
        for at, one in enumerate(values)
    ]
    path = text(
        tmp_path / "a.geojson", json.dumps({"type": "FeatureCollection", "features": features})
    )
    found = read_vectors(path, wanted=("kind", "n", "absent"))
    assert found.columns["kind"] == values
    assert [type(one) for one in found.columns["kind"]] == [type(one) for one in values]
    assert found.columns["n"] == list(range(len(values)))
    assert found.fields == ("kind", "n")
    assert "absent" not in found.columns
