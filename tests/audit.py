"""What Python asks of the system while something is tried: addresses, connections, files."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_ACTIVE: list[Asked] = []
NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")
FILES = ("open", "os.listdir", "os.scandir")


@dataclass(slots=True)
class Asked:
    """Requests for hosts, and for files below a folder."""

    folder: Path
    """Nothing in it is to be touched."""
    hosts: list[str] = field(default_factory=list)
    """Names and addresses."""
    files: list[str] = field(default_factory=list)
    """Paths."""


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    for asked in _ACTIVE:
        if event in NETWORK:
            asked.hosts.append(f"{event} {arguments[-1] if event == NETWORK[0] else arguments[0]}")
            raise ConnectionRefusedError(f"{event}: no network in tests")
        if event in FILES and isinstance(arguments[0], str | bytes | os.PathLike):
            path = os.fsdecode(arguments[0])
            if str(asked.folder) in path:
                asked.files.append(path)


sys.addaudithook(_watch)


@contextmanager
def watched(folder: Path) -> Iterator[Asked]:
    """Refuse every connection and note every file that is opened below ``folder``."""
    asked = Asked(folder)
    _ACTIVE.append(asked)
    try:
        yield asked
    finally:
        _ACTIVE.remove(asked)
