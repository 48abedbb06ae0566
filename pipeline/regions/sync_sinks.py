"""Sinks outside of the region's folder: tried after a run is committed, and again until they hold.

What a sink holds is noted in the ledger, so that one that failed, was emptied by a new URL, or is
new in the region's file gets the current layer at the next run, also where nothing changed.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pipeline.config.region import PostGIS
from pipeline.errors import ConfigError, ExportError
from pipeline.outputs.postgis.connect import database_place, postgis_transaction, psycopg
from pipeline.outputs.postgis.layer_table import upsert_layer
from pipeline.regions.clock import Clock
from pipeline.regions.ledger.ledger import Ledger
from pipeline.regions.ledger.records import RunRow
from pipeline.regions.resolved_region import LAYER, ResolvedRegion, from_environment


def check_sinks(site: ResolvedRegion) -> None:
    """Refuse sinks whose variable is not set or holds no URL, before anything is mapped.

    Raises:
        ConfigError: One is; the database itself is not asked.
    """
    for sink in site.region.sinks:
        try:
            database_place(from_environment(sink.url_env))
        except ConfigError as error:
            raise ConfigError(f"sinks: {sink.table}: {sink.url_env}: {error}") from error


def sync_sinks(
    site: ResolvedRegion, ledger: Ledger, run: RunRow, *, clock: Clock
) -> list[dict[str, Any]]:
    """Bring every sink up to the layer of a run; return a row for each that was touched.

    A sink that fails has ``error``; it stands as it was, and the next run tries again.

    Raises:
        ExportError: The ledger could not be written.
    """
    if run.layer is None:
        return []
    known, text = ledger.delivered(), []
    for sink in site.region.sinks:
        url = from_environment(sink.url_env)
        name = f"{sink.type} {database_place(url)} {sink.table}"
        if known.get(name) == run.layer_key:
            continue
        row: dict[str, Any] = {"table": sink.table}
        try:
            row |= _upserted(site, run, sink, url)
        except (ConfigError, ExportError) as error:
            row["error"] = str(error)
        ledger.deliver(
            name,
            layer_key=None if "error" in row else run.layer_key,
            reason=row.get("error"),
            now=clock().timestamp(),
        )
        text.append(row)
    return text


def _upserted(site: ResolvedRegion, run: RunRow, sink: PostGIS, url: str) -> dict[str, int]:
    name = site.region.name
    _refuse_anothers(url, sink.table, name)
    layer = site.out / str(run.layer) / LAYER
    return asdict(upsert_layer(url, sink.table, layer, run_id=f"{name}/{run.run:06d}"))


def _refuse_anothers(url: str, table: str, region: str) -> None:
    """Refuse a table in which another region keeps its layer: each would remove the other's.

    Raises:
        ConfigError: It does.
        ExportError: The database does not answer.
    """
    sql = psycopg().sql
    with postgis_transaction(url) as connection:
        if connection.execute("SELECT to_regclass(%s)", (table,)).fetchone() == (None,):
            return
        found = connection.execute(
            sql.SQL("SELECT run_id FROM {} WHERE split_part(run_id, '/', 1) <> %s LIMIT 1").format(
                sql.Identifier(*table.split("."))
            ),
            (region,),
        ).fetchone()
    if found is not None:
        raise ConfigError(
            f"table {table} holds the footprints of another region (run_id {found[0]!r}, and "
            f"{region} would remove them); name another table in sinks"
        )
