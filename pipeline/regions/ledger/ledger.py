"""The ledger of a region: what was seen, mapped, failed and published; a real database.

SQLite beside the outputs, or PostgreSQL by URL. Every change is one transaction, so that
a process killed at any instant leaves the state before it or after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from pipeline.core.redaction import redact
from pipeline.errors import ConfigError
from pipeline.outputs.postgis.connect import database_place
from pipeline.regions.ledger.database import (
    database_error,
    first_line,
    postgres,
    sqlite,
    transaction,
)
from pipeline.regions.ledger.migrations import MIGRATIONS
from pipeline.regions.ledger.records import RunRow, SceneRow

NAME = "ledger.sqlite"


class Ledger:
    """The ledger of one region; open it with `open_ledger`."""

    def __init__(self, engine: Engine, region: str) -> None:
        """Take an engine whose tables are of this version."""
        self.engine = engine
        self.region = region

    def scenes(self) -> dict[str, SceneRow]:
        """Return every scene by its name."""
        with transaction(self.engine) as connection:
            rows = connection.execute(
                text(f"SELECT {_names(SceneRow)} FROM scenes WHERE region = :region"),
                {"region": self.region},
            ).all()
        return {row.scene: SceneRow(**row._mapping) for row in rows}

    def folders_of_others(self) -> set[str]:
        """Return the folders of results that other regions of this database refer to."""
        with transaction(self.engine) as connection:
            rows = connection.execute(
                text("SELECT folder FROM scenes WHERE region <> :region AND folder IS NOT NULL"),
                {"region": self.region},
            ).all()
        return {str(row.folder) for row in rows}

    def regions(self) -> set[str]:
        """Return the names of all regions of this database that were run."""
        with transaction(self.engine) as connection:
            rows = connection.execute(text("SELECT DISTINCT region FROM runs")).all()
        return {str(row.region) for row in rows}

    def put(self, rows: Sequence[SceneRow]) -> None:
        """Write scenes, in one transaction."""
        with transaction(self.engine) as connection:
            self._upsert(connection, "scenes", ("region", "scene"), [_columns(row) for row in rows])

    def record(self, row: SceneRow, tiles: Mapping[int, str]) -> None:
        """Record the result of a scene, and its failed tiles."""
        with transaction(self.engine) as connection:
            self._upsert(connection, "scenes", ("region", "scene"), [_columns(row)])
            here = {"region": self.region, "scene": row.scene}
            connection.execute(
                text("DELETE FROM tiles_failed WHERE region = :region AND scene = :scene"), here
            )
            failed = [here | {"tile": tile, "reason": redact(why)} for tile, why in tiles.items()]
            self._upsert(connection, "tiles_failed", ("region", "scene", "tile"), failed)

    def runs(self) -> list[RunRow]:
        """Return all runs, the first one first."""
        with transaction(self.engine) as connection:
            rows = connection.execute(
                text(f"SELECT {_names(RunRow)} FROM runs WHERE region = :region ORDER BY run"),
                {"region": self.region},
            ).all()
        return [RunRow(**row._mapping) for row in rows]

    def begin(self, *, holder: str, now: float, after: int = 0) -> RunRow:
        """Return a new run; whatever still counts as running was interrupted.

        Only the process that holds the region's lock may call it.

        Args:
            holder: Process and host of the run.
            now: Seconds since 1970.
            after: A number that is taken: of a run on disk that no ledger knows any more.
        """
        with transaction(self.engine) as connection:
            here = {"region": self.region}
            connection.execute(
                text(
                    "UPDATE runs SET state = 'interrupted' "
                    "WHERE region = :region AND state = 'running'"
                ),
                here,
            )
            last = connection.execute(
                text("SELECT max(run) FROM runs WHERE region = :region"), here
            ).scalar()
            number = max(last or 0, after) + 1
            row = RunRow(run=number, state="running", holder=holder, began_at=now)
            self._upsert(connection, "runs", ("region", "run"), [asdict(row)])
        return row

    def commit(
        self,
        row: RunRow,
        *,
        outputs: Mapping[str, tuple[int, str]],
        timings: Mapping[str, float],
    ) -> None:
        """Write how a run ended: the last thing that it does.

        Args:
            row: The run.
            outputs: Bytes and sha256 of each file, by its path.
            timings: Seconds of each stage.
        """
        at = {"run": row.run}
        files = [at | {"path": p, "bytes": n, "sha256": d} for p, (n, d) in outputs.items()]
        stages = [at | {"stage": stage, "seconds": took} for stage, took in timings.items()]
        with transaction(self.engine) as connection:
            self._upsert(connection, "runs", ("region", "run"), [asdict(row)])
            self._upsert(connection, "outputs", ("region", "run", "path"), files)
            self._upsert(connection, "timings", ("region", "run", "stage"), stages)

    def published(self) -> RunRow | None:
        """Return the last run that published a layer."""
        return next((r for r in reversed(self.runs()) if r.state == "done" and r.layer), None)

    def forget_layer(self, run: RunRow) -> None:
        """Note that the layer of an old run is no longer there, nor its files."""
        with transaction(self.engine) as connection:
            self._upsert(connection, "runs", ("region", "run"), [asdict(replace(run, layer=None))])
            connection.execute(
                text("DELETE FROM outputs WHERE region = :region AND run = :run"),
                {"region": self.region, "run": run.run},
            )

    def delivered(self) -> dict[str, str | None]:
        """Return the key of the layer that each sink holds; None where the last try failed."""
        with transaction(self.engine) as connection:
            rows = connection.execute(
                text("SELECT sink, layer_key FROM deliveries WHERE region = :region"),
                {"region": self.region},
            ).all()
        return {str(row.sink): row.layer_key for row in rows}

    def deliver(self, sink: str, *, layer_key: str | None, reason: str | None, now: float) -> None:
        """Note which layer a sink holds, or why it does not hold the current one."""
        shown = None if reason is None else redact(reason)
        row = {"sink": sink, "layer_key": layer_key, "reason": shown, "tried_at": now}
        with transaction(self.engine) as connection:
            self._upsert(connection, "deliveries", ("region", "sink"), [row])

    def close(self) -> None:
        """Let the database go."""
        self.engine.dispose()

    def _upsert(
        self,
        connection: Connection,
        table: str,
        key: tuple[str, ...],
        rows: Sequence[Mapping[str, Any]],
    ) -> None:
        if not rows:
            return
        names = ["region", *rows[0]] if "region" not in rows[0] else list(rows[0])
        others = ", ".join(f"{name} = excluded.{name}" for name in names if name not in key)
        statement = (
            f"INSERT INTO {table} ({', '.join(names)}) "
            f"VALUES ({', '.join(':' + name for name in names)}) "
            f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {others}"
        )
        connection.execute(text(statement), [{"region": self.region, **row} for row in rows])


def open_ledger(out: Path, *, region: str, url: str | None = None) -> Ledger:
    """Return the ledger of a region, its tables brought to this version.

    Args:
        out: Folder of the SQLite file, where there is no URL.
        region: Name of the region; several share a PostgreSQL database.
        url: ``postgresql://...``.

    Raises:
        ConfigError: It is no ledger, was written by a later version, or its database is down.
        ExportError: The disk is full, or the file may not be written.
    """
    engine = sqlite(out / NAME) if url is None else postgres(url)
    shown = str(out / NAME) if url is None else database_place(url)
    try:
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE IF NOT EXISTS version (version INTEGER)"))
            known = connection.execute(text("SELECT max(version) FROM version")).scalar() or 0
            if known > len(MIGRATIONS):
                raise ConfigError(
                    f"{shown}: its version is {known}, this Overtile knows {len(MIGRATIONS)}; "
                    "use the later Overtile that wrote it"
                )
            for at in range(known, len(MIGRATIONS)):
                for statement in MIGRATIONS[at]:
                    connection.execute(text(statement))
                connection.execute(text("INSERT INTO version VALUES (:v)"), {"v": at + 1})
    except SQLAlchemyError as error:
        if url is None:
            raise database_error(error, engine) from error
        raise ConfigError(
            f"{shown}: cannot be used as a ledger ({first_line(error, engine)}); start that "
            "server, or mend the URL in the variable that ledger_env names"
        ) from error
    return Ledger(engine, region)


def _columns(row: SceneRow) -> dict[str, Any]:
    """Return what is stored of a scene: the reason may quote a URL."""
    return asdict(row) | {"reason": None if row.reason is None else redact(row.reason)}


def _names(row: type[SceneRow] | type[RunRow]) -> str:
    return ", ".join(field.name for field in fields(row))
