"""Progress lines of a call: written to stderr, shown in a notebook, or handed to the caller."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Literal

from pipeline.errors import ConfigError

Report = Callable[[str], object]
Progress = Report | Literal["auto"] | None
"""``"auto"``: one line that is updated in notebooks, lines on standard error elsewhere; None:
silent; a callable is given each line."""


def reporter(progress: Progress) -> Report:
    """Return the function that takes the progress lines of one call.

    Raises:
        ConfigError: ``progress`` is none of what `Progress` names.
    """
    if progress is None:
        return _ignore
    if callable(progress):
        return progress
    if progress != "auto":
        raise ConfigError(f"progress={progress!r}: give 'auto', None or a function of a line")
    return _NotebookLine() if _in_notebook() else _to_stderr


def _ignore(_: str) -> None:
    """Drop a line."""


def _to_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _in_notebook() -> bool:
    """Return whether a Jupyter kernel runs this; IPython in a terminal is none."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return type(shell).__name__ == "ZMQInteractiveShell"


class _NotebookLine:
    """A line of a notebook cell that is updated; warnings stay above it."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._kept: list[str] = []

    def __call__(self, line: str) -> None:
        shown = "\n".join([*self._kept, line])
        if "warning" in line:
            self._kept.append(line)
        data = {"text/plain": shown}
        if self._handle is None:
            from IPython.display import display

            self._handle = display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)
