"""``--max-memory`` holds for a whole run, polygons included, on scenes of the worst kinds."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.mapping.planning.tile_size import BASE_BYTES
from tests.cgroup import at_most
from tests.mapping.scenery import run, write_scene

pytestmark = pytest.mark.slow

BUDGET = 850 * 10**6
EDGE = 880


def noise() -> np.ndarray:
    """Return pixels that have a polygon of their own every eight pixels."""
    return np.where(np.random.default_rng(0).random((EDGE, EDGE)) < 0.45, 200, 0)


def mapped_within(scene: Path, out: Path, budget: int) -> dict[str, Any]:
    """Map a scene in a process that is killed where ``budget`` bytes do not do."""
    command = ["map", str(scene), "--out", str(out), "--task", "bright"]
    command += ["--max-memory", f"{budget / 1e9}GB", "--format", "parquet"]
    with at_most(budget) as join:
        done = subprocess.run(
            [sys.executable, "-m", "pipeline.cli", *command],
            preexec_fn=join,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-2000:]
    (row,) = json.loads(done.stdout)["scenes"]
    return dict(row)


@pytest.mark.timeout(600)
def test_a_run_keeps_within_its_memory(tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "s.tif", noise().astype(np.uint8)[None], compress="DEFLATE")
    row = mapped_within(scene, tmp_path / "out", BUDGET)
    # One tile, as large as this budget allows.
    assert row["tiles"] == 1
    assert row["polygons"] > 50_000


@pytest.mark.timeout(600)
def test_a_wide_scene_takes_no_more_than_another(tmp_path: Path) -> None:
    # 240,000 columns: read back in whole rows of blocks, each raster takes 370 MB.
    pixels = np.zeros((1, 600, 240_000), np.uint8)
    pixels[0, 100:130, ::500] = 200
    scene = write_scene(tmp_path / "s.tif", pixels, compress="DEFLATE", tiled=True)
    assert mapped_within(scene, tmp_path / "out", BUDGET)["polygons"] == 480


def test_a_polygon_that_memory_cannot_hold_is_refused_with_what_it_takes(tmp_path: Path) -> None:
    sieve = np.full((300, 300), 200, np.uint8)
    sieve[1:-1:2, 1:-1:2] = 0
    scene = write_scene(tmp_path / "s.tif", sieve[None])
    summary = run(scene, tmp_path / "out", max_memory=BASE_BYTES + 10**7)
    reason = summary["scenes"][0]["reason"]
    told = r".*s\.tif: one of its polygons has \d+ corners, which takes 0\.8 GB; .*; "
    assert re.fullmatch(told + r"give --max-memory 0\.9GB, or cut the scene into parts", reason)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".overtile.lock"]
