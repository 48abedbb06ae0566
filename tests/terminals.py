"""The command at a terminal: a pseudo-terminal stands for standard output."""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from pipeline.cli.__main__ import app


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a command showed, and how it ended."""

    code: int
    """Exit code."""
    lines: list[str]
    """What stood on the terminal."""


def at_terminal(*words: str | Path) -> Shown:
    """Run ``overtile WORDS`` in this process with a terminal as standard output."""
    ours, theirs = os.openpty()
    read = bytearray()
    reader = threading.Thread(target=_read_all, args=(ours, read))
    reader.start()
    before = sys.stdout
    try:
        with os.fdopen(theirs, "w", encoding="utf-8") as sys.stdout:
            code = app([str(word) for word in words], standalone_mode=False)
    finally:
        sys.stdout = before
        reader.join(10)
        os.close(ours)
    return Shown(code=code or 0, lines=read.decode().split("\r\n")[:-1])


def _read_all(handle: int, into: bytearray) -> None:
    try:
        while some := os.read(handle, 65536):
            into += some
    except OSError:  # the other end is closed
        return
