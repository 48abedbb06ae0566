from __future__ import annotations

import io
import re
from typing import TextIO

import pytest

from pipeline.mapping.progress import Progress


class Told(io.StringIO, TextIO):
    """A stream that is a terminal, or is none."""

    def __init__(self, *, terminal: bool = False) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def test_beside_a_terminal_there_are_at_most_twenty_plain_lines() -> None:
    told = Told()
    with Progress("town", pixels=1000, stream=told) as progress:
        for _ in range(1000):
            progress.advance(1)
        progress.stage("writing outputs")
    lines = told.getvalue().splitlines()
    assert len(lines) <= 21
    assert all(re.fullmatch(r"town: [ \d]+ %, [\d.]+ Mpx/s(, [\d:]+ left)?", x) for x in lines[:-1])
    assert lines[-2].startswith("town: 100 %")
    assert lines[-1] == "town: writing outputs"
    assert "\r" not in told.getvalue()
    assert "\x1b" not in told.getvalue()


def test_what_was_mapped_before_makes_nothing_faster() -> None:
    progress = Progress("town", pixels=10**6, stream=Told())
    progress.advance(10**6 - 1, reused=True)
    assert progress.mpx_per_s == 0
    progress.advance(1)
    assert progress.mpx_per_s * progress.seconds == pytest.approx(1e-6, rel=0.5)


def test_on_a_terminal_there_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    told = Told(terminal=True)
    with Progress("town", pixels=10, stream=told) as progress:
        progress.advance(4)
        progress.stage("writing outputs")
        progress.advance(6)
    assert "town" in told.getvalue()
    assert "100 %" in told.getvalue()
