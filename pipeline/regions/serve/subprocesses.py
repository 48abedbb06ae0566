"""Runs as processes of their own: one that crashes ends neither the server nor the others."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from pipeline.core.redaction import redact
from pipeline.regions.scenes import Reporter

_LONGEST_LINE = 500


class RunProcesses:
    """Starts a run of a region, waits for it, and stops all of them."""

    def __init__(self, *, report: Reporter) -> None:
        """Take the receiver of lines for people."""
        self._report = report
        self._lock = threading.Lock()
        self._stopping = False
        self._running: dict[Path, subprocess.Popen[str]] = {}

    def run(self, file: Path, name: str) -> None:
        """Run a region and return when that has ended; a second one ends with code 75."""
        command = [sys.executable, "-Pm", "pipeline.cli.__main__", "region", "run", str(file)]
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
        self._report(f"{name}: begins")
        with process:
            self._relay(process.stderr or (), name)
        code = process.wait()
        with self._lock:
            del self._running[file]
        self._report(f"{name}: ended with code {code}")

    def stop(self, *, within_s: float) -> None:
        """Ask runs to stop and start no more; those that do not end in time are killed.

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

    def _relay(self, stream: Iterable[str], name: str) -> None:
        for line in stream:
            if line.strip():
                self._report(f"{name}: {redact(line.strip())[:_LONGEST_LINE]}")
