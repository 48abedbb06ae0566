"""How commands end: a signal stops them in words wherever it comes."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli.__main__ import app

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


COMPILED = """
import os, signal
import numba, numpy, typer
from numba.core import serialize
from pipeline.cli.exits import failing
from pipeline.executors.serial import Serial

signal.signal(signal.SIGINT, signal.default_int_handler)

@numba.njit
def pair(length):
    return numpy.zeros(length), numpy.zeros(length)

class Once(dict):
    # What numba asks for the type of each array, called by compiled code.
    def __getitem__(self, key):
        if not self:
            self[None] = None
            os.kill(os.getpid(), signal.{name})
        return super().__getitem__(key)

app = typer.Typer()

@app.command()
def command(serial: bool = False):
    serialize._unpickled_memo = Once()
    with failing():
        if serial:
            print(list(Serial().run(pair, [3])))
        else:
            pair(3)
        print("went on")

app()
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("more", [[], ["--serial"]])
def test_a_signal_that_comes_in_compiled_code_stops_in_words(name: str, more: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", COMPILED.format(name=name), *more],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == "stopped; run the same command again to go on where it stopped\n"
    assert done.returncode == 128 + signal.Signals[name]
    assert not done.stdout


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


@pytest.mark.parametrize("option", ["--task", "--model"])
def test_a_name_too_long_to_be_one_is_refused_in_words(option: str, tmp_path: Path) -> None:
    scene = str(tmp_path / "scene.tif")
    Path(scene).write_bytes(b"II*")
    given = ["map", scene, "--out", str(tmp_path / "out"), "--dry-run", option, "x" * 300]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 2
    assert (
        result.stderr
        == f"error: {'x' * 60}...: a name of more than 255 bytes; give a shorter one\n"
    )
