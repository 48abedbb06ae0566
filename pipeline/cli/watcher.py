"""Ends a process that a second signal to stop does not end, from outside its interpreter.

`pipeline.cli.stop` starts this file as a program of its own (``python -I -S watcher.py``), so
that it imports nothing but the standard library. Standard input is a socket whose other end
CPython's signal handler of the watched process, its parent, writes to: one byte a signal, in C,
without the GIL. Standard output and error are not held, nor is any other descriptor.

It runs in a session of its own with the signals to stop blocked, so that neither Ctrl-C, nor a
terminal that is closed, nor a signal to a whole control group ends it. It ends with its parent,
whose end closes the socket.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

ARM, DISARM = 0xFE, 0xFF
"""Bytes that are no signal: count signals from none; do not count."""
ENDED = b"."
"""Sent back once all children are ended."""
STOPS = (signal.SIGINT, signal.SIGTERM)
"""Signals to stop; the second one of either ends the process."""
GRACE_S = 2.0
"""How long the process may take to end by itself after the second signal."""
_ROUNDS = 20


def main() -> None:
    """Count signals until the parent has ended; end it at the second.

    Arguments are the parent, for it may have ended before this began, and what to spare.
    """
    parent, *others = map(int, sys.argv[1:])
    spared = {os.getpid(), *others}
    count = None
    while received := os.read(0, 64):
        for byte in received:
            if byte == ARM:
                count = 0
            elif byte == DISARM:
                count = None
            elif count is not None and byte in STOPS:
                count += 1
                if count == 2:
                    _end(parent, spared)
                    return


def _end(parent: int, spared: set[int]) -> None:
    """Kill the children of the parent at once, and the parent where it does not end soon."""
    if not _is_parent(parent):
        return
    _kill_descendants(parent, spared)
    with suppress(OSError):
        os.write(0, ENDED)
    poll = select.poll()
    poll.register(0, select.POLLHUP)
    if not poll.poll(GRACE_S * 1000) and _is_parent(parent):
        _kill_descendants(parent, spared)
        if _is_parent(parent):
            os.kill(parent, signal.SIGKILL)


def _is_parent(pid: int) -> bool:
    """Return whether a process is still our parent.

    Once that has ended its number may be another's, and our parent is process 1, whose
    descendants are the whole machine.
    """
    return pid > 1 and os.getppid() == pid


def _kill_descendants(parent: int, spared: set[int]) -> None:
    """Kill the children of a process and theirs, all at rest, so that none begins another."""
    stopped: set[int] = set()
    for _ in range(_ROUNDS):
        if not _is_parent(parent):
            break
        found = _descendants(parent, _parents(), spared) - stopped
        if not found:
            break
        for pid in found:
            _send(pid, signal.SIGSTOP)
        stopped |= found
    for pid in stopped:
        _send(pid, signal.SIGKILL)


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _descendants(parent: int, parents: dict[int, int], spared: set[int]) -> set[int]:
    """Return the descendants of a process, without the spared and what descends from those."""
    children: dict[int, list[int]] = {}
    for pid, above in parents.items():
        children.setdefault(above, []).append(pid)
    found: set[int] = set()
    open_ = [parent]
    while open_:
        new = [pid for pid in children.get(open_.pop(), ()) if pid not in spared | found]
        found.update(new)
        open_ += new
    return found


def _parents() -> dict[int, int]:
    """Return the parent of each process: from ``/proc``, elsewhere (macOS) from ``ps``."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            # pid (name) state ppid: the name may hold spaces and brackets.
            found[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    if not found:
        with suppress(OSError):
            listed = subprocess.run(
                ["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=False
            )
            rows = [line.split() for line in listed.stdout.splitlines()]
            found = {int(pid): int(above) for pid, above in rows}
    return found


if __name__ == "__main__":
    main()
