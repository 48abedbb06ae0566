"""`overtile map` as people call it: JSON on stdout, lines on stderr, and its exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.mapping.lock import lock_folder
from tests.mapping.scenery import blobs, write_scene


def overtile(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("scene")
    return write_scene(place / "s.tif", blobs(1, height=120, width=160)[None])


BRIGHT = ("--task", "bright", "--executor", "serial", "--device", "cpu")


@pytest.mark.slow
def test_the_summary_is_json_and_progress_is_plain_lines(tmp_path: Path, scene: Path) -> None:
    done = overtile("map", scene, "--out", tmp_path, *BRIGHT, "--tile", "64")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["failed"] == 0
    assert summary["scenes"][0]["folder"] == str(tmp_path / "s")
    lines = done.stderr.splitlines()
    assert any(line.startswith("s: 100 %") and "Mpx/s" in line for line in lines)
    assert not {"\r", "\x1b"} & set(done.stderr)


@pytest.mark.slow
def test_a_dry_run_tells_what_it_would_cost_and_writes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scene: Path
) -> None:
    out = tmp_path / "out"
    monkeypatch.setenv("GTIFF_POINT_GEO_IGNORE", "YES")
    monkeypatch.setenv("PROJ_DATA", "/opt/conda/share/proj")
    done = overtile("map", scene, "--out", out, *BRIGHT, "--tile", "64", "--dry-run")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["scenes"]
    assert row["tiles"] == 6
    assert row["tile_pixels_over_scene_pixels"] == 1
    for cost in ("bytes_to_read", "peak_memory_bytes", "estimated_s"):
        assert row[cost] >= 0
    assert row["peak_memory_bytes"] < 4e9
    assert row["complaints"] == []
    (warning,) = (line for line in done.stderr.splitlines() if "no effect" in line)
    assert "GTIFF_POINT_GEO_IGNORE" in warning
    assert "PROJ_DATA" not in warning
    assert not out.exists()


@pytest.mark.slow
def test_a_dry_run_complains_of_what_the_run_would(tmp_path: Path, scene: Path) -> None:
    out = tmp_path / "out"
    (out / "s").mkdir(parents=True)
    (out / "s" / "thesis.txt").write_text("mine")
    colourless = write_scene(tmp_path / "colourless.tif", np.zeros((3, 40, 40), np.uint8))
    coarse = write_scene(tmp_path / "bad.tif", np.zeros((1, 40, 40), np.uint8))
    coarse.write_bytes(coarse.read_bytes()[:100])
    arguments = ("map", scene, colourless, coarse, "--out", out, *BRIGHT)
    told = json.loads((dry := overtile(*arguments, "--dry-run")).stdout)
    real = overtile(*arguments)
    assert (dry.returncode, real.returncode) == (3, 3)
    reason = next(row for row in told["scenes"] if row["state"] == "refused")["reason"]
    assert "bad.tif" in reason
    (complaint,) = told["scenes"][0]["complaints"]
    assert complaint in real.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (("--task", "brigth"), "no task is called 'brigth'"),
        (("--model", "none.safetensors"), "no model is called 'none.safetensors'"),
        (("--executor", "sreial"), "'sreial' is none of serial, local, tcp://HOST:PORT"),
        (("--max-memory", "lots"), "--max-memory 'lots' is no size"),
        (("--values", "9,1"), "--values '9,1'"),
        (("--aoi", "missing.gpkg"), "missing.gpkg"),
    ],
)
def test_wrong_calls_have_one_clear_line(
    tmp_path: Path, scene: Path, wrong: tuple[str, str], told: str
) -> None:
    done = overtile("map", scene, "--out", tmp_path / "out", *BRIGHT, *wrong)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert told in line
    assert line.startswith("error: ")


@pytest.mark.slow
def test_a_missing_scene_is_a_wrong_call_and_a_bad_one_is_not(tmp_path: Path, scene: Path) -> None:
    missing = overtile("map", scene.with_name("S.tif"), "--out", tmp_path / "out", *BRIGHT)
    assert missing.returncode == 2
    assert "did you mean" in missing.stderr
    bad = tmp_path / "bad.tif"
    bad.write_bytes(b"II*\0 and nothing more")
    done = overtile("map", bad, scene, "--out", tmp_path / "out", *BRIGHT)
    assert done.returncode == 3
    states = [row["state"] for row in json.loads(done.stdout)["scenes"]]
    assert states == ["failed", "done"]
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_folder_in_use_is_code_75_and_names_the_holder(tmp_path: Path, scene: Path) -> None:
    with lock_folder(tmp_path):
        done = overtile("map", scene, "--out", tmp_path, *BRIGHT)
    assert done.returncode == 75
    (line,) = done.stderr.splitlines()
    assert f"process {os.getpid()} on " in line
    assert " since 20" in line
    assert done.stdout == ""


def test_help_loads_neither_torch_nor_dask() -> None:
    program = (
        "import sys; sys.argv = ['overtile', 'map', '--help']\n"
        "from pipeline.cli.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'dask', 'distributed', 'rasterio'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
