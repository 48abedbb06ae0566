"""Truth as it comes: read, repaired with a count, or refused with a reason."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
from PIL import Image
from pycocotools import mask as rle
from pyproj import CRS
from typer.testing import CliRunner

from pipeline.errors import ConfigError
from pipeline.labels.clean import without_repeats
from pipeline.labels.formats.coco import decoded
from pipeline.labels.layers import LayerChoice
from pipeline.labels.read import read_objects
from pipeline.labels.read_vectors import read_vectors
from pipeline.labels.sniff import sniff

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
ODD = Path(__file__).resolve().parents[2] / "../shared/data/odd"
BOX = shapely.box(15, 49.65, 15.0002, 49.6501)


def rows() -> list[Any]:
    manifest = ODD / "MANIFEST.tsv"
    if not manifest.is_file():
        return [pytest.param({}, marks=pytest.mark.skip(reason="../shared/data/odd is absent"))]
    with manifest.open(encoding="utf-8") as file:
        lines = list(csv.reader(file, delimiter="\t"))
    named = [dict(zip(lines[0], line, strict=False)) for line in lines[1:]]
    return [
        pytest.param(row, id=row["file"]) for row in named if row["file"].startswith("vectors/")
    ]


@pytest.mark.data
@pytest.mark.parametrize("row", rows())
def test_odd_vectors_give_what_is_owed(row: dict[str, str], tmp_path: Path) -> None:
    from pipeline.cli.__main__ import app

    path, owed, out = ODD / row["file"], row["expect"], tmp_path / "out"
    given = ["evaluate", str(ODD / "vectors/ok.geojson"), "--truth", str(path), "--out", str(out)]
    result = CliRunner().invoke(app, given)
    if owed == "reject":
        assert result.exit_code == 2
        (message,) = result.stderr.splitlines()
        assert path.name in message
        assert "; " in message
        assert not out.exists()
        return
    assert result.exit_code == 0, result.stderr
    notes = json.loads((out / "report.json").read_text())["notes"]
    about = [note for note in notes if note.startswith(("truth: ", "no truth"))]
    assert "NaN" not in (out / "report.html").read_text().split('id="data"')[1]
    if owed == "warn":
        assert about
    elif path.name == "empty.geojson":
        assert about == ["truth: there is no polygon in it"]
    else:
        assert about == []
    found = without_repeats(read_objects(path))
    assert shapely.is_valid(found.polygon).all()


def collection(*shapes: Any, **extra: Any) -> dict[str, Any]:
    features = [
        {"type": "Feature", "properties": {}, "geometry": shapely.geometry.mapping(shape)}
        for shape in shapes
    ]
    return {"type": "FeatureCollection", "features": features, **extra}


def written(path: Path, value: Any) -> Path:
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def kml(*shapes: Any) -> str:
    def ring(shape: Any) -> str:
        points = " ".join(f"{x!r},{y!r},0" for x, y in shape.exterior.coords)
        inner = f"<LinearRing><coordinates>{points}</coordinates></LinearRing>"
        return (
            f"<Placemark><Polygon><outerBoundaryIs>{inner}</outerBoundaryIs></Polygon></Placemark>"
        )

    marks = "".join(ring(shape) for shape in shapes)
    head = '<?xml version="1.0"?><kml xmlns="http://www.opengis.net/kml/2.2">'
    return f"{head}<Document>{marks}</Document></kml>"


def test_bowties_are_repaired_and_counted(tmp_path: Path) -> None:
    bowtie = shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
    found = read_objects(written(tmp_path / "a.geojson", collection(bowtie, BOX)))
    assert "1 invalid polygon repaired" in found.notes
    assert len(found) == 3
    assert shapely.area(found.polygon[:2]).sum() == pytest.approx(2)


def test_coordinates_that_are_no_numbers_cost_their_polygon_and_no_other(tmp_path: Path) -> None:
    with np.errstate(invalid="ignore"):
        broken = shapely.Polygon([(15, 49), (15.1, 49), (15.1, np.nan), (15, 49.1), (15, 49)])
    frame = geopandas.GeoDataFrame(geometry=[broken, BOX], crs=4326)
    frame.to_parquet(tmp_path / "a.parquet")
    found = read_objects(tmp_path / "a.parquet")
    assert [one.bounds for one in found.polygon] == [BOX.bounds]
    assert "1 polygon with coordinates that are no numbers made empty" in found.notes


def test_z_multiparts_collections_and_lines_are_told_apart(tmp_path: Path) -> None:
    solid = shapely.force_3d(shapely.box(0, 0, 1, 1), 7.0)
    two = shapely.MultiPolygon([shapely.box(2, 0, 3, 1), shapely.box(5, 0, 6, 1)])
    mixed = shapely.GeometryCollection([shapely.box(8, 0, 9, 1), shapely.Point(8, 0)])
    line = shapely.LineString([(0, 0), (1, 1)])
    path = written(tmp_path / "a.geojson", collection(solid, two, mixed, line))
    found = read_objects(path)
    assert len(found) == 4
    assert not shapely.has_z(found.polygon).any()
    assert "1 point or line left out" in found.notes
    assert "1 polygon of several parts taken apart into 2" in found.notes


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"type": "Topology"}', "not GeoJSON"),
        ('{"a":' * 100_000, "nested"),
        ("<!DOCTYPE html><html></html>", "entities"),
        ("<html></html>", "neither KML nor GML"),
        ("<kml><!ENTITY a 'b'></kml>", "entities"),
        ("<kml/><!--<OGRVRTDataSource>-->", "refers to other files"),
        ("name,lat,lon\n", "no vector format"),
        ("PK\x03\x04", "ZIP"),
        ("[]", "bare JSON array"),
        ("version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (
            '{"images": [{"id": 1, "height": 9, "width": 9}], "annotations": [{"image_id": 1}]}',
            "boxes",
        ),
        ('{"type": "Polygon", "coordinates": [[[1, 2], [null, 3]]]}', "a coordinate is null"),
        ("\x00\x01\x02", "no vector format"),
    ],
)
def test_what_is_no_truth_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        read_objects(written(tmp_path / "truth.geojson", text))


def test_metres_without_a_crs_are_refused_and_with_one_are_read(tmp_path: Path) -> None:
    metres = shapely.box(500000, 5500000, 500020, 5500010)
    with pytest.raises(ConfigError, match="degrees"):
        read_objects(written(tmp_path / "a.geojson", collection(metres)))
    named = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}}
    found = read_objects(written(tmp_path / "b.geojson", collection(metres, crs=named)))
    assert found.crs == CRS.from_epsg(32633)
    linked = {"type": "link", "properties": {"href": "http://example.com/crs"}}
    with pytest.raises(ConfigError, match="link"):
        read_objects(written(tmp_path / "c.geojson", collection(metres, crs=linked)))


def test_lines_of_features_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    feature = json.dumps(collection(BOX)["features"][0])
    assert len(read_objects(written(tmp_path / "a.geojsonl", f"{feature}\n{feature}\n"))) == 2
    (tmp_path / "b.geojson").write_bytes(b"\xef\xbb\xbf" + json.dumps(collection(BOX)).encode())
    assert len(read_objects(tmp_path / "b.geojson")) == 1


@pytest.mark.parametrize("suffix", ["gpkg", "fgb", "shp", "parquet", "kml"])
def test_every_format_gives_the_same_polygons(tmp_path: Path, suffix: str) -> None:
    other = shapely.box(15.001, 49.65, 15.0012, 49.6501)
    frame = geopandas.GeoDataFrame(
        {"class": ["a", "b"], "score": [0.5, 0.75]}, geometry=[BOX, other], crs=4326
    )
    path = tmp_path / f"truth.{suffix}"
    if suffix == "parquet":
        frame.to_parquet(path)
    elif suffix == "kml":
        path.write_text(kml(BOX, other))
    else:
        frame.to_file(path)
    assert sniff(path) == suffix
    found = read_objects(path)
    expected = [BOX.bounds, other.bounds]
    np.testing.assert_allclose(sorted(shape.bounds for shape in found.polygon), expected)
    if suffix != "kml":
        assert found.confidence is not None
        assert sorted(found.confidence) == [0.5, 0.75]
        assert found.label is not None
        assert sorted(found.label) == ["a", "b"]


def test_two_layers_are_asked_about(tmp_path: Path) -> None:
    path = tmp_path / "two.gpkg"
    frame = geopandas.GeoDataFrame(geometry=[BOX], crs=4326)
    frame.to_file(path, layer="houses")
    frame.to_crs(32633).to_file(path, layer="sheds")
    with pytest.raises(ConfigError, match="houses, sheds"):
        read_vectors(path)
    assert read_vectors(path, choice=LayerChoice(name="sheds")).crs == CRS.from_epsg(32633)
    with pytest.raises(ConfigError, match="no layer 'barns'"):
        read_vectors(path, choice=LayerChoice(name="barns"))


def test_parquet_and_shapefile_without_a_crs_are_refused(tmp_path: Path) -> None:
    frame = geopandas.GeoDataFrame(geometry=[BOX])
    frame.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(ConfigError, match="CRS"):
        read_objects(tmp_path / "a.parquet")
    frame.set_crs(4326).to_file(tmp_path / "b.shp")
    (tmp_path / "b.prj").unlink()
    with pytest.raises(ConfigError, match=r"\.prj is not beside it"):
        read_objects(tmp_path / "b.shp")


def test_the_guard_on_vectors_leaves_rasterio_alone() -> None:
    script = (
        "from pipeline.gdal.vector_guard import pyogrio\n"
        "import os, rasterio\n"
        "names = pyogrio().list_drivers()\n"
        "assert 'OGR_VRT' not in names and 'GPKG' in names and 'GeoJSON' in names\n"
        "assert 'GDAL_SKIP' not in os.environ\n"
        "with rasterio.Env() as env: assert 'GTiff' in env.drivers()\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


@pytest.mark.parametrize("seed", range(5))
def test_run_length_codes_are_read_as_pycocotools_reads_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = (rng.random((37, 23)) < rng.random()).astype(np.uint8)
    code = rle.encode(np.asfortranarray(mask))
    compressed = {"size": code["size"], "counts": code["counts"].decode()}
    np.testing.assert_array_equal(decoded(compressed), mask)
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(flat, prepend=0))
    counts = np.diff(np.concatenate([[0], edges, [len(flat)]])).tolist()
    np.testing.assert_array_equal(decoded({"size": [37, 23], "counts": counts}), mask)


def test_coco_masks_holes_crowds_and_images(tmp_path: Path) -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[2:10, 3:12] = 1
    mask[4:6, 5:7] = 0
    code = rle.encode(np.asfortranarray(mask))
    code["counts"] = code["counts"].decode()
    value = {
        "images": [
            {"id": 1, "file_name": "a.png", "height": 20, "width": 30},
            {"id": 2, "file_name": "b.png", "height": 20, "width": 30},
        ],
        "categories": [{"id": 7, "name": "salt"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 7, "segmentation": code, "iscrowd": 0},
            {"id": 2, "image_id": 1, "category_id": 7, "segmentation": code, "iscrowd": 1},
            {"id": 3, "image_id": 2, "category_id": 7, "segmentation": [[0, 0, 4, 0, 4, 4, 0, 4]]},
        ],
    }
    path = written(tmp_path / "truth.json", value)
    found = read_objects(path, image="a")
    assert [shape.area for shape in found.polygon] == [72 - 4]
    assert found.label is not None
    assert found.label.tolist() == ["salt"]
    assert found.notes == ("1 crowd annotation left out",)
    assert [shape.area for shape in read_objects(path, image="b").polygon] == [16]
    with pytest.raises(ConfigError, match="none of its 2 images"):
        read_objects(path, image="c")


def test_masks_of_0_and_255_have_one_class(tmp_path: Path) -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[2:10, 3:12] = 255
    Image.fromarray(mask).save(tmp_path / "a.png")
    found = read_objects(tmp_path / "a.png")
    assert [shape.bounds for shape in found.polygon] == [(3, 2, 12, 10)]
    mask[15:, :] = 1
    Image.fromarray(mask).save(tmp_path / "b.png")
    found = read_objects(tmp_path / "b.png")
    assert [shape.bounds for shape in found.polygon] == [(0, 15, 30, 20)]
    assert found.unknown is not None
    assert found.unknown[0].bounds == (3, 2, 12, 10)


def square(**members: object) -> dict[str, Any]:
    """Return a collection of one square, with further members."""
    feature = {"type": "Feature", "properties": {}, "geometry": shapely.geometry.mapping(BOX)}
    return {"type": "FeatureCollection", "features": [feature], **members}


@pytest.mark.parametrize(
    ("crs", "says"),
    [
        ("IAU_2015:30100", "not of the Earth"),
        ("EPSG:4978", "geocentric, and no map"),
        ("EPSG:5773", "of heights alone"),
        ('LOCAL_CS["site",UNIT["metre",1]]', "is local"),
    ],
)
def test_a_reference_system_that_leads_nowhere_on_the_earth_is_refused(
    tmp_path: Path, crs: str, says: str
) -> None:
    member = {"type": "name", "properties": {"name": crs}}
    (tmp_path / "a.geojson").write_text(json.dumps(square(crs=member)))
    with pytest.raises(ConfigError, match=f"{says}.*; reproject it to EPSG:4326"):
        read_objects(tmp_path / "a.geojson")


def test_an_undefined_reference_system_of_a_geopackage_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.gpkg"
    geopandas.GeoDataFrame(geometry=[BOX], crs=4326).to_file(path)
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.execute("UPDATE gpkg_geometry_columns SET srs_id = -1")
        file.commit()
    with pytest.raises(ConfigError, match="is local"):
        read_objects(path)


def test_numbers_of_thousands_of_digits_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps(square()).replace("15.0", "9" * 5000))
    with pytest.raises(ConfigError, match=r"no usable JSON .*4300 digits.*; export it again"):
        read_objects(path)
    path.write_text(json.dumps(square()).replace("15.0,", "1e308,"))
    with pytest.raises(ConfigError, match=r"a coordinate is 1e\+308, 49"):
        read_objects(path)


def test_several_collections_in_one_file_are_not_taken_for_features(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    path.write_text("\n".join([json.dumps(square())] * 2))
    with pytest.raises(ConfigError, match=r"several collections; write them as one"):
        read_objects(path)


@pytest.mark.timeout(30)
def test_pipes_are_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    os.mkfifo(path)
    with pytest.raises(ConfigError, match="it is no regular file; name a file"):
        read_objects(path)


@pytest.mark.timeout(30)
def test_nor_beside_a_shapefile(tmp_path: Path) -> None:
    path = tmp_path / "a[1].shp"
    geopandas.GeoDataFrame(geometry=[BOX], crs=4326).to_file(path)
    assert len(read_objects(path)) == 1
    path.with_suffix(".shx").unlink()
    os.mkfifo(path.with_suffix(".shx"))
    with pytest.raises(ConfigError, match=r"a\[1\]\.shx beside it is no regular file; remove"):
        read_objects(path)


@pytest.mark.parametrize("step", [360, 90])
def test_a_polygon_around_the_earth_stays_one(tmp_path: Path, step: int) -> None:
    earth = shapely.segmentize(shapely.box(-180, -80, 180, 80), step)
    geopandas.GeoDataFrame(geometry=[earth], crs=4326).to_file(tmp_path / "a.geojson")
    found = read_objects(tmp_path / "a.geojson")
    assert [polygon.bounds for polygon in found.polygon] == [(-180, -80, 180, 80)]
    assert found.notes == ()
