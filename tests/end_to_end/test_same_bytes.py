"""The same scene mapped on another day, by other workers, in pieces: the same files to the byte."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.outputs.vectors.formats import FORMATS
from tests.mapping.scenery import blobs, write_scene

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("faketime") is None, reason="faketime is not here"),
]
LATER = "2031-02-28 23:59:58"


def command(scene: Path, out: Path, executor: str) -> list[str]:
    """Return the command that maps a scene into every format."""
    formats = [part for name in FORMATS for part in ("--format", name)]
    settings = ["--task", "bright", "--device", "cpu", "--tile", "64", "--executor", executor]
    overtile = [sys.executable, "-m", "pipeline.cli", "map", str(scene), "--out", str(out)]
    return [*overtile, *settings, *formats]


def tree(out: Path) -> dict[str, str]:
    """Return a digest of every file below an output folder but the lock and the log."""
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name not in {".overtile.lock", "log.jsonl"}
    }


def test_neither_day_nor_zone_nor_workers_nor_a_kill_stand_in_the_files(tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "s.tif", blobs(9, height=200, width=260)[None])
    today, later = tmp_path / "today", tmp_path / "later"
    subprocess.run(command(scene, today, "serial"), check=True, capture_output=True)
    elsewhere = os.environ | {"TZ": "Pacific/Chatham", "PYTHONHASHSEED": "7", "LC_ALL": "C"}
    fake = ["faketime", "-f", f"@{LATER}", *command(scene, later, "local")]
    # Killed once midway, and gone on with; a group, as faketime starts another process.
    with subprocess.Popen(
        fake,
        env=elsewhere,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as first:
        end = time.monotonic() + 120
        while len([*later.glob(".work/s/tiles/*.tile")]) < 5 and time.monotonic() < end:
            time.sleep(0.005)
        os.killpg(first.pid, signal.SIGKILL)
    done = subprocess.run(fake, env=elsewhere, check=True, capture_output=True, text=True)
    log = [json.loads(line) for line in (later / "s" / "log.jsonl").read_text().splitlines()]
    assert any(entry.get("reused") for entry in log)
    assert json.loads(done.stdout)["scenes"][0]["state"] == "done"
    found = tree(later)
    assert found == tree(today)
    assert {Path(name).suffix for name in found} >= {
        *(".tif", ".geojson", ".parquet", ".gpkg", ".fgb", ".zip", ".pmtiles", ".json", ".png")
    }
