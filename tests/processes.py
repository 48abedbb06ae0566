"""Processes looked at from outside."""

from __future__ import annotations

import subprocess
import time
from contextlib import suppress
from pathlib import Path


def descendants(pid: int) -> set[int]:
    """Return the processes below one."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
    )
    rows = [tuple(map(int, line.split())) for line in listed.stdout.splitlines()]
    found, known = {pid}, 0
    while len(found) > known:
        known = len(found)
        found |= {below for below, above in rows if above in found}
    return found - {pid}


def lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def files(pid: int) -> set[str]:
    """Return the kinds of files that a process holds open."""
    links = []
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since they were listed
            links.append(str(path.readlink()))
    return {link.partition(":")[0] for link in links}


def gone(pids: set[int]) -> bool:
    """Wait until processes have ended."""
    end = time.monotonic() + 10
    while any(map(lives, pids)) and time.monotonic() < end:
        time.sleep(0.02)
    return not any(map(lives, pids))
