"""Calls ``overtile`` from an orchestrator's own environment, which need not hold Overtile."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

LOCKED = 75
"""Exit code: another run holds the region."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended."""

    code: int
    """Its exit code: 0 done, 3 some scenes failed, 75 another run holds the region, ..."""
    summary: dict[str, Any]
    """What it printed; empty where it failed."""
    line: str
    """The last line that it told people."""


def overtile(*arguments: str, report: Callable[[str], object]) -> Ended:
    """Run ``overtile`` to its end.

    The program is ``$OVERTILE``, or else ``overtile`` on the path. When the caller is
    interrupted it is killed, which loses nothing: the next run goes on.

    Args:
        arguments: Such as ``region``, ``run`` and a file.
        report: Takes its lines of progress.
    """
    # A plan of many scenes is longer than a pipe holds: a file takes it.
    with tempfile.TemporaryFile("w+", encoding="utf-8") as told:
        command = [os.environ.get("OVERTILE", "overtile"), *arguments]
        line = ""
        with subprocess.Popen(command, stdout=told, stderr=subprocess.PIPE, text=True) as process:
            try:
                for line in process.stderr or ():
                    report(line.rstrip())
            except BaseException:
                process.kill()
                raise
        told.seek(0)
        text = told.read()
    summary = json.loads(text) if process.returncode in (0, 3) else {}
    return Ended(code=process.returncode, summary=summary, line=line.rstrip())
