"""GeoPackage against OGC 12-128r19, and what Overtile promises beyond it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import shapely
from pyproj import CRS
from pyproj.exceptions import CRSError

from pipeline.validation.complaints import Findings
from pipeline.validation.polygons import Extent, check_polygons, not_within, read_wkb

_APPLICATION = int.from_bytes(b"GPKG", "big")
_VERSIONS = range(10200, 10500)
_TABLES = ("gpkg_spatial_ref_sys", "gpkg_contents", "gpkg_geometry_columns", "gpkg_extensions")
_ENVELOPES = {0: 0, 1: 32, 2: 48, 3: 48, 4: 64}
_AT_ONCE = 5000


def check_geopackage(path: Path) -> list[str]:
    """Return what is wrong with a GeoPackage; its features are read 5,000 at a time."""
    complaints = Findings()
    with path.open("rb") as file:
        head = file.read(100)
    if len(head) < 100 or head[:16] != b"SQLite format 3\0":
        return ["not readable as GeoPackage: it does not begin as a SQLite database"]
    page, pages = int.from_bytes(head[16:18], "big"), int.from_bytes(head[28:32], "big")
    # 1 stands for 65,536 (SQLite's file format, 1.3.2).
    if path.stat().st_size != (65536 if page == 1 else page) * pages:
        complaints.add(f"the file does not end after {pages} pages, as its header says")
    try:
        source = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
        with closing(sqlite3.connect(source, uri=True)) as database:
            _check_database(database, complaints)
    except (sqlite3.Error, ValueError) as error:
        complaints.add(f"not readable as GeoPackage: {error}")
    return complaints.lines()


def _check_database(database: sqlite3.Connection, complaints: Findings) -> None:
    (application,) = database.execute("PRAGMA application_id").fetchone()
    if application != _APPLICATION:
        complaints.add(f"application_id is {application:#x}, not {_APPLICATION:#x} (GPKG)")
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version not in _VERSIONS:
        complaints.add(f"user_version is {version}, not 10200 to 10499")
    (sound,) = database.execute("PRAGMA integrity_check(1)").fetchone()
    if sound != "ok":
        complaints.add(f"the database is damaged: {sound}")
        return
    if database.execute("PRAGMA foreign_key_check").fetchone():
        complaints.add("a row refers to another that is not there (foreign keys)")
    there = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    missing = [name for name in _TABLES if name not in there]
    if missing:
        complaints.add(f"there is no table {', '.join(missing)}")
        return
    known = {srs for (srs,) in database.execute("SELECT srs_id FROM gpkg_spatial_ref_sys")}
    if not {-1, 0, 4326} <= known:
        complaints.add("gpkg_spatial_ref_sys lacks -1, 0 or 4326")
    layers = database.execute(
        "SELECT table_name, min_x, min_y, max_x, max_y, srs_id FROM gpkg_contents"
        " WHERE data_type = 'features' ORDER BY table_name"
    ).fetchall()
    if not layers:
        complaints.add("there is no layer of features")
    for name, *extent, srs in layers:
        if name not in there:
            complaints.add(f"there is no table {name}, which gpkg_contents lists")
            continue
        _check_style(database, name, complaints)
        _check_layer(database, name, extent, srs, complaints)


def _check_style(database: sqlite3.Connection, name: str, complaints: Findings) -> None:
    rows = []
    if database.execute("SELECT 1 FROM sqlite_master WHERE name = 'layer_styles'").fetchone():
        rows = database.execute(
            "SELECT styleQML FROM layer_styles WHERE f_table_name = ? AND useAsDefault", (name,)
        ).fetchall()
    if len(rows) != 1:
        complaints.add(f"layer {name} has {len(rows)} default styles for QGIS in layer_styles")
        return
    try:
        ElementTree.fromstring(rows[0][0])
    except (ElementTree.ParseError, TypeError) as error:
        complaints.add(f"the style of layer {name} is no QML: {error}")


def _check_layer(
    database: sqlite3.Connection, name: str, told: list[Any], srs: int, complaints: Findings
) -> None:
    column = database.execute(
        "SELECT column_name, geometry_type_name, srs_id FROM gpkg_geometry_columns"
        " WHERE table_name = ?",
        (name,),
    ).fetchone()
    if column is None:
        complaints.add(f"gpkg_geometry_columns does not know layer {name}")
        return
    geometry, kind, own = column
    if own != srs:
        complaints.add(f"layer {name} has srs_id {own}, and {srs} in gpkg_contents")
    _check_srs(database, own, complaints)
    if kind not in {"POLYGON", "MULTIPOLYGON"}:
        complaints.add(f"layer {name} is declared as {kind}, not POLYGON or MULTIPOLYGON")
    index = f"rtree_{name}_{geometry}"
    extended = database.execute(
        "SELECT count(*) FROM gpkg_extensions WHERE table_name = ? AND column_name = ?"
        " AND extension_name = 'gpkg_rtree_index'",
        (name, geometry),
    ).fetchone()
    if not extended[0]:
        complaints.add(f"layer {name} has no spatial index (gpkg_rtree_index)")
        return
    (fault,) = database.execute("SELECT rtreecheck(?)", (index,)).fetchone()
    if fault != "ok":
        complaints.add(f"the spatial index of layer {name} is damaged: {fault}")
        return
    extent, count = _check_rows(database, name, geometry, (index, own, kind), complaints)
    if not extent.told_as(told):
        complaints.add(f"the extent of layer {name} in gpkg_contents is not that of its features")
    (indexed,) = database.execute(f"SELECT count(*) FROM {_quoted(index)}").fetchone()
    if indexed != count:
        complaints.add(f"layer {name} has {count} features, and its spatial index {indexed}")


def _check_srs(database: sqlite3.Connection, srs: int, complaints: Findings) -> None:
    row = database.execute(
        "SELECT definition FROM gpkg_spatial_ref_sys WHERE srs_id = ?", (srs,)
    ).fetchone()
    if row is None:
        complaints.add(f"gpkg_spatial_ref_sys does not know srs_id {srs}")
        return
    try:
        CRS.from_wkt(row[0])
    except (CRSError, TypeError):
        complaints.add(f"the definition of srs_id {srs} is no WKT")


def _check_rows(
    database: sqlite3.Connection,
    name: str,
    geometry: str,
    declared: tuple[str, int, str],
    complaints: Findings,
) -> tuple[Extent, int]:
    index, srs, kind = declared
    extent, seen = Extent(), 0
    found = database.execute(
        f"SELECT f.{_quoted(geometry)}, r.minx, r.miny, r.maxx, r.maxy FROM {_quoted(name)} f"
        f" LEFT JOIN {_quoted(index)} r ON r.id = f.rowid ORDER BY f.rowid"
    )
    while batch := found.fetchmany(_AT_ONCE):
        rows = np.arange(seen, seen + len(batch))
        seen += len(batch)
        wkb = np.array([_wkb(row[0], srs) for row in batch], dtype=object)
        headed = np.array([one is not None for one in wkb], bool)
        complaints.add_all("has no GeoPackage header of its layer's srs_id", rows[~headed])
        shapes, kept = read_wkb(wkb[headed], rows[headed], complaints)
        check_polygons(shapes, kept, complaints)
        wanted = shapely.GeometryType[kind] if kind in {"POLYGON", "MULTIPOLYGON"} else None
        other = shapely.get_type_id(shapes) != wanted
        complaints.add_all("has another type than its layer declares", kept[other])
        bounds = shapely.bounds(shapes)
        extent.grow(bounds)
        boxes = np.array([row[1:] for row in batch], np.float64)[kept - rows[0]]
        short = not_within(bounds, boxes) | np.isnan(boxes).any(axis=1)
        complaints.add_all("has a box in the spatial index that does not cover it", kept[short])
    return extent, seen


def _wkb(blob: Any, srs: int) -> bytes | None:
    """Return the WKB of a GeoPackage geometry (12-128r19, 2.1.3); None if it has no header."""
    if not isinstance(blob, bytes) or len(blob) < 8 or blob[:3] != b"GP\0":
        return None
    envelope = _ENVELOPES.get(blob[3] >> 1 & 7)
    if envelope is None or _srs_of(blob) != srs:
        return None
    return blob[8 + envelope :]


def _srs_of(blob: bytes) -> int:
    return int.from_bytes(blob[4:8], "little" if blob[3] & 1 else "big", signed=True)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
