"""How commands end: 0 done, 1 failed, 2 usage or configuration, 3 some failed, 75 locked."""

from __future__ import annotations

import errno
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import typer

from pipeline.cli.open_files import lacks_open_files, too_few
from pipeline.cli.stop import stopping
from pipeline.cli.streams import printable, redacted_stderr
from pipeline.core.redaction import redact
from pipeline.errors import ConfigError, LockedError, PipelineError, SceneError, interrupted


@contextmanager
def failing(*, again: str = "the same command again") -> Iterator[None]:
    """Turn what Overtile raises on purpose into a line for people and an exit code.

    SIGINT and SIGTERM stop it with a message; the second of either ends it at once. What is
    written to standard error meanwhile shows no credentials.

    Args:
        again: What to run to go on where a signal stopped it.
    """
    with redacted_stderr(), stopping() as came:
        try:
            yield
        except (KeyboardInterrupt, SystemError) as error:
            if not interrupted(error):
                raise
            report(f"stopped; run {again} to go on where it stopped")
            raise typer.Exit(128 + (came[0] if came else signal.SIGINT)) from error
        except Exception as error:
            line, code = _ending(error)
            if not line:
                raise
            report(f"error: {line}")
            raise typer.Exit(code) from error


def _ending(error: Exception) -> tuple[str, int]:
    """Return the message and the exit code of an error; no message for an internal fault."""
    if lacks_open_files(error):
        return too_few(), 1
    if isinstance(error, PipelineError):
        return str(error), exit_code(error)
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        longest = max(str(error.filename).split("/"), key=len)[:60]
        return f"{longest}...: a name of more than 255 bytes; give a shorter one", 2
    return "", 1


def report(line: str) -> None:
    """Write a line for people to standard error; what a terminal would obey is spelled out."""
    sys.stderr.write(f"{printable(redact(line))}\n")
    sys.stderr.flush()


def summary_code(summary: Mapping[str, Any]) -> int:
    """Return the exit code of a command that printed its summary."""
    if summary.get("stopped"):
        return 1
    return 3 if summary["failed"] or summary.get("faults") else 0


def exit_code(error: PipelineError) -> int:
    """Return the exit code of an error that ended a command."""
    if isinstance(error, LockedError):
        return 75
    if isinstance(error, ConfigError):
        return 2
    return 3 if isinstance(error, SceneError) else 1
