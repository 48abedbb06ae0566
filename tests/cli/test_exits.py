"""How commands end: a signal stops them in words wherever it comes."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

TAKEN_DOWN = """
import os, signal, time
import typer
from pipeline.cli.exits import failing

# A shell's background ignores it, and so would this.
signal.signal(signal.SIGINT, signal.default_int_handler)

class Object:
    def __del__(self):
        os.kill(os.getpid(), signal.{name})
        time.sleep(0.1)

app = typer.Typer()

@app.command()
def command():
    with failing():
        Object()
        time.sleep(30)
        print("slept")

app()
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_that_comes_while_an_object_is_taken_down_is_not_lost(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TAKEN_DOWN.format(name=name)],
        capture_output=True,
        text=True,
        timeout=25,
        check=False,
    )
    assert "stopped; run the same command again to go on where it stopped" in done.stderr
    assert done.returncode == 128 + signal.Signals[name]
    assert "Exception ignored" not in done.stderr
    assert "slept" not in done.stdout


def test_what_else_goes_wrong_there_is_told_as_ever() -> None:
    said = """
from pipeline.cli.exits import failing

class Object:
    def __del__(self):
        raise ValueError("told")

with failing():
    Object()
"""
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert "Exception ignored" in done.stderr
    assert "ValueError: told" in done.stderr
