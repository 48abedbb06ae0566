"""The check: what is sound passes, and every rule is broken once and noticed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio
import shapely
import typer
from rasterio.shutil import copy
from typer.testing import CliRunner

from pipeline.cli.check import check
from pipeline.core.georef import Georef
from pipeline.core.polygons.footprints import Footprints
from pipeline.core.window import Window
from pipeline.labels.json_stream import members
from pipeline.outputs.catalogue.stac import write_item
from pipeline.outputs.provenance import Provenance
from pipeline.outputs.rasters.cog import write_cog
from pipeline.outputs.rasters.mosaic import MosaicWriter, Raster
from pipeline.outputs.vectors.coco import write_coco
from pipeline.outputs.vectors.geojson import write_geojson
from pipeline.outputs.vectors.geoparquet import write_geoparquet
from pipeline.validation.validate import check_file

Make = Callable[..., Footprints]
Where = Callable[..., Provenance]
Spoil = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def sound(
    footprints: Make, provenance: Where, utm: Georef, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder of outputs without fault."""
    folder = tmp_path_factory.mktemp("sound")
    where = provenance(utm, height=600, width=700)
    batch = footprints(1, count=30)
    for kind in ("mask", "probability"):
        raster = Raster(kind=kind, bands=("what",), provenance=where)
        with MosaicWriter(folder / "work.tif", raster) as mosaic:
            pixels = np.random.default_rng(0).integers(0, 3, (1, 600, 700)).astype(np.uint8)
            mosaic.write(Window(row=0, col=0, height=600, width=700), pixels)
        write_cog(folder / "work.tif", folder / f"{kind}.tif", raster)
        (folder / "work.tif").unlink()
    write_geojson(folder / "polygons.geojson", [batch], where)
    write_geoparquet(folder / "polygons.parquet", [batch], where)
    write_coco(folder / "polygons.coco.json", [batch], where)
    files = [folder / "mask.tif", folder / "polygons.parquet"]
    write_item(folder / "item.json", files, where, source="made.tif", version="0.1.0")
    return folder


def test_sound_files_pass(sound: Path) -> None:
    assert {path.name: check_file(path) for path in sound.iterdir()} == {
        path.name: [] for path in sound.iterdir()
    }


def _first(value: dict[str, Any]) -> Any:
    return value["features"][0]


def _ring(value: dict[str, Any], which: int = 0) -> Any:
    return _first(value)["geometry"]["coordinates"][which]


def _open(value: dict[str, Any]) -> None:
    _ring(value).append([_ring(value)[0][0] + 1e-5, _ring(value)[0][1]])


def _bow_tie(value: dict[str, Any]) -> None:
    x, y = _ring(value)[0]
    corners = [[x, y], [x + 2e-3, y + 2e-3], [x + 3e-3, y], [x, y + 1e-3], [x, y]]
    _first(value)["geometry"] = {"type": "Polygon", "coordinates": [corners]}


def _flat(value: dict[str, Any]) -> None:
    x, y = _ring(value)[0]
    _first(value)["geometry"]["coordinates"] = [[[x, y], [x + 1, y], [x, y], [x, y]]]


def _over_180(value: dict[str, Any]) -> None:
    square = [[179.0, 0.0], [-179.0, 0.0], [-179.0, 1.0], [179.0, 1.0], [179.0, 0.0]]
    _first(value)["geometry"] = {"type": "Polygon", "coordinates": [square]}


GEOJSON: dict[str, tuple[Spoil, str]] = {
    "crs": (lambda v: v.update(crs={"type": "name"}), "crs member"),
    "type": (lambda v: v.update(type="Features"), "not 'FeatureCollection'"),
    "no features": (lambda v: v.pop("features"), "no features array"),
    "feature type": (lambda v: _first(v).update(type="feature"), "is not a Feature"),
    "feature crs": (lambda v: _first(v).update(crs=None), "has a crs member"),
    "properties": (lambda v: _first(v).pop("properties"), "has no properties"),
    "confidence": (lambda v: _first(v)["properties"].update(confidence=1.5), "confidence"),
    "id": (lambda v: _first(v).update(id=["a"]), "neither text nor number"),
    "ids": (lambda v: _first(v).update(id=v["features"][1]["id"]), "more than once"),
    "no geometry": (lambda v: _first(v).update(geometry=None), "neither Polygon nor"),
    "point": (lambda v: _first(v)["geometry"].update(type="Point"), "neither Polygon nor"),
    "three points": (lambda v: _first(v)["geometry"].update(coordinates=[[[0, 0]] * 3]), "rings"),
    "heights": (lambda v: _ring(v)[1].append(7.0), "no rings of four or more"),
    "text": (lambda v: _ring(v).__setitem__(1, ["1", "2"]), "no rings of four or more"),
    "open": (_open, "not closed"),
    "clockwise": (lambda v: _ring(v).reverse(), "runs clockwise"),
    "hole": (lambda v: _ring(v, 1).reverse(), "runs counter-clockwise"),
    "range": (lambda v: [p.__setitem__(0, p[0] + 100) for p in _ring(v)], "outside -180..180"),
    "decimals": (lambda v: [p.__setitem__(1, p[1] + 3e-8) for p in _ring(v)], "7 decimals"),
    "bow tie": (_bow_tie, "not a valid geometry"),
    "no area": (_flat, "no area"),
    "antimeridian": (_over_180, "crosses the antimeridian"),
}


@pytest.mark.parametrize("fault", GEOJSON)
def test_each_fault_of_geojson_is_noticed(sound: Path, tmp_path: Path, fault: str) -> None:
    spoil, message = GEOJSON[fault]
    value = json.loads((sound / "polygons.geojson").read_text("utf-8"))
    assert len(_first(value)["geometry"]["coordinates"]) == 2, "the first one has a hole"
    spoil(value)
    (tmp_path / "p.geojson").write_text(json.dumps(value), "utf-8")
    assert any(message in line for line in check_file(tmp_path / "p.geojson"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"type":',
        '{"type":"FeatureCollection","features":[]}x',
        '{"a":NaN}',
        '{"a":1,}',
        "{1:2}",
    ],
)
def test_what_is_not_json_is_noticed(tmp_path: Path, text: str) -> None:
    for name in ("p.geojson", "item.json", "p.coco.json"):
        (tmp_path / name).write_text(text)
        assert any("not readable as" in line for line in check_file(tmp_path / name))


def test_a_cut_off_file_is_noticed(sound: Path, tmp_path: Path) -> None:
    for file in sound.iterdir():
        whole = file.read_bytes()
        for keep in (0, 10, len(whole) // 2, len(whole) - 40):
            (tmp_path / file.name).write_bytes(whole[:keep])
            assert check_file(tmp_path / file.name) != [], (file.name, keep)


def test_lines_that_are_no_features_are_noticed(tmp_path: Path) -> None:
    (tmp_path / "p.geojsonl").write_text('{"type":"Feature"}\n')
    assert check_file(tmp_path / "p.geojsonl") != []
    (tmp_path / "log.jsonl").write_text('{"a":1}\n{"a":\n')
    assert check_file(tmp_path / "log.jsonl") == [
        "line 2 is not JSON: " + "Expecting value: line 2 column 1 (char 6)"
    ]


def _spoiled_parquet(
    source: Path,
    path: Path,
    *,
    geo: Callable[[dict[str, Any]], object],
    rows: Callable[[pa.Table], pa.Table],
) -> Path:
    table = pq.read_table(source)
    meta = json.loads(table.schema.metadata[b"geo"])
    geo(meta)
    table = rows(table).replace_schema_metadata({"geo": json.dumps(meta)})
    pq.write_table(table, path)
    return path


def _column(meta: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = meta["columns"]["geometry"]
    return found


GEO: dict[str, tuple[Spoil, str]] = {
    "version": (lambda m: m.update(version="0.4.0"), "not 1.1"),
    "primary": (lambda m: m.update(primary_column="geom"), "primary column"),
    "encoding": (lambda m: _column(m).update(encoding="WKT"), "not 'WKB'"),
    "types": (lambda m: _column(m).update(geometry_types=["MultiPolygon"]), "does not list"),
    "no types": (lambda m: _column(m).pop("geometry_types"), "not a list"),
    "orientation": (lambda m: _column(m).update(orientation="clockwise"), "orientation"),
    "edges": (lambda m: _column(m).update(edges="straight"), "edges"),
    "crs": (lambda m: _column(m).update(crs={"a": 1}), "not PROJJSON"),
    "no crs": (lambda m: _column(m).pop("crs"), "missing or null"),
    "no covering": (lambda m: _column(m).pop("covering"), "no bbox covering"),
    "covering": (
        lambda m: _column(m)["covering"]["bbox"].update(xmin=["bbox", "west"]),
        "covering.bbox.xmin",
    ),
    "covering column": (
        lambda m: _column(m)["covering"].update(
            bbox={c: ["box", c] for c in ("xmin", "ymin", "xmax", "ymax")}
        ),
        "no struct",
    ),
    "bbox": (lambda m: _column(m).update(bbox=[0, 0, 1, 1]), "does not cover its geometries"),
}


@pytest.mark.parametrize("fault", GEO)
def test_each_fault_of_geoparquet_metadata_is_noticed(
    sound: Path, tmp_path: Path, fault: str
) -> None:
    spoil, message = GEO[fault]
    path = _spoiled_parquet(
        sound / "polygons.parquet", tmp_path / "p.parquet", geo=spoil, rows=lambda table: table
    )
    assert any(message in line for line in check_file(path)), check_file(path)


def _with_geometry(table: pa.Table, first: bytes | None) -> pa.Table:
    values = [first, *table.column("geometry").to_pylist()[1:]]
    at = table.schema.get_field_index("geometry")
    return table.set_column(at, "geometry", pa.array(values, pa.binary()))


def _wkb(text: str) -> bytes:
    found: bytes = shapely.to_wkb(shapely.from_wkt(text))
    return found


ROWS: dict[str, tuple[bytes | None, str]] = {
    "missing": (None, "without geometry"),
    "no wkb": (b"abc", "not WKB"),
    "bow tie": (
        _wkb("POLYGON ((3e5 3e6, 300001 3000001, 300001 3e6, 3e5 3000001, 3e5 3e6))"),
        "valid",
    ),
    "clockwise": (_wkb("POLYGON ((3e5 3e6, 3e5 3000001, 300001 3000001, 3e5 3e6))"), "clockwise"),
    "bbox": (_wkb("POLYGON ((0 0, 1 0, 1 1, 0 0))"), "bbox that does not cover"),
    "point": (_wkb("POINT (0 0)"), "neither Polygon nor"),
    "empty": (_wkb("POLYGON EMPTY"), "is empty"),
}


@pytest.mark.parametrize("fault", ROWS)
def test_each_fault_of_geoparquet_rows_is_noticed(sound: Path, tmp_path: Path, fault: str) -> None:
    first, message = ROWS[fault]
    path = _spoiled_parquet(
        sound / "polygons.parquet",
        tmp_path / "p.parquet",
        geo=dict,
        rows=lambda table: _with_geometry(table, first),
    )
    assert any(message in line for line in check_file(path)), check_file(path)


def test_a_parquet_file_without_geo_metadata_is_noticed(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "p.parquet")
    assert check_file(tmp_path / "p.parquet") == ["there is no geo metadata"]


COCO: dict[str, tuple[Spoil, str]] = {
    "image": (lambda a: a.update(image_id=9), "image that is not listed"),
    "category": (lambda a: a.update(category_id=9), "category that is not listed"),
    "id": (lambda a: a.update(id=2), "stands already"),
    "score": (lambda a: a.update(score=2), "score outside"),
    "ring": (lambda a: a["segmentation"][0].append(1.0), "half a point"),
    "bbox": (lambda a: a.update(bbox=[0, 0, 1, 1]), "bbox"),
    "area": (lambda a: a.update(area=a["area"] * 2), "area"),
    "outside": (lambda a: a.update(segmentation=[[-1, 0, 5, 0, 5, 5]]), "outside its image"),
}


@pytest.mark.parametrize("fault", COCO)
def test_each_fault_of_coco_is_noticed(sound: Path, tmp_path: Path, fault: str) -> None:
    spoil, message = COCO[fault]
    value = json.loads((sound / "polygons.coco.json").read_text("utf-8"))
    spoil(value["annotations"][0])
    (tmp_path / "p.coco.json").write_text(json.dumps(value))
    assert any(message in line for line in check_file(tmp_path / "p.coco.json"))


STAC: dict[str, tuple[Spoil, str]] = {
    "id": (lambda i: i.pop("id"), "not a valid STAC item"),
    "datetime": (lambda i: i["properties"].pop("datetime"), "not a valid STAC item"),
    "bbox": (lambda i: i.update(bbox=[0, 0, 1, 1]), "bbox does not cover"),
    "bbox range": (lambda i: i.update(bbox=[0, 0, 190, 90]), "bbox lies outside"),
    "extension": (lambda i: i["stac_extensions"].pop(), "fields raster:"),
    "code": (lambda i: i["properties"].update({"proj:code": "EPSG:1"}), "no reference system"),
    "shape": (lambda i: i["properties"].update({"proj:shape": [0]}), "proj:shape"),
    "transform": (lambda i: i["properties"].update({"proj:transform": [0]}), "proj:transform"),
    "link": (lambda i: i["links"].clear(), "derived_from"),
    "missing": (lambda i: i["assets"]["mask"].update(href="./no.tif"), "there is no file"),
    "size": (lambda i: i["assets"]["mask"].update({"file:size": 1}), "file:size"),
    "checksum": (lambda i: i["assets"]["mask"].update({"file:checksum": "12"}), "checksum"),
    "type": (lambda i: i["assets"]["mask"].update(type="tiff"), "no media type"),
    "roles": (lambda i: i["assets"]["mask"].pop("roles"), "no roles"),
    "colour": (
        lambda i: i["assets"]["mask"]["classification:classes"][1].update(color_hint="red"),
        "not RRGGBB",
    ),
    "values": (
        lambda i: i["assets"]["mask"]["classification:classes"][1].update(value=0),
        "two classes",
    ),
}


@pytest.mark.parametrize("fault", STAC)
def test_each_fault_of_an_item_is_noticed(sound: Path, tmp_path: Path, fault: str) -> None:
    spoil, message = STAC[fault]
    for name in ("mask.tif", "polygons.parquet"):
        shutil.copy(sound / name, tmp_path / name)
    item = json.loads((sound / "item.json").read_text("utf-8"))
    # What raster: tells is told of probability.tif, which is not listed here.
    item["assets"]["mask"]["raster:scale"] = 1.0
    spoil(item)
    (tmp_path / "item.json").write_text(json.dumps(item))
    assert any(message in line for line in check_file(tmp_path / "item.json"))


RASTER: dict[str, tuple[str, dict[str, Any], str]] = {
    "strips": ("mask", {"driver": "GTiff"}, "overviews"),
}


@pytest.mark.parametrize("fault", RASTER)
def test_rasters_of_another_layout_are_noticed(sound: Path, tmp_path: Path, fault: str) -> None:
    kind, settings, message = RASTER[fault]
    copy(sound / f"{kind}.tif", tmp_path / f"{kind}.tif", **settings)
    assert any(message in line for line in check_file(tmp_path / f"{kind}.tif"))


def _cog(path: Path, pixels: np.ndarray, **settings: Any) -> Path:
    work = path.with_name("work.tif")
    profile = {
        "driver": "GTiff",
        "height": 64,
        "width": 64,
        "count": 1,
        "nodata": settings.get("nodata", 255),
    }
    place = {"crs": "EPSG:32645", "transform": rasterio.Affine(1, 0, 3e5, 0, -1, 3e6)}
    dtype = settings.pop("dtype", "uint8")
    with rasterio.open(work, "w", dtype=dtype, **profile, **place) as raster:
        raster.write(pixels.astype(dtype), 1)
        raster.scales = [settings.get("scale", 0.004)]
        raster.offsets = [settings.get("offset", 0.0)]
        if colours := settings.get("colours"):
            raster.write_colormap(1, colours)
        raster.update_tags(CLASS_1="building", AREA_OR_POINT=settings.get("area", "Area"))
    copy(work, path, driver="COG")
    return path


def test_each_fault_of_pixels_is_noticed(tmp_path: Path) -> None:
    ones = np.ones((64, 64))
    red = {0: (255, 255, 255, 255), 1: (255, 0, 0, 255)}
    faults = {
        "not uint8": _cog(tmp_path / "a.tif", ones, dtype="uint16"),
        "scale is 0.01": _cog(tmp_path / "b.tif", ones, scale=0.01),
        "offset is 3": _cog(tmp_path / "c.tif", ones, offset=3.0),
        "above 250: [251]": _cog(tmp_path / "d.tif", ones * 251),
        "no colour table": _cog(tmp_path / "mask_e.tif", ones),
        "no CLASS_n tag names: [2]": _cog(tmp_path / "mask_f.tif", ones * 2, colours=red),
        "colour of the background": _cog(tmp_path / "g.tif", ones, colours={1: (0, 0, 0, 255)}),
        "nodata is 7.0, not 255": _cog(tmp_path / "i.tif", ones, nodata=7),
        "points, not areas": _cog(tmp_path / "h.tif", ones, area="Point"),
    }
    for message, path in faults.items():
        assert any(message in line for line in check_file(path)), (message, check_file(path))
    assert check_file(_cog(tmp_path / "mask_ok.tif", ones, colours=red)) == []


def test_other_files_are_told_apart(tmp_path: Path) -> None:
    assert check_file(tmp_path / "no.tif") == ["there is no such file"]
    (tmp_path / "a.txt").write_text("a")
    assert "none of" in check_file(tmp_path / "a.txt")[0]
    (tmp_path / "a.png").write_text("a")
    assert "not readable as PNG" in check_file(tmp_path / "a.png")[0]
    (tmp_path / "run.json").write_text("{}")
    assert check_file(tmp_path / "run.json") == []


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_json_is_read_the_same_whatever_the_piece(
    tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.labels.json_stream._CHUNK", size)
    value = {"a": '}]\\" é', "list": [1.25, {"b": [12345, None]}, "x"], "c": -1e-7, "d": {}}
    (tmp_path / "a.json").write_text(json.dumps(value, indent=1), "utf-8")
    read = list(members(tmp_path / "a.json", "list"))
    assert [x for key, x in read if key == "list"] == value["list"]
    assert {key: x for key, x in read if key != "list"} == {k: value[k] for k in "acd"}


def test_the_command_tells_by_its_code_and_its_json(sound: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(check)
    run = CliRunner().invoke(app, [str(sound)])
    assert run.exit_code == 0
    assert json.loads(run.stdout) == {"checked": 6, "wrong": 0, "complaints": {}}
    (tmp_path / "p.geojson").write_text("{}")
    run = CliRunner().invoke(app, [str(sound / "mask.tif"), str(tmp_path / "p.geojson")])
    assert run.exit_code == 1
    told = json.loads(run.stdout)
    assert (told["checked"], told["wrong"]) == (2, 1)
    assert list(told["complaints"]) == [str(tmp_path / "p.geojson")]
    assert CliRunner().invoke(app, [str(tmp_path / "none.tif")]).exit_code == 2
    (tmp_path / "empty").mkdir()
    nothing = CliRunner().invoke(app, [str(tmp_path / "empty")])
    assert nothing.exit_code == 2
    assert "nothing to check" in nothing.stderr
    assert CliRunner().invoke(app, []).exit_code == 2
