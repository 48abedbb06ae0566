"""The command in a process of its own that can be starved, stopped and killed.

All is imported once, before processes are forked off: a fault falls into the work, not
into the start.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    ["pipeline.cli.__main__", "pipeline.mapping.run", "pipeline.mapping.plan_scene", "tests.forked"]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a process is denied."""

    file_bytes: int | None = None
    """No file may grow larger."""
    open_files: tuple[int, int] | None = None
    """So many files may be open at once: soft and hard limit."""
    user: int | None = None
    """Whose rights it has; None: ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended."""

    code: int
    """Exit code; negative: the signal that killed it."""
    said: str
    """What it wrote to standard error."""
    stdout: str
    """What it wrote to standard output."""

    @property
    def summary(self) -> dict[str, Any]:
        """The JSON that it printed."""
        found: dict[str, Any] = json.loads(self.stdout)
        return found


class Started:
    """A command under way."""

    def __init__(
        self,
        place: Path,
        arguments: tuple[str, ...],
        limits: Limits,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        """Start it after ``prepare`` in its process; what it says goes to files in ``place``."""
        self._said, self._stdout = place / "stderr.txt", place / "stdout.txt"
        for path in (self._said, self._stdout):
            path.write_text("")
            path.chmod(0o666)
        where = str(self._said), str(self._stdout)
        self._process: ForkServerProcess = _FORKS.Process(
            target=_main, args=(arguments, limits, prepare, *where)
        )
        self._process.start()

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid or 0

    def wait(self, timeout_s: float = 240) -> Ended:
        """Return how it ended; it is killed if it does not end in time."""
        self._process.join(timeout_s)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
            raise TimeoutError(f"no end after {timeout_s} s: {self._said.read_text('utf-8')}")
        code = self._process.exitcode
        said, stdout = (path.read_text("utf-8") for path in (self._said, self._stdout))
        return Ended(code=-1 if code is None else code, said=said, stdout=stdout)

    def wait_until(self, due: Callable[[], bool]) -> bool:
        """Wait until something is so; return whether the command was still under way."""
        while self._process.is_alive():
            if due():
                return True
            time.sleep(0.002)
        return False

    def send(self, number: int) -> None:
        """Send a signal, unless it has just ended."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)


def overtile(place: Path, *arguments: str, limits: Limits | None = None) -> Ended:
    """Run ``overtile ARGUMENTS`` to its end."""
    return Started(place, arguments, limits or Limits()).wait()


def map_arguments(scene: Path, out: Path, *more: str) -> tuple[str, ...]:
    """Return the command that maps a scene with the threshold model, in small tiles."""
    settings = ("--task", "bright", "--device", "cpu", "--executor", "serial", "--tile", "64")
    return ("map", str(scene), "--out", str(out), *settings, *more)


def _main(
    arguments: tuple[str, ...],
    limits: Limits,
    prepare: Callable[[], None] | None,
    said: str,
    stdout: str,
) -> None:
    # As a shell starts it: no files of ours, and none of pytest's ways.
    for number, path in ((2, said), (1, stdout)):
        handle = os.open(path, os.O_WRONLY | os.O_TRUNC)
        os.dup2(handle, number)
        os.close(handle)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", closefd=False)
    # A fork server, and a shell's background, ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if limits.file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limits.file_bytes, limits.file_bytes))
    if limits.user is not None:
        os.setgroups([])
        os.setgid(limits.user)
        os.setuid(limits.user)
    if limits.open_files is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits.open_files)
    if prepare is not None:
        prepare()
    from pipeline.cli.__main__ import app

    app(arguments)
