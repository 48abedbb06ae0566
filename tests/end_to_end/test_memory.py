"""``--max-memory`` holds for a whole run, polygons included, on scenes of the worst kinds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.cgroup import at_most
from tests.runs.scenery import write_scene

pytestmark = pytest.mark.slow

BUDGET = 900 * 10**6
EDGE = 2000


def noise() -> np.ndarray:
    """Return pixels that have a polygon of their own every eight pixels."""
    return np.where(np.random.default_rng(0).random((EDGE, EDGE)) < 0.45, 200, 0)


def sieve() -> np.ndarray:
    """Return one polygon with a hole every four pixels."""
    pixels = np.full((EDGE, EDGE), 200)
    pixels[1:-1:2, 1:-1:2] = 0
    return pixels


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("kind", "least"), [(noise, 300_000), (sieve, 1)])
def test_a_run_keeps_within_its_memory(tmp_path: Path, kind: object, least: int) -> None:
    assert callable(kind)
    scene = write_scene(tmp_path / "s.tif", kind().astype(np.uint8)[None], compress="DEFLATE")
    command = ["map", str(scene), "--out", str(tmp_path / "out"), "--task", "bright"]
    command += ["--max-memory", f"{BUDGET / 1e9}GB", "--format", "parquet"]
    with at_most(BUDGET) as join:
        done = subprocess.run(
            [sys.executable, "-m", "pipeline.cli", *command],
            preexec_fn=join,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-2000:]
    (row,) = json.loads(done.stdout)["scenes"]
    assert row["tiles"] > 1
    assert row["polygons"] >= least
