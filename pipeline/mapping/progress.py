"""How far a run is: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, TextIO

EVERY = 0.05
"""Plain lines come each time this much more is done."""


class Progress:
    """Reports how many scene pixels are mapped, the rate, and the time left."""

    def __init__(self, name: str, *, pixels: int, stream: TextIO | None = None) -> None:
        """Begin the report of one scene.

        Args:
            name: The scene's.
            pixels: Scene pixels to map.
            stream: Where to; standard error.
        """
        self._name, self._pixels = name, max(1, pixels)
        self._stream = stream or sys.stderr
        self._since = time.monotonic()
        self._done = self._reused = 0
        self._told = 0.0
        self._bar = self._terminal() if self._stream.isatty() else None

    def advance(self, pixels: int, *, reused: bool = False) -> None:
        """Count ``pixels`` more that are mapped, or were mapped before."""
        self._done += pixels
        if reused:
            self._reused += pixels
        share = self._done / self._pixels
        if self._bar is not None:
            bar, task = self._bar
            bar.update(task, completed=self._done, speed=f"{self.mpx_per_s:.2f} Mpx/s")
        elif share >= min(1.0, self._told + EVERY):
            self._told = share
            self._say(f"{100 * share:3.0f} %, {self.mpx_per_s:.2f} Mpx/s{self._left()}")

    def stage(self, what: str) -> None:
        """Report a stage other than the mapping of tiles."""
        if self._bar is not None:
            bar, task = self._bar
            bar.update(task, description=f"{self._name}: {what}")
        else:
            self._say(what)

    @property
    def seconds(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._since

    @property
    def mpx_per_s(self) -> float:
        """Millions of scene pixels a second, without those that were mapped before."""
        return (self._done - self._reused) / 1e6 / max(1e-9, self.seconds)

    def __enter__(self) -> Progress:
        """Show the bar."""
        if self._bar is not None:
            self._bar[0].start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar[0].stop()

    def _left(self) -> str:
        fresh = self._done - self._reused
        if not fresh or self._done >= self._pixels:
            return ""
        seconds = (self._pixels - self._done) * self.seconds / fresh
        return f", {_duration(seconds)} left"

    def _say(self, text: str) -> None:
        self._stream.write(f"{self._name}: {text}\n")
        self._stream.flush()

    def _terminal(self) -> Any:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f} %"),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            console=Console(file=self._stream),
        )
        return bar, bar.add_task(self._name, total=self._pixels, speed="")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
