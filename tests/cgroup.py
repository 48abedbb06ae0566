"""Processes that may take so much memory, and no more: a cgroup, where one can be made."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

ROOT = Path("/sys/fs/cgroup")


@contextmanager
def at_most(size: int) -> Iterator[Callable[[], None]]:
    """Lend what a child calls to be among processes that may take ``size`` bytes together.

    They are killed where they cannot do with less. Skips where no such group can be made.
    """
    name = f"overtile-{uuid.uuid4().hex[:8]}"
    if (ROOT / "memory" / "memory.limit_in_bytes").exists():
        group, limit = ROOT / "memory" / name, "memory.limit_in_bytes"
    else:
        group, limit = ROOT / name, "memory.max"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup can be made here ({error.strerror})")
    try:
        try:
            (group / limit).write_text(str(size))
        except OSError as error:
            pytest.skip(f"cgroups here do not limit memory ({error.strerror})")
        # Nothing is swapped out instead.
        for swap in ("memory.swap.max", "memory.swappiness"):
            with suppress(OSError):
                (group / swap).write_text("0")
        yield lambda: _join(group)
    finally:
        _remove(group)


def _remove(group: Path) -> None:
    """Remove a group; what watched a command in it ends a moment after the command."""
    end = time.monotonic() + 10
    while True:
        try:
            return group.rmdir()
        except OSError:
            if time.monotonic() > end:
                raise
        time.sleep(0.05)


def _join(group: Path) -> None:
    (group / "cgroup.procs").write_text(str(os.getpid()))
