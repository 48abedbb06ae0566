"""A connection to PostgreSQL whose credentials are shown nowhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pipeline.core.redaction import redact
from pipeline.errors import ConfigError, ExportError

if TYPE_CHECKING:
    from psycopg import Connection

_CONNECT_S = 10
WAIT_S = 60
_SHOWN = frozenset({"host", "hostaddr", "port", "dbname", "sslmode", "connect_timeout"})
"""Parameters of a connection that are no credentials."""


@contextmanager
def postgis_transaction(url: str) -> Iterator[Connection[Any]]:
    """Yield a connection in one transaction: kept as a whole at the end, or not at all.

    Args:
        url: ``postgresql://USER@HOST:PORT/DATABASE``; what libpq takes from the environment
            or from a password file need not stand in it.

    Raises:
        ConfigError: The URL cannot be read, or psycopg is not installed.
        ExportError: The server cannot be reached, refuses, or broke off; nothing was changed.
    """
    pg = psycopg()
    target = database_place(url)
    try:
        with pg.connect(
            _plain(url),
            connect_timeout=_connect_s(url),
            application_name="overtile",
        ) as connection:
            connection.execute(f"SET LOCAL lock_timeout = '{WAIT_S}s'")
            yield connection
    except pg.Error as error:
        detail = driver_message(str(error), url)
        reason = f"another writer held it for {WAIT_S} s" if _waited(error) else detail
    else:
        return
    # Outside of the handler: the error of the driver, which may hold the URL, is not chained.
    raise ExportError(f"{target}: {reason}; nothing in it was changed; mend that and run again")


def database_place(url: str) -> str:
    """Return host, port and database of a URL, for people: no user, password or other parameter.

    Raises:
        ConfigError: The URL cannot be read.
    """
    known = _parts(url)
    host = known.get("host") or known.get("hostaddr") or "local socket"
    port = f":{known['port']}" if known.get("port") else ""
    return f"PostgreSQL at {host}{port}/{known.get('dbname') or ''}"


def driver_message(text: str, url: str) -> str:
    """Return a message of a driver on one line, without anything confidential of a URL.

    Raises:
        ConfigError: The URL cannot be read.
    """
    known = _parts(url)
    secrets = [str(value) for name, value in known.items() if name not in _SHOWN]
    return redact(" ".join(text.split()), secrets=[*secrets, url, _plain(url)])


def psycopg() -> ModuleType:
    """Return psycopg.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        import psycopg as module
    except ImportError as error:
        raise ConfigError(
            "writing to PostGIS needs psycopg; install it: pip install 'overtile[postgis]'"
        ) from error
    return module


def _parts(url: str) -> dict[str, Any]:
    pg = psycopg()
    authority, _, path = url.partition("?")[0].partition("://")[2].partition("/")
    # libpq takes what follows a bare "@" or "/" of a password for the host or the database.
    if "://" in url and authority.count("@") <= 1 and "@" not in path:
        try:
            return dict(pg.conninfo.conninfo_to_dict(_plain(url)))
        except pg.Error:
            pass
    raise ConfigError(
        "the URL of the database cannot be read; write it as postgresql://USER@HOST:PORT/DATABASE, "
        "with %-codes for special characters in user and password"
    )


def _plain(url: str) -> str:
    """Return the URL without the name of a driver, which SQLAlchemy's have."""
    return re.sub(r"^(postgres(?:ql)?)\+\w+://", r"\1://", url)


def _connect_s(url: str) -> int:
    return int(_parts(url).get("connect_timeout") or _CONNECT_S)


def _waited(error: Exception) -> bool:
    return getattr(error, "sqlstate", None) == "55P03"
