"""A layer of footprints kept up to date in PostGIS, in one transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from jaxtyping import Shaped
from pyproj import CRS
from pyproj.exceptions import CRSError

from pipeline.core.georef import Georef
from pipeline.errors import ConfigError
from pipeline.outputs.postgis.connect import postgis_transaction, psycopg
from pipeline.outputs.postgis.table import GEOMETRY, SRID, Table, prepare, table_of
from pipeline.outputs.vectors.lonlat import to_lonlat_polygons

if TYPE_CHECKING:
    from psycopg import Connection

AT_ONCE = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Upserted:
    """Counts of a table's rows by change."""

    inserted: int
    """Footprints that were not there."""
    updated: int
    """Footprints that were there with another outline or other attributes."""
    removed: int
    """Footprints that the layer no longer has."""
    unchanged: int
    """Footprints that were left alone; they keep the ``run_id`` that last changed them."""


def upsert_layer(url: str, table: str, parquet: Path, *, run_id: str) -> Upserted:
    """Make a PostGIS table hold the footprints of a GeoParquet layer, and no others.

    See `upsert`; coordinates are longitude and latitude, cut at the antimeridian.

    Raises:
        ConfigError: The file is no GeoParquet, or the table or the URL must be changed.
        ExportError: The database failed; nothing in it was changed.
    """
    try:
        with pq.ParquetFile(parquet) as file:
            georef = _georef(file)
            names = [f.name for f in file.schema_arrow if not pa.types.is_struct(f.type)]
            schema = pa.schema([file.schema_arrow.field(name) for name in names])
            batches = file.iter_batches(batch_size=AT_ONCE, columns=names)
            placed = (_on_the_earth(batch, georef) for batch in batches)
            return upsert(url, table, placed, schema=schema, run_id=run_id)
    except (OSError, pa.ArrowException, ValueError, KeyError, CRSError) as error:
        raise ConfigError(f"{parquet} is not read as GeoParquet: {error}; make it again") from error


def upsert(
    url: str, table: str, batches: Iterable[pa.RecordBatch], *, schema: pa.Schema, run_id: str
) -> Upserted:
    """Make a PostGIS table hold the given footprints, and no others.

    All happens in one transaction: readers see the table as it was, then as it is. Writers
    of one table wait for each other, a minute at most. What has not changed is not written,
    so that doing it again changes nothing.

    Args:
        url: ``postgresql://USER@HOST:PORT/DATABASE``.
        table: ``TABLE`` or ``SCHEMA.TABLE``; made if missing, with a GiST index.
        batches: Rows of ``schema``, ``building_id`` (or else ``id``) theirs alone.
        schema: Plain columns and ``geometry``, WKB in longitude and latitude.
        run_id: Written into the rows that are new or changed.

    Raises:
        ConfigError: The table has another shape, there is no PostGIS, or the URL is none.
        ExportError: The database failed, or a key stands twice; nothing was changed.
    """
    shape = table_of(table, schema)
    with postgis_transaction(url) as connection:
        # One writer a table, also while there is no table yet.
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (shape.spelt,))
        prepare(connection, shape)
        sql = psycopg().sql
        connection.execute(sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(shape.sql))
        count = _stage(connection, shape, batches)
        return _merge(connection, shape, count, run_id)


def _georef(file: pq.ParquetFile) -> Georef | None:
    """Return the layer's reference system as a grid of its own units; None for lon/lat.

    Raises:
        ValueError: It is not given.
    """
    raw = (file.metadata.metadata or {}).get(b"geo")
    if raw is None:
        raise ValueError("it has no geo metadata")
    column = json.loads(raw)["columns"][GEOMETRY]
    # GeoParquet 1.1: left out is lon/lat, null is unknown.
    text = column.get("crs", "OGC:CRS84")
    if text is None:
        raise ValueError("its reference system is not known")
    crs = CRS.from_user_input(text)
    if crs.equals(CRS.from_user_input("OGC:CRS84")):
        return None
    return Georef(crs_wkt=crs.to_wkt(), transform=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0))


def _on_the_earth(batch: pa.RecordBatch, georef: Georef | None) -> pa.RecordBatch:
    if georef is None:
        return batch
    at = batch.schema.get_field_index(GEOMETRY)
    shapes = _parts_placed(
        shapely.from_wkb(batch.column(at).to_numpy(zero_copy_only=False)), georef
    )
    kept = ~shapely.is_empty(shapes)
    wkb = pa.array(shapely.to_wkb(shapes[kept], byte_order=1), batch.schema.field(at).type)
    return batch.filter(pa.array(kept)).set_column(at, batch.schema.field(at), wkb)


def _parts_placed(shapes: Shaped[np.ndarray, " n"], georef: Georef) -> Shaped[np.ndarray, " n"]:
    """Return polygons of any number of parts as longitudes and latitudes."""
    parts, owner = shapely.get_parts(shapes, return_index=True)
    inner, which = shapely.get_parts(to_lonlat_polygons(parts, georef), return_index=True)
    placed = np.full(len(shapes), shapely.MultiPolygon(), dtype=object)
    shapely.multipolygons(inner, indices=owner[which], out=placed)
    return placed


def _stage(connection: Connection[Any], table: Table, batches: Iterable[pa.RecordBatch]) -> int:
    """Copy the footprints into a table of this transaction's own; return how many."""
    sql = psycopg().sql
    columns = [
        sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in table.columns
    ]
    connection.execute(
        sql.SQL("CREATE TEMPORARY TABLE incoming ({}, {} bytea) ON COMMIT DROP").format(
            sql.SQL(", ").join(columns), sql.Identifier(GEOMETRY)
        )
    )
    count = 0
    with connection.cursor() as cursor, cursor.copy("COPY pg_temp.incoming FROM STDIN") as copy:
        for row in _rows(batches, table):
            copy.write_row(row)
            count += 1
    connection.execute(
        sql.SQL("ALTER TABLE pg_temp.incoming ADD PRIMARY KEY ({})").format(
            sql.Identifier(table.key)
        )
    )
    connection.execute("ANALYZE pg_temp.incoming")
    return count


def _rows(batches: Iterable[pa.RecordBatch], table: Table) -> Iterator[tuple[Any, ...]]:
    names = [*(name for name, _ in table.columns), GEOMETRY]
    for batch in batches:
        yield from zip(*(batch.column(name).to_pylist() for name in names), strict=True)


def _merge(connection: Connection[Any], table: Table, count: int, run_id: str) -> Upserted:
    sql = psycopg().sql
    names = [name for name, _ in table.columns]
    values = {
        "t": table.sql,
        "key": sql.Identifier(table.key),
        "g": sql.Identifier(GEOMETRY),
        "srid": sql.Literal(SRID),
        "run": sql.Literal(run_id),
        "columns": sql.SQL(", ").join(map(sql.Identifier, names)),
        "old": sql.SQL(", ").join(sql.Identifier("t", name) for name in [*names, GEOMETRY]),
        "new": sql.SQL(", ").join(sql.Identifier("excluded", name) for name in [*names, GEOMETRY]),
        "set": sql.SQL(", ").join(
            sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name))
            for name in [*names, "run_id", GEOMETRY]
        ),
    }
    removed = connection.execute(
        sql.SQL(
            "DELETE FROM {t} t WHERE NOT EXISTS"
            " (SELECT FROM pg_temp.incoming i WHERE i.{key} = t.{key})"
        ).format(**values)
    ).rowcount
    # xmax is 0 in a row that is new, and the updating transaction in one that was there.
    done = connection.execute(
        sql.SQL(
            "WITH done AS (INSERT INTO {t} AS t ({columns}, run_id, {g})"
            " SELECT {columns}, {run}, ST_Multi(ST_GeomFromWKB({g}, {srid})) FROM pg_temp.incoming"
            " ORDER BY {key}"
            " ON CONFLICT ({key}) DO UPDATE SET {set} WHERE ROW({old}) IS DISTINCT FROM ROW({new})"
            " RETURNING t.xmax = 0 AS fresh)"
            " SELECT count(*) FILTER (WHERE fresh), count(*) FILTER (WHERE NOT fresh) FROM done"
        ).format(**values)
    ).fetchone()
    inserted, updated = done or (0, 0)
    connection.execute(sql.SQL("ANALYZE {t}").format(**values))
    return Upserted(
        inserted=inserted,
        updated=updated,
        removed=removed,
        unchanged=count - inserted - updated,
    )
