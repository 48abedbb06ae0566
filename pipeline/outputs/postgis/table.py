"""The table of a layer in PostGIS: made if missing, refused if it has another shape."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipeline.errors import ConfigError
from pipeline.outputs.postgis.connect import psycopg

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.sql import Composed

GEOMETRY = "geometry"
SRID = 4326
_GEOMETRY_TYPE = f"geometry(MultiPolygon,{SRID})"
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,47}")
_TYPES = {
    pa.string(): "text",
    pa.large_string(): "text",
    pa.bool_(): "boolean",
    pa.int8(): "smallint",
    pa.int16(): "smallint",
    pa.int32(): "integer",
    pa.int64(): "bigint",
    pa.float32(): "real",
    pa.float64(): "double precision",
    pa.date32(): "date",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What a layer's table looks like."""

    schema: str
    """The database's schema; empty for the first of its search path."""
    name: str
    """Name of the table."""
    key: str
    """Column by which footprints are known again."""
    columns: tuple[tuple[str, str], ...]
    """Name and type of each attribute."""

    @property
    def spelt(self) -> str:
        """How people write it."""
        return f"{self.schema}.{self.name}" if self.schema else self.name

    @property
    def sql(self) -> Any:
        """How it stands in a statement."""
        parts = (self.schema, self.name) if self.schema else (self.name,)
        return psycopg().sql.Identifier(*parts)

    @property
    def wanted(self) -> dict[str, str]:
        """Type of every column that is written."""
        return {**dict(self.columns), "run_id": "text", GEOMETRY: _GEOMETRY_TYPE}


def table_of(name: str, schema: pa.Schema) -> Table:
    """Return the table that holds a layer of these columns.

    Its key is ``building_id``, or ``id`` where the layer has no such column. Nested columns
    (``bbox``) are left out: the geometry and its index say the same.

    Raises:
        ConfigError: The name is none for a table, or a column has no key or type in PostgreSQL.
    """
    parts = name.split(".")
    if len(parts) > 2 or not all(_NAME.fullmatch(part) for part in parts):
        raise ConfigError(
            f"{name!r} is no name for a table; write TABLE or SCHEMA.TABLE, each of at most 48 "
            "lower-case letters, digits and _"
        )
    columns = tuple(
        (field.name, _type(field))
        for field in schema
        if field.name not in {GEOMETRY, "run_id"} and not pa.types.is_struct(field.type)
    )
    names = [column for column, _ in columns]
    key = next((known for known in ("building_id", "id") if known in names), None)
    if key is None:
        raise ConfigError(f"a layer with columns {names} has neither building_id nor id")
    return Table(schema="".join(parts[:-1]), name=parts[-1], key=key, columns=columns)


def _type(field: pa.Field) -> str:
    if pa.types.is_timestamp(field.type):
        return "timestamp with time zone" if field.type.tz else "timestamp without time zone"
    if pa.types.is_list(field.type) and field.type.value_type in _TYPES:
        return f"{_TYPES[field.type.value_type]}[]"
    if field.type not in _TYPES:
        raise ConfigError(
            f"column {field.name!r} of type {field.type} has no type in PostgreSQL; leave it out"
        )
    return _TYPES[field.type]


def prepare(connection: Connection[Any], table: Table) -> None:
    """Make the table and its spatial index where they are missing.

    Raises:
        ConfigError: The database lacks PostGIS, or a table of another shape has the name.
    """
    if connection.execute("SELECT to_regtype('geometry')").fetchone() == (None,):
        raise ConfigError(
            "the database has no PostGIS; let its owner run CREATE EXTENSION postgis in it"
        )
    connection.execute(_creation(table))
    faults = shape_faults(connection, table)
    if faults:
        raise ConfigError(
            f"table {table.spelt} has another shape: {'; '.join(faults)}; change it with ALTER "
            "TABLE, or name another table"
        )
    if not indexed(connection, table):
        sql = psycopg().sql
        connection.execute(
            sql.SQL("CREATE INDEX ON {} USING gist ({})").format(
                table.sql, sql.Identifier(GEOMETRY)
            )
        )


def _creation(table: Table) -> Composed:
    sql = psycopg().sql
    columns = [
        sql.SQL("{} {}{}").format(
            sql.Identifier(name),
            sql.SQL(kind),
            sql.SQL(" PRIMARY KEY" if name == table.key else ""),
        )
        for name, kind in table.columns
    ]
    columns += [
        sql.SQL("run_id text NOT NULL"),
        sql.SQL("{} {} NOT NULL").format(sql.Identifier(GEOMETRY), sql.SQL(_GEOMETRY_TYPE)),
    ]
    statement = sql.SQL("CREATE TABLE IF NOT EXISTS {} ({})")
    made: Composed = statement.format(table.sql, sql.SQL(", ").join(columns))
    return made


def shape_faults(connection: Connection[Any], table: Table) -> list[str]:
    """Return what differs between the table that is there and the one that is wanted.

    Columns that others added are theirs, as long as rows can do without them.
    """
    there = {
        name: (kind, needed)
        for name, kind, needed in connection.execute(
            "SELECT attname, format_type(atttypid, atttypmod), attnotnull AND NOT atthasdef"
            " FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
            " AND NOT attisdropped",
            (_regclass(connection, table),),
        )
    }
    faults = []
    for name, kind in table.wanted.items():
        if name not in there:
            faults.append(f"it has no column {name!r} ({kind})")
        elif there[name][0] != kind:
            faults.append(f"its column {name!r} is {there[name][0]}, not {kind}")
    faults += [
        f"its column {name!r} must be filled, and the layer has none"
        for name, (_, needed) in there.items()
        if needed and name not in table.wanted
    ]
    if not _unique(connection, table):
        faults.append(f"its column {table.key!r} is not unique")
    return faults


def indexed(connection: Connection[Any], table: Table) -> bool:
    """Return whether the geometry has a GiST index."""
    found = connection.execute(
        "SELECT 1 FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        " JOIN pg_am m ON m.oid = c.relam JOIN pg_attribute a"
        " ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]"
        " WHERE i.indrelid = %s::regclass AND m.amname = 'gist' AND a.attname = %s"
        " AND i.indpred IS NULL",
        (_regclass(connection, table), GEOMETRY),
    )
    return found.fetchone() is not None


def _unique(connection: Connection[Any], table: Table) -> bool:
    found = connection.execute(
        "SELECT 1 FROM pg_index i JOIN pg_attribute a"
        " ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]"
        " WHERE i.indrelid = %s::regclass AND i.indisunique AND i.indnkeyatts = 1"
        " AND i.indpred IS NULL AND a.attname = %s",
        (_regclass(connection, table), table.key),
    )
    return found.fetchone() is not None


def _regclass(connection: Connection[Any], table: Table) -> str:
    return str(table.sql.as_string(connection))
