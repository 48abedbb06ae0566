"""Few open files: refused before anything begins, or raised; no traceback in any case."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from rasterio.errors import RasterioIOError

from pipeline.cli.exits import failing
from pipeline.cli.open_files import LEAST, WANTED, lacks_open_files
from pipeline.errors import ExportError
from tests.forked import Limits, map_arguments, overtile
from tests.mapping.scenery import blobs, write_scene

COMMANDS = (
    ("map", "s.tif", "--out", "out"),
    ("evaluate", "s.tif", "--truth", "s.tif", "--out", "out"),
    ("region", "run", "region.yaml"),
    ("region", "status", "region.yaml"),
    ("check", "s.tif"),
    ("models", "list"),
    ("train", "config.yaml", "--out", "out"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("limit", [16, LEAST - 1])
def test_too_few_are_refused_before_anything_begins(
    tmp_path: Path, command: tuple[str, ...], limit: int
) -> None:
    ended = overtile(tmp_path, *command, limits=Limits(open_files=(limit, limit)))
    assert ended.code == 2
    assert ended.stdout == ""
    assert ended.said == (
        f"error: this process may hold {limit} files open, and needs {LEAST}: raise the limit, "
        f"for example with `ulimit -n {WANTED}` (in a systemd unit LimitNOFILE={WANTED})\n"
    )


@pytest.mark.parametrize("limit", [8, 12, 24])
def test_a_fresh_process_refuses_too_few_as_well(tmp_path: Path, limit: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", "map", "s.tif", "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)),
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: this process may hold {limit} files open")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("limits", "executor"), [((16, 1024), "local"), ((LEAST, LEAST), "local"), ((8, 65), "serial")]
)
def test_the_soft_limit_is_raised_to_the_hard_one(
    tmp_path: Path, limits: tuple[int, int], executor: str
) -> None:
    scene = write_scene(tmp_path / "s.tif", blobs(4, height=100, width=100)[None])
    asked = map_arguments(scene, tmp_path / "out", "--executor", executor)
    ended = overtile(tmp_path, *asked, limits=Limits(open_files=limits))
    assert ended.code == 0, ended.said
    assert ended.summary["scenes"][0]["state"] == "done"


def _behind(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


FEW = OSError(errno.EMFILE, os.strerror(errno.EMFILE), "/data/s.tif")


@pytest.mark.parametrize(
    "error",
    [
        FEW,
        OSError(errno.ENFILE, os.strerror(errno.ENFILE)),
        _behind(RuntimeError("no event loop"), FEW),
        _behind(ExportError("/data: could not be written; free space"), FEW),
        RasterioIOError("s.tif: Too many open files"),
        ImportError("libz.so: cannot open shared object file: Too many open files"),
    ],
    ids=repr,
)
def test_what_runs_out_midway_is_told_with_the_limit(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lacks_open_files(error)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    with pytest.raises(typer.Exit) as ended, failing():
        raise error
    assert ended.value.exit_code == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: too many open files: this process may hold {soft} open")
    assert "ulimit -n" in said


def test_other_errors_are_none_of_it() -> None:
    loop = ValueError("other")
    loop.__cause__ = KeyError("loop")
    loop.__cause__.__cause__ = loop
    assert not lacks_open_files(loop)
    with pytest.raises(PermissionError), failing():
        raise PermissionError(errno.EACCES, "no")
