"""A layer's table in PostGIS against the file that was put there."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from pipeline.outputs.postgis.connect import postgis_transaction, psycopg
from pipeline.outputs.postgis.table import GEOMETRY, indexed, shape_faults, table_of


def check_layer(url: str, table: str, parquet: Path) -> list[str]:
    """Return what is wrong with the table of a layer; empty if nothing is.

    Raises:
        ConfigError: The URL is none, or the file is no GeoParquet.
        ExportError: The database failed.
    """
    with pq.ParquetFile(parquet) as file:
        shape, rows = table_of(table, file.schema_arrow), file.metadata.num_rows
    sql = psycopg().sql
    with postgis_transaction(url) as connection:
        spelt = shape.sql.as_string(connection)
        if connection.execute("SELECT to_regclass(%s)", (spelt,)).fetchone() == (None,):
            return [f"there is no table {shape.spelt}"]
        faults = shape_faults(connection, shape)
        if faults:
            return faults
        if not indexed(connection, shape):
            faults.append("its geometry has no GiST index")
        counted = connection.execute(
            sql.SQL(
                "SELECT count(*), count(*) FILTER (WHERE NOT ST_IsValid({g})),"
                " count(*) FILTER (WHERE NOT ST_Within(Box2D({g})::geometry,"
                " ST_MakeEnvelope(-180, -90, 180, 90))) FROM {t}"
            ).format(g=sql.Identifier(GEOMETRY), t=shape.sql)
        ).fetchone()
    count, invalid, outside = counted or (0, 0, 0)
    if count != rows:
        faults.append(f"it has {count} footprints, the layer {rows}")
    if invalid:
        faults.append(f"{invalid} footprints are not valid geometries (OGC)")
    if outside:
        faults.append(f"{outside} footprints lie outside -180..180, -90..90 degrees")
    return faults
