"""One run at a time on a region.

On one machine the kernel holds the lock (`pipeline.mapping.lock`), on a PostgreSQL ledger the
server does, for as long as one connection lives. Neither looks at a clock: a holder that
died is gone at once, a machine that vanished after about a minute without an answer.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from pipeline.errors import ExportError, LockedError
from pipeline.mapping.lock import lock_folder
from pipeline.regions.ledger.database import transaction
from pipeline.regions.ledger.ledger import Ledger

_KEY = "hashtextextended('overtile region ' || :region, 0)"
_KEEPALIVE = (
    *("tcp_keepalives_idle=20", "tcp_keepalives_interval=10", "tcp_keepalives_count=4"),
    "tcp_user_timeout=60000",
)
_PROCESS = re.compile(r"process (\d+) on (\S+) since ")
WAY_OUT = "wait for it to end, or stop it: the next run goes on where it is"
Prove = Callable[[], None]


def lock_holder(now: datetime) -> str:
    """Return the identity of this process and the time of its lock."""
    since = now.isoformat(timespec="seconds")
    return f"process {os.getpid()} on {socket.gethostname()} since {since}"


@contextmanager
def lock_region_folder(out: Path) -> Iterator[None]:
    """Hold a region's folder on this machine.

    Raises:
        LockedError: Another run holds it.
        ConfigError: The folder cannot be made or written to.
    """
    try:
        with lock_folder(out):
            yield
    except LockedError as error:
        raise LockedError(error.folder, error.holder, WAY_OUT) from error


@contextmanager
def lock_region(ledger: Ledger, *, holder: str) -> Iterator[Prove]:
    """Hold a region's lock on its database; yield a check that it is still held.

    A SQLite ledger lies in the region's folder and is held with it.

    Raises:
        LockedError: Another run holds it; the message names it.
    """
    if ledger.engine.dialect.name != "postgresql":
        yield lambda: None
        return
    here = {"region": ledger.region}
    with ledger.engine.connect() as connection:
        keep_alive(connection)
        free = connection.execute(text(f"SELECT pg_try_advisory_lock({_KEY})"), here).scalar()
        connection.commit()
        if not free:
            held = text("SELECT holder FROM holders WHERE region = :region")
            detail = connection.execute(held, here).scalar() or "another run"
            raise LockedError(f"region {ledger.region}", str(detail), WAY_OUT)
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
            # The lock belongs to the connection: close it, do not return it to the pool.
            connection.invalidate()


def keep_alive(connection: Connection) -> None:
    """Have the server ask now and then whether this end of a connection is still there."""
    for setting in _KEEPALIVE:
        connection.execute(text(f"SET {setting}"))


def is_held(ledger: Ledger, *, holder: str) -> bool:
    """Return whether the process that began a run may still be running; takes no lock.

    PostgreSQL knows. Beside a SQLite ledger a process of this machine is looked for; of
    another machine's nothing is known here, and it counts as at work.
    """
    if ledger.engine.dialect.name == "postgresql":
        with transaction(ledger.engine) as connection:
            found = connection.execute(
                text(
                    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 "
                    "AND granted AND database = (SELECT oid FROM pg_database "
                    "WHERE datname = current_database()) "
                    f"AND (classid::bigint << 32) | objid::bigint = {_KEY}"
                ),
                {"region": ledger.region},
            ).scalar()
        return bool(found)
    known = _PROCESS.match(holder)
    if known is None or known[2] != socket.gethostname():
        return True
    try:
        os.kill(int(known[1]), 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


def _prove(connection: Connection) -> None:
    try:
        connection.execute(text("SELECT 1"))
        connection.commit()
    except SQLAlchemyError as error:
        raise ExportError(
            "the connection that holds the region is lost, and another run may have begun; "
            "run again"
        ) from error
