"""How commands end: 0 done, 1 failed, 2 usage or configuration, 3 some failed, 75 locked."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from pipeline.errors import ConfigError, LockedError, PipelineError, SceneError


@contextmanager
def failing() -> Iterator[None]:
    """Turn what Overtile raises on purpose into a line for people and an exit code."""
    try:
        yield
    except PipelineError as error:
        report(f"error: {error}")
        raise typer.Exit(exit_code(error)) from error
    except KeyboardInterrupt as error:
        report("stopped; run the same command again to go on where it stopped")
        raise typer.Exit(130) from error


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
