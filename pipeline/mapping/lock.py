"""One run at a time on an output folder."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pipeline.errors import ConfigError, LockedError

NAME = ".overtile.lock"


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold an output folder; it is free again when the process ends, however it ends.

    Raises:
        LockedError: Another run holds it; names its process and start.
        ConfigError: The folder cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # A link there would have another file emptied.
        handle = os.fdopen(
            os.open(folder / NAME, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o666),
            "a+",
        )
    except OSError as error:
        raise ConfigError(
            f"--out {folder}: cannot be written to ({error.strerror}); choose another folder"
        ) from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            handle.seek(0)
            raise LockedError(str(folder), _told(handle.read())) from error
        handle.truncate(0)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        json.dump({"pid": os.getpid(), "host": socket.gethostname(), "since": now}, handle)
        handle.flush()
        yield


def _told(text: str) -> str:
    try:
        holder = json.loads(text)
        return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (ValueError, KeyError, TypeError):
        return "another run"
