"""GeoPackage: plain tables of features, read as what they are, rows of a SQLite database.

A database can hold programs: views that never end, virtual tables that read files, triggers,
generated columns. Only tables are read, by statements that an authorizer confines to them,
and SQLite has the very file that was looked at, without what lies beside it.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from pyproj import CRS
from pyproj.exceptions import CRSError

from pipeline.labels.layers import LayerChoice
from pipeline.labels.limits import Count
from pipeline.labels.opened import VectorFile
from pipeline.labels.repair import count_noun
from pipeline.labels.vectors import (
    Vectors,
    first_words,
    from_wkb,
    known_crs,
    not_georeferenced,
    refusal,
)

_LAYERS_AT_MOST = 10_000
_ROWS_AT_ONCE = 1024
_LONGEST_VALUE = 2**28
_TABLE = re.compile(r"\s*CREATE\s+TABLE\b", re.IGNORECASE)
_NEEDED = ("gpkg_contents", "gpkg_geometry_columns", "gpkg_spatial_ref_sys")
_ENVELOPES = (0, 32, 48, 48, 64)
# What the standard means by the srs_id -1 and 0.
_UNDEFINED = {
    -1: 'LOCAL_CS["Undefined Cartesian SRS",UNIT["metre",1]]',
    0: 'GEOGCS["Undefined geographic SRS",DATUM["unknown",SPHEROID["unknown",6378137,'
    '298.257223563]],PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]]',
}
_ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layer:
    """A table of features."""

    table: str
    """Its name."""
    column: str
    """Its geometry column."""
    geometry: str
    """Type of its geometries."""
    srs: int
    """Key of its reference system."""


def read_geopackage(
    file: VectorFile, *, wanted: tuple[str, ...], choice: LayerChoice, count: Count
) -> Vectors:
    """Return the rows of one feature table.

    Raises:
        ConfigError: It is damaged, has no such table, or does not say its CRS.
    """
    path = file.path
    try:
        with closing(_connected(file)) as database:
            tables = _tables(database)
            layers, views = _layers(path, database, tables)
            name = _chosen(path, layers, views, choice)
            layer = layers[name]
            fields = _columns(database, layer)
            crs = _crs(path, database, layer.srs)
            shapes, columns = _decoded(database, layer, _wanted(fields, wanted), count)
    except sqlite3.DatabaseError as error:
        if "memory" in str(error):
            raise MemoryError from error
        reason = f"it cannot be read as gpkg ({first_words(error)})"
        raise refusal(path, reason, "export it again") from error
    except shapely.errors.GEOSException as error:
        raise refusal(path, f"a geometry is damaged ({first_words(error)})", "repair it") from error
    notes = (f"{count_noun(len(views), 'view')} among its layers not read",) if views else ()
    return Vectors(
        source=str(path),
        geometry=shapes,
        crs=crs,
        columns=columns,
        fields=tuple(fields),
        notes=notes,
    )


def _connected(file: VectorFile) -> sqlite3.Connection:
    """Return a connection to an open file.

    Raises:
        ConfigError: SQLite opened another file.
    """
    name = f"/dev/fd/{file.handle}"
    database = sqlite3.connect(f"file:{name}?mode=ro&immutable=1", uri=True, isolation_level=None)
    expected = os.fstat(file.handle)
    # SQLite follows the link to a path, where another file may lie by now.
    handles = {int(one.name) for one in Path("/dev/fd").iterdir()} - {file.handle}
    for handle in handles:
        with suppress(OSError):
            found = os.fstat(handle)
            if (found.st_dev, found.st_ino) == (expected.st_dev, expected.st_ino):
                break
    else:
        database.close()
        raise refusal(file.path, "it was exchanged while it was read", "run again")
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
    database.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    database.text_factory = lambda raw: raw.decode(errors="replace")
    for setting in ("trusted_schema = OFF", "query_only = ON", "cell_size_check = ON"):
        database.execute(f"PRAGMA {setting}")
    database.set_authorizer(_authorized)
    return database


def _authorized(
    action: int, first: str | None, _second: str | None, _name: str | None, inner: str | None
) -> int:
    """Allow to read tables: no functions, no recursion, nothing that a view or trigger does."""
    columns = action == sqlite3.SQLITE_PRAGMA and first == "table_xinfo"
    allowed = inner is None and (action in _ALLOWED or columns)
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


def _tables(database: sqlite3.Connection) -> dict[str, str]:
    """Return the names of plain tables, by their names in lower case."""
    rows = database.execute("SELECT type, name, sql FROM sqlite_master").fetchmany(100_000)
    found = {
        str(name).lower(): str(name)
        for kind, name, sql in rows
        if kind == "table" and _TABLE.match(str(sql))
    }
    for kind, name, sql in rows:  # names that also stand for something else
        if kind in ("table", "view") and not (kind == "table" and _TABLE.match(str(sql))):
            found.pop(str(name).lower(), None)
    return found


def _layers(
    path: Path, database: sqlite3.Connection, tables: dict[str, str]
) -> tuple[dict[str, _Layer], list[str]]:
    """Return the feature tables by name, and the names of listed views and virtual tables."""
    missing = [name for name in _NEEDED if name not in tables]
    if missing:
        reason = f"its {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} no table"
        raise refusal(path, reason, "export it again")
    listed = database.execute("SELECT table_name, data_type FROM gpkg_contents")
    names = listed.fetchmany(_LAYERS_AT_MOST + 1)
    if len(names) > _LAYERS_AT_MOST:
        reason = f"it has more than {_LAYERS_AT_MOST:,} layers, which is the limit"
        raise refusal(path, reason, "save the layer as a file of its own")
    features = {
        str(name).lower(): str(name) for name, kind in names if str(kind).lower() == "features"
    }
    described = database.execute(
        "SELECT table_name, column_name, geometry_type_name, srs_id FROM gpkg_geometry_columns"
    )
    layers: dict[str, _Layer] = {}
    views: list[str] = []
    for table, column, geometry, srs in described.fetchmany(_LAYERS_AT_MOST):
        name = features.get(str(table).lower())
        if name is None:
            continue
        if name.lower() not in tables:
            views.append(name)
        elif isinstance(srs, int):
            layers[name] = _Layer(
                table=tables[name.lower()], column=str(column), geometry=str(geometry), srs=srs
            )
    return layers, views


def _chosen(path: Path, layers: dict[str, _Layer], views: list[str], choice: LayerChoice) -> str:
    if choice.name in views or (views and not layers):
        name = choice.name if choice.name in views else views[0]
        raise refusal(
            path,
            f"its layer {name!r} is a view or a virtual table, and only tables are read",
            "save the layer as a table of its own",
        )
    return choice.of(path, [(name, layer.geometry) for name, layer in layers.items()])


def _columns(database: sqlite3.Connection, layer: _Layer) -> dict[str, str]:
    """Return names and types of a table's attributes; what is computed when read is none."""
    rows = database.execute(f"PRAGMA table_xinfo({_quoted(layer.table)})").fetchall()
    plain = {
        str(name): str(kind).upper()
        for _, name, kind, _, _, key, hidden in rows
        if not hidden and not (key and str(kind).upper() == "INTEGER")
    }
    geometry = [name for name in plain if name.lower() == layer.column.lower()]
    if not geometry:
        raise sqlite3.DatabaseError(f"{layer.table} has no stored column {layer.column}")
    del plain[geometry[0]]
    return plain


def _wanted(fields: dict[str, str], wanted: tuple[str, ...]) -> dict[str, str]:
    return {name: fields[name] for name in wanted if name in fields and fields[name] != "BLOB"}


def _decoded(
    database: sqlite3.Connection,
    layer: _Layer,
    names: dict[str, str],
    count: Count,
) -> tuple[np.ndarray, dict[str, list[Any]]]:
    chosen = ", ".join(map(_quoted, (layer.column, *names)))
    rows = database.execute(f"SELECT {chosen} FROM main.{_quoted(layer.table)} NOT INDEXED")
    shapes = [np.zeros(0, object)]
    columns: dict[str, list[Any]] = {name: [] for name in names}
    while block := rows.fetchmany(_ROWS_AT_ONCE):
        wkb = [_wkb(row[0]) for row in block]
        count.add_bytes(sum(len(one) for one in wkb if one is not None))
        shapes.append(shapely.force_2d(from_wkb(np.array([*wkb, None], object)[:-1])))
        count.add(shapes[-1])
        for at, (name, kind) in enumerate(names.items(), 1):
            columns[name] += _values([row[at] for row in block], kind)
    return np.concatenate(shapes), columns


def _values(values: list[Any], kind: str) -> list[Any]:
    if kind == "BOOLEAN":
        return [None if one is None else bool(one) for one in values]
    return [one.decode(errors="replace") if isinstance(one, bytes) else one for one in values]


def _wkb(blob: Any) -> bytes | None:
    """Return the well-known binary of a GeoPackage's geometry.

    Source: GeoPackage 1.4, 2.1.3: "GP", version, flags, srs_id, an envelope.

    Raises:
        DatabaseError: It is none.
    """
    if blob is None:
        return None
    if not isinstance(blob, bytes) or len(blob) < 8 or not blob.startswith(b"GP"):
        raise sqlite3.DatabaseError("a geometry is no geometry of a GeoPackage")
    flags = blob[3]
    envelope = flags >> 1 & 7
    if envelope >= len(_ENVELOPES) or flags >> 5 & 1:
        raise sqlite3.DatabaseError("a geometry is of an unknown kind")
    return blob[8 + _ENVELOPES[envelope] :]


def _crs(path: Path, database: sqlite3.Connection, srs: int) -> CRS:
    if srs in _UNDEFINED:
        return known_crs(path, _UNDEFINED[srs])
    for text in _definitions(database, srs):
        with suppress(CRSError):
            return CRS.from_user_input(text)
    raise not_georeferenced(path)


def _definitions(database: sqlite3.Connection, srs: int) -> Iterator[str]:
    """Yield how a reference system is named and defined, the most exact first."""
    there = {str(row[1]) for row in database.execute("PRAGMA table_xinfo(gpkg_spatial_ref_sys)")}
    texts = [name for name in ("definition_12_063", "definition") if name in there]
    rows = database.execute(
        f"SELECT organization, organization_coordsys_id, {', '.join(texts) or 'NULL'} "
        "FROM gpkg_spatial_ref_sys WHERE srs_id = ?",
        (srs,),
    )
    for authority, code, *definitions in rows.fetchmany(1):
        if str(authority).isalnum() and isinstance(code, int):
            yield f"{str(authority).upper()}:{code}"
        yield from (text for text in definitions if isinstance(text, str) and "[" in text)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
