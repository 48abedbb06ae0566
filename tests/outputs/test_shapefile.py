"""Zipped Shapefiles: everything reads back, anywhere on the Earth, within the format's limits."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas
import pyarrow as pa
import pytest
import shapely
from pyproj import CRS

from pipeline.core.georef import Georef
from pipeline.core.polygons.footprints import Footprints
from pipeline.errors import ExportError
from pipeline.outputs.provenance import Provenance
from pipeline.outputs.vectors import shapefile
from pipeline.outputs.vectors.formats import file_name, writer
from pipeline.outputs.vectors.shapefile import (
    PARTS,
    SHORT_NAMES,
    shapefile_layer,
    short_name,
    write_shapefile,
)
from pipeline.outputs.vectors.style import polygon_style
from pipeline.outputs.vectors.table import ATTRIBUTES
from pipeline.regions.layer.layer_file import SCHEMA
from pipeline.validation.validate import check_file

Make = Callable[..., Footprints]
Where = Callable[..., Provenance]
UTM = CRS("EPSG:32645").to_wkt()


def test_every_field_and_corner_reads_back_as_from_geoparquet(
    footprints: Make, provenance: Where, georef: Georef, tmp_path: Path
) -> None:
    for name in ("parquet", "shapefile"):
        writer(name)(tmp_path / file_name(name), [footprints(5)], provenance(georef))
    path = tmp_path / "polygons.shp.zip"
    assert check_file(path) == []
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == [f"made{suffix}" for suffix in (*PARTS, ".qml")]
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        archive.extractall(tmp_path / "unpacked")
    expected = geopandas.read_parquet(tmp_path / "polygons.parquet")
    found = geopandas.read_file(tmp_path / "unpacked" / "made.shp")
    for name in ATTRIBUTES.names:
        mine, theirs = found[short_name(name)].tolist(), expected[name].tolist()
        if name == "datetime":
            theirs = [one.isoformat().replace("+00:00", "Z") for one in theirs]
        assert mine == theirs, name
    assert all(
        one.normalize().equals(other.normalize())
        for one, other in zip(found.geometry, expected.geometry, strict=True)
    )
    assert found.crs is not None
    assert expected.crs is not None
    assert found.crs.equals(expected.crs, ignore_axis_order=True) or (
        found.crs.to_epsg() == expected.crs.to_epsg()
    )


def test_names_of_all_fields_are_short_and_differ() -> None:
    for schema in (ATTRIBUTES, SCHEMA):
        names = [short_name(name) for name in schema.names if name != "geometry"]
        assert len({name.lower() for name in names}) == len(names)
        assert max(map(len, names)) <= 10
    assert {*SHORT_NAMES} <= {*ATTRIBUTES.names, *SCHEMA.names}


def layer(path: Path, columns: dict[str, Any], shapes: list[Any], **fields: Any) -> Path:
    """Write rows of any columns."""
    wkb = pa.array(shapely.to_wkb(shapes), pa.binary())
    schema = pa.schema([*(pa.field(n, t) for n, t in fields.items()), ("geometry", pa.binary())])
    arrays = [*(pa.array(columns[name], kind) for name, kind in fields.items()), wkb]
    rows = [pa.record_batch(arrays, schema=schema)]
    style = polygon_style(())
    shapefile_layer(path, rows, schema=schema, crs=UTM, name="layer", style=style)
    return path


def test_values_of_every_type_read_back(tmp_path: Path) -> None:
    when = datetime(2024, 5, 6, 2, 30, tzinfo=UTC)
    long = "Straße ü" * 40
    columns: dict[str, Any] = {
        "building_id": ["b1", "Ωμέγα", None],
        "n_obs": [3, 2_147_483_647, None],
        "big": [-(2**62), 12_345_678_901, 0],
        "area_m2": [12_345_678_901.25, 0.01, None],
        "seen": [when, None, when.replace(microsecond=500_000)],
        "touches_failure": [True, False, None],
        "scene": [long, "", None],
    }
    fields = {
        "building_id": pa.string(),
        "n_obs": pa.int32(),
        "big": pa.int64(),
        "area_m2": pa.float64(),
        "seen": pa.timestamp("ms", tz="UTC"),
        "touches_failure": pa.bool_(),
        "scene": pa.string(),
    }
    path = layer(tmp_path / "a.shp.zip", columns, [shapely.box(0, 0, 9, 9)] * 3, **fields)
    assert check_file(path) == []
    found = geopandas.read_file(f"zip://{path}").to_dict("list")
    assert found["bldg_id"][:2] == ["b1", "Ωμέγα"]
    nothing = (found["bldg_id"][2], found["scene"][2], found["seen"][1], found["n_obs"][2])
    assert all(pandas.isna(one) for one in (*nothing, found["area_m2"][2]))
    assert found["n_obs"][:2] == [3, 2_147_483_647]
    assert [int(one) for one in found["big"]] == columns["big"]
    assert found["area_m2"][:2] == columns["area_m2"][:2]
    assert found["seen"][0] == "2024-05-06T02:30:00Z"
    assert found["seen"][2] == "2024-05-06T02:30:00.500000Z"
    assert list(found["at_failure"])[:2] == [True, False]
    # Cut at a character's border, never within one.
    cut = found["scene"][0]
    assert long.startswith(cut)
    assert 252 <= len(cut.encode()) <= 254


def rings(path: Path) -> list[tuple[bool, float]]:
    """Return of each ring of the first record whether it runs counter-clockwise, and its area."""
    with zipfile.ZipFile(path) as archive:
        (name,) = (one for one in archive.namelist() if one.endswith(".shp"))
        raw = archive.read(name)[108:]
    parts, points = struct.unpack_from("<ii", raw, 36)
    starts = [*struct.unpack_from(f"<{parts}i", raw, 44), points]
    corners = np.frombuffer(raw, "<f8", 2 * points, 44 + 4 * parts).reshape(-1, 2)
    found = [shapely.LinearRing(corners[a:b]) for a, b in pairwise(starts)]
    return [(ring.is_ccw, shapely.Polygon(ring).area) for ring in found]


def test_outer_rings_run_clockwise_and_holes_the_other_way(tmp_path: Path) -> None:
    island = shapely.box(4, 4, 5, 5)
    ring: Any = shapely.box(0, 0, 9, 9) - shapely.box(2, 2, 7, 7) - shapely.box(7.5, 7.5, 8, 8)
    whole = shapely.orient_polygons(shapely.MultiPolygon([ring, island]))
    path = layer(tmp_path / "a.shp.zip", {"id": ["a"]}, [whole], id=pa.string())
    assert check_file(path) == []
    assert sorted(rings(path)) == [(False, 1), (False, 81), (True, 0.25), (True, 25)]
    (found,) = geopandas.read_file(f"zip://{path}").geometry
    assert found.equals(whole)


def test_the_same_polygons_give_the_same_bytes(
    footprints: Make, provenance: Where, utm: Georef, tmp_path: Path
) -> None:
    batch = footprints(1)
    paths = [tmp_path / name / "polygons.shp.zip" for name in "ab"]
    for path, size in zip(paths, (7, 64), strict=True):
        path.parent.mkdir()
        pieces = (batch.take(slice(at, at + size)) for at in range(0, len(batch), size))
        assert write_shapefile(path, pieces, provenance(utm)).features == len(batch)
        assert [one.name for one in path.parent.iterdir()] == [path.name]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_more_than_two_gigabytes_are_refused_and_leave_nothing(
    monkeypatch: pytest.MonkeyPatch,
    footprints: Make,
    provenance: Where,
    utm: Georef,
    tmp_path: Path,
) -> None:
    path = tmp_path / "polygons.shp.zip"
    batch = footprints(3)
    write_shapefile(path, [batch], provenance(utm))
    before = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        largest = max(info.file_size for info in archive.infolist())
    for limit, refused in ((4 * largest, False), (largest - 1, True)):
        monkeypatch.setattr(shapefile, "MOST_BYTES", limit)
        if refused:
            with pytest.raises(ExportError, match="no Shapefile may have; choose gpkg, fgb or par"):
                write_shapefile(path, [batch], provenance(utm))
        else:
            write_shapefile(path, [batch], provenance(utm))
        assert path.read_bytes() == before
        assert [*tmp_path.iterdir()] == [path]


def changed(path: Path, suffix: str, change: Callable[[bytearray], object]) -> None:
    """Write an archive again with one member changed."""
    with zipfile.ZipFile(path) as archive:
        known = {name: bytearray(archive.read(name)) for name in archive.namelist()}
    (name,) = (one for one in known if one.endswith(suffix))
    change(known[name])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for one, content in known.items():
            if content:
                archive.writestr(one, bytes(content))


def put(at: int, value: bytes) -> Callable[[bytearray], object]:
    return lambda raw: raw.__setitem__(slice(at, at + len(value)), value)


FIRST_POINT = 108 + 48
FAULTS: list[tuple[str, Callable[[bytearray], object], str]] = [
    (".shp", put(32, b"\x03"), "of type 3, not 5"),
    (".shp", put(100, struct.pack(">i", 7)), "numbered 7"),
    (".shp", put(36, struct.pack("<d", 1e9)), "box in the header of .shp"),
    (".shp", put(112, struct.pack("<d", 1e9)), "box that is not its own"),
    (".shp", put(FIRST_POINT + 4, struct.pack("<d", 1.0)), "not closed"),
    (".shp", lambda raw: raw.__delitem__(slice(-9, None)), "ends within record"),
    (".shx", put(100, struct.pack(">i", 51)), "not where the index"),
    (".shx", lambda raw: raw.extend(bytes(8)), "more entries"),
    (".dbf", put(4, struct.pack("<I", 3)), "has 3 rows"),
    (".dbf", put(0, b"\x30"), "does not begin as dBase"),
    (".prj", lambda raw: raw.__setitem__(slice(None), b"PROJCS[nonsense]"), "no reference system"),
    (".prj", lambda raw: raw.clear(), "does not hold the files"),
    (".cpg", lambda raw: raw.__setitem__(slice(None), b"1252"), "not UTF-8"),
]


@pytest.mark.parametrize(("suffix", "change", "told"), FAULTS, ids=[one[2] for one in FAULTS])
def test_every_broken_rule_is_told(
    footprints: Make,
    provenance: Where,
    utm: Georef,
    tmp_path: Path,
    suffix: str,
    change: Callable[[bytearray], object],
    told: str,
) -> None:
    path = tmp_path / "polygons.shp.zip"
    write_shapefile(path, [footprints(1)], provenance(utm))
    changed(path, suffix, change)
    assert any(told in line for line in check_file(path)), check_file(path)


def test_what_is_no_archive_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.shp.zip"
    path.write_bytes(b"PK\x03\x04 and no more")
    assert "not readable as zipped Shapefile" in check_file(path)[0]


def test_a_ring_that_runs_the_wrong_way_is_told(tmp_path: Path) -> None:
    path = layer(tmp_path / "a.shp.zip", {"id": ["a"]}, [shapely.box(0, 0, 9, 9)], id=pa.string())

    def turn(raw: bytearray) -> None:
        points = np.frombuffer(bytes(raw[FIRST_POINT:]), "<f8").reshape(-1, 2)
        raw[FIRST_POINT:] = np.ascontiguousarray(points[::-1]).tobytes()

    changed(path, ".shp", turn)
    assert any("no outer ring that runs clockwise" in line for line in check_file(path))
