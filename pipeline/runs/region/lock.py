"""One run at a time on a region.

On one machine the kernel holds the lock (`pipeline.runs.lock`), on a PostgreSQL ledger the
server does, for as long as one connection lives. Neither looks at a clock: a holder that
died is gone at once, a machine that vanished after about a minute without an answer.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from pipeline.errors import ExportError, LockedError
from pipeline.runs.lock import holding
from pipeline.runs.region.ledger import Ledger, transaction

_KEY = "hashtextextended('overtile region ' || :region, 0)"
_KEEPALIVE = ("tcp_keepalives_idle=20", "tcp_keepalives_interval=10", "tcp_keepalives_count=4")
Prove = Callable[[], None]


def me(now: datetime) -> str:
    """Return who this process is, and since when it holds what it holds."""
    since = now.isoformat(timespec="seconds")
    return f"process {os.getpid()} on {socket.gethostname()} since {since}"


@contextmanager
def holding_folder(out: Path) -> Iterator[None]:
    """Hold a region's folder on this machine.

    Raises:
        LockedError: Another run holds it.
        ConfigError: The folder cannot be made or written to.
    """
    with holding(out):
        yield


@contextmanager
def holding_region(ledger: Ledger, *, holder: str) -> Iterator[Prove]:
    """Hold a region on its database; lend what proves that it is still held.

    A SQLite ledger lies in the region's folder and is held with it.

    Raises:
        LockedError: Another run holds it; says who and since when.
    """
    if ledger.engine.dialect.name != "postgresql":
        yield lambda: None
        return
    here = {"region": ledger.region}
    with ledger.engine.connect() as connection:
        for setting in _KEEPALIVE:
            connection.execute(text(f"SET {setting}"))
        free = connection.execute(text(f"SELECT pg_try_advisory_lock({_KEY})"), here).scalar()
        connection.commit()
        if not free:
            held = text("SELECT holder FROM holders WHERE region = :region")
            told = connection.execute(held, here).scalar() or "another run"
            raise LockedError(f"region {ledger.region}", str(told))
        try:
            with transaction(ledger.engine) as other:
                other.execute(
                    text(
                        "INSERT INTO holders VALUES (:region, :holder) "
                        "ON CONFLICT (region) DO UPDATE SET holder = excluded.holder"
                    ),
                    here | {"holder": holder},
                )
            yield lambda: _prove(connection)
        finally:
            # The lock belongs to the connection: end it, do not lend it on.
            connection.invalidate()


def _prove(connection: Connection) -> None:
    try:
        connection.execute(text("SELECT 1"))
        connection.commit()
    except SQLAlchemyError as error:
        raise ExportError(
            "the connection that holds the region is lost, and another run may have begun; "
            "run again"
        ) from error
