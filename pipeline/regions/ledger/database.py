"""The databases that a ledger lives in, one transaction at a time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from pipeline.core.redaction import redact
from pipeline.errors import ConfigError, ExportError
from pipeline.outputs.postgis.connect import database_place, driver_message


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """Yield a connection in one transaction.

    Raises:
        ExportError: The database failed; nothing was changed.
        ConfigError: The file is damaged.
    """
    try:
        with engine.begin() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise database_error(error, engine) from error


def database_error(error: SQLAlchemyError, engine: Engine) -> ConfigError | ExportError:
    """Convert an error of the database to one of Overtile."""
    shown = engine.url.database if engine.dialect.name == "sqlite" else "the ledger"
    words = first_line(error, engine)
    if engine.dialect.name == "sqlite" and not isinstance(error, OperationalError):
        return ConfigError(
            f"{shown}: cannot be used as a ledger ({words}); move it away, with its -wal "
            "and -shm, put a copy there if you have one, and run again: scenes that are mapped "
            "are found again, attempts and the history of runs are not"
        )
    return ExportError(
        f"{shown}: the ledger could not be read or written: {words}; free space, grant "
        "rights or start the database, then run again"
    )


def first_line(error: SQLAlchemyError, engine: Engine) -> str:
    """Return the first line of a driver's message, without credentials."""
    line = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
    if engine.dialect.name == "sqlite":
        return redact(line)
    return driver_message(line, engine.url.render_as_string(hide_password=False))


def sqlite(path: Path) -> Engine:
    """Return the database of a file."""
    # A connection a transaction: nothing is open in between, also not in a child process.
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _: object) -> None:
        connection.isolation_level = None  # pysqlite's own begins come too late
        for setting in ("busy_timeout=20000", "journal_mode=WAL", "synchronous=FULL"):
            connection.execute(f"PRAGMA {setting}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def postgres(url: str) -> Engine:
    """Return the database of a URL.

    Raises:
        ConfigError: It is none of PostgreSQL's, or cannot be read.
    """
    scheme, separator, rest = url.partition("://")
    if scheme not in ("postgresql", "postgresql+psycopg"):
        # What is no scheme may be a password.
        known = separator and re.fullmatch(r"[a-z][a-z0-9+]{0,19}", scheme)
        begins = f"begins with {scheme!r}" if known else "has no scheme"
        raise ConfigError(
            f"the ledger's URL {begins}, and must be "
            "postgresql://USER@HOST/DATABASE; set the variable that ledger_env names"
        )
    database_place(url)
    try:
        return create_engine(f"postgresql+psycopg://{rest}", pool_pre_ping=True)
    except (SQLAlchemyError, ImportError, ValueError) as error:
        raise ConfigError(f"the ledger's URL cannot be used ({type(error).__name__})") from error
