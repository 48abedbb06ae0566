"""How commands end: 0 done, 1 failed, 2 usage or configuration, 3 some failed, 75 locked."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import typer

from pipeline.errors import ConfigError, LockedError, PipelineError, SceneError, interrupted

_AGAIN_S = 0.01


@contextmanager
def failing() -> Iterator[None]:
    """Turn what Overtile raises on purpose into a line for people and an exit code.

    SIGINT and SIGTERM stop it in words; the second of either ends it at once.
    """
    with _stopping() as came:
        try:
            yield
        except PipelineError as error:
            report(f"error: {error}")
            raise typer.Exit(exit_code(error)) from error
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            longest = max(str(error.filename).split("/"), key=len)[:60]
            report(f"error: {longest}...: a name of more than 255 bytes; give a shorter one")
            raise typer.Exit(2) from error
        except (KeyboardInterrupt, SystemError) as error:
            if not interrupted(error):
                raise
            report("stopped; run the same command again to go on where it stopped")
            raise typer.Exit(128 + (came[0] if came else signal.SIGINT)) from error


def _end_at_once(number: int, _: FrameType | None) -> None:
    os._exit(128 + number)


@contextmanager
def _stopping() -> Iterator[list[int]]:
    """Raise KeyboardInterrupt at the first SIGINT or SIGTERM, and lend which it was."""
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield came
        return

    def stop(number: int, _: FrameType | None) -> None:
        came.append(number)
        for either in before:
            # Not the system's own way: a signal that came just now would find no handler.
            signal.signal(either, _end_at_once)
        raise KeyboardInterrupt

    before = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        # What a shell's background and nohup ignore stays ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, stop)
    try:
        with _raised_again():
            yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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


def report(line: str) -> None:
    """Write a line for people to standard error; what a terminal would obey is spelled out."""
    shown = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in line)
    sys.stderr.write(f"{shown}\n")
    sys.stderr.flush()


def exit_code(error: PipelineError) -> int:
    """Return the exit code of an error that ended a command."""
    if isinstance(error, LockedError):
        return 75
    if isinstance(error, ConfigError):
        return 2
    return 3 if isinstance(error, SceneError) else 1
