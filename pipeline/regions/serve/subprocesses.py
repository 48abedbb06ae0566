"""Runs as processes of their own: what ends one of them ends neither the server nor the others."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.redaction import redact
from pipeline.regions.clock import Clock
from pipeline.regions.scenes import Reporter

_LONGEST_LINE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run that this server started stands."""

    began: float
    """Seconds since 1970."""
    code: int | None = None
    """Exit code; None while it runs."""
    line: str = ""
    """The last line of its output."""


class RunProcesses:
    """Starts a run of a region, waits for it, and stops all of them."""

    def __init__(self, *, clock: Clock, report: Reporter) -> None:
        """Take what time it is, and where lines go."""
        self._clock, self._report = clock, report
        self._lock = threading.Lock()
        self._stopping = False
        self._running: dict[Path, subprocess.Popen[str]] = {}
        self._outcomes: dict[Path, Outcome] = {}

    def run(self, file: Path, name: str) -> None:
        """Run a region and return when that has ended; a second one ends with code 75."""
        command = [sys.executable, "-Pm", "pipeline.cli.__main__", "region", "run", str(file)]
        began = self._clock().timestamp()
        with self._lock:
            if self._stopping:
                return
            # A session of its own: Ctrl-C reaches the server alone, which passes it on.
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            self._running[file] = process
            self._outcomes[file] = Outcome(began=began)
        self._report(f"{name}: begins")
        with process:
            line = self._lines(process.stderr or (), name)
        code = process.wait()
        with self._lock:
            del self._running[file]
            self._outcomes[file] = Outcome(began=began, code=code, line=line)
        self._report(f"{name}: ended with code {code}")

    def outcomes(self) -> Mapping[Path, Outcome]:
        """Return how the last run of each region stands that was started here."""
        with self._lock:
            return dict(self._outcomes)

    def stop(self, *, within_s: float) -> None:
        """Ask runs to stop and start no more; who does not in time is killed.

        Nothing is lost either way: the next run goes on where they were.
        """
        with self._lock:
            self._stopping = True
            running = list(self._running.values())
        for process in running:
            process.send_signal(signal.SIGTERM)  # SIGINT may be ignored here, and so by them
        until = time.monotonic() + within_s
        for process in running:
            try:
                process.wait(max(until - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                process.kill()

    def _lines(self, stream: Iterable[str], name: str) -> str:
        last = ""
        for line in stream:
            if line.strip():
                last = redact(line.strip())[:_LONGEST_LINE]
                self._report(f"{name}: {last}")
        return last
