"""Signals that stop a command: the first in order, the second at once, whatever holds it.

Python runs signal handlers between two instructions of the main thread: not while compiled code
holds that thread, nor while any thread holds the GIL. So a second process watches (`watcher`):
CPython's own handler in C writes each signal to a socket, without the GIL
(`signal.set_wakeup_fd`). At the second SIGINT or SIGTERM, in any order, it kills the children
of this process, and after two seconds this process as well if that has not ended by itself with
128 + the signal's number. Chosen over ``sigaction`` with ``SA_RESETHAND``: that counts each
signal apart (SIGTERM, then SIGINT would not end it), leaves children behind, and needs the
layout of a C structure for each platform.

- A signal that is ignored (SIGINT in a shell's background) stays ignored, and does not count.
- Process 1 of a container cannot be killed from inside: it becomes an init, and the command
  runs in its child (`run_under_init`).
- A worker that a scheduler starts (``dask worker``) is no command of ours: its nanny ends it.
- A forked child gives up its copy of the socket: a signal to it does not count.
- Children that were there before the command began (a shell's, before ``exec``) are spared.
- On macOS the same, with ``ps`` in place of ``/proc``. Where no process can be started, signals
  are handled by Python alone.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from pipeline.cli import watcher

_CHILDREN_S = 0.5
_AGAIN_S = 0.01
_BLOCKED = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP}


@contextmanager
def stopping() -> Iterator[list[int]]:
    """Raise KeyboardInterrupt at the first SIGINT or SIGTERM, and yield the signal's number.

    The second of either ends the process at once, and its children, also after the block: a
    process that was told to stop is on its way to its end.
    """
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield came
        return

    def stop(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if len(came) > 1:
            _end_at_once(number, frame)
        for either in before:
            # Not the system's own way: a signal that came just now would find no handler.
            signal.signal(either, _end_at_once)
        raise KeyboardInterrupt

    before = {}
    with _watched(came):
        for number in watcher.STOPS:
            # What a shell's background and nohup ignore stays ignored.
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, stop)
        try:
            with _raised_again():
                yield came
        finally:
            if not came:
                for number, handler in before.items():
                    signal.signal(number, handler)


def _end_at_once(number: int, _: FrameType | None) -> None:
    if _state.link is not None:
        # It is being written to as well: our children end before we do.
        with suppress(OSError, ValueError):
            select.select([_state.link], [], [], _CHILDREN_S)
    os._exit(128 + number)


@dataclass(slots=True)
class _State:
    """The watcher of this process."""

    link: socket.socket | None = None
    """Our end of the socket that it reads."""
    pid: int = 0
    """Its process."""
    spared: tuple[int, ...] = ()
    """Children that were there before the command."""


_state = _State()


def spare_children() -> None:
    """Note the children that this process has: they are not the command's."""
    if sys.platform == "linux":
        found = (path.read_text().split() for path in Path("/proc/self/task").glob("*/children"))
        with suppress(OSError):
            _state.spared = tuple(int(pid) for pids in found for pid in pids)


@contextmanager
def _watched(came: list[int]) -> Iterator[None]:
    """Have signals counted by a watcher; after one came, to the end of the process."""
    link = _link()
    if link is None:
        yield
        return
    _send(link, watcher.ARM)
    before = signal.set_wakeup_fd(link.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        if not came:
            signal.set_wakeup_fd(before)
            _send(link, watcher.DISARM)


def _link() -> socket.socket | None:
    """Return the socket to this process's watcher, started where none runs; None: without one."""
    if _state.link is not None:
        with suppress(ChildProcessError):
            if os.waitpid(_state.pid, os.WNOHANG)[0]:
                _forget()
    if _state.link is None and sys.executable and os.getpid() != 1:
        with suppress(OSError):
            _start()
    return _state.link


def _start() -> None:
    ours, others = socket.socketpair()
    numbers = map(str, (os.getpid(), *_state.spared))
    command = [sys.executable, "-I", "-S", watcher.__file__, *numbers]
    # Inherited by the watcher, and there for good.
    masked = signal.pthread_sigmask(signal.SIG_BLOCK, _BLOCKED)
    try:
        with others:
            process = subprocess.Popen(
                command,
                stdin=others.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )
    except OSError:
        ours.close()
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, masked)
    process.returncode = 0  # it is to run on when this object goes
    ours.settimeout(0)  # the handler in C must not wait
    _state.link, _state.pid = ours, process.pid


def _send(link: socket.socket, byte: int) -> None:
    with suppress(OSError):
        link.send(bytes([byte]))


def _forget() -> None:
    """Give up the watcher: it has ended, or is that of the process which forked this one."""
    if _state.link is None:
        return
    written_to = signal.set_wakeup_fd(-1)
    if written_to not in (-1, _state.link.fileno()):
        signal.set_wakeup_fd(written_to)
    _state.link.close()
    _state.link, _state.pid = None, 0


os.register_at_fork(after_in_child=_forget)


def run_under_init() -> None:
    """Return in a child where this is process 1; process 1 passes on signals, and ends with it.

    The kernel keeps SIGKILL of the same container, and signals without a handler, from
    process 1. It reaps what is left to it as well, as an init must.
    """
    if os.getpid() != 1:
        return
    passed = {*_BLOCKED, signal.SIGUSR1, signal.SIGUSR2} - {signal.SIGTSTP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*passed, signal.SIGCHLD, signal.SIGTTOU})
    child = os.fork()
    if child == 0:
        # A terminal's Ctrl-C is for the child alone, or it would come twice.
        os.setpgid(0, 0)
        with suppress(OSError):
            os.tcsetpgrp(0, os.getpgrp())
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    while True:
        number = signal.sigwait({*passed, signal.SIGCHLD})
        if number != signal.SIGCHLD:
            os.kill(child, number)
            continue
        ended = 1
        while ended:
            ended, status = os.waitpid(-1, os.WNOHANG)
            if ended == child:
                code = os.waitstatus_to_exitcode(status)
                os._exit(code if code >= 0 else 128 - code)


@contextmanager
def _raised_again() -> Iterator[None]:
    """Raise KeyboardInterrupt again where it came while an object was taken down.

    Python tells of what goes wrong there, and goes on.
    """
    hook, alarm = sys.unraisablehook, signal.getsignal(signal.SIGALRM)
    rung = False

    def dropped(what: sys.UnraisableHookArgs) -> None:
        nonlocal rung
        if isinstance(what.exc_value, KeyboardInterrupt):
            rung = True
            signal.signal(signal.SIGALRM, signal.default_int_handler)
            signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)
        else:
            hook(what)

    sys.unraisablehook = dropped
    try:
        yield
    finally:
        sys.unraisablehook = hook
        if rung:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, alarm)
