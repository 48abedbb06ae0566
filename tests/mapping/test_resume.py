"""Killed at any moment, a run continues and ends with the bytes of an undisturbed one."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio

from pipeline.core.window import Window
from pipeline.mapping.plan_scene import plan_scene
from pipeline.mapping.planning.plan import ScenePlan
from pipeline.mapping.planning.request import MapRequest
from pipeline.mapping.tiles.tile_task import TileJob, map_tile_task
from pipeline.scenes.find import find_scenes
from tests.mapping.scenery import band, blobs, contents, run, write_scene

pytestmark = pytest.mark.mapping

WHOLE = 8 * 9


def command(scene: Path, out: Path, *more: str) -> list[str]:
    return [
        *(sys.executable, "-m", "pipeline.cli", "map", str(scene), "--out", str(out)),
        *("--task", "bright", "--device", "cpu", "--tile", "64", *more),
    ]


def tiles(out: Path) -> list[Path]:
    return sorted((out / ".work" / "s" / "tiles").glob("*.tile"))


def log(out: Path) -> list[dict[str, Any]]:
    entries = [json.loads(line) for line in (out / "s" / "log.jsonl").read_text().splitlines()]
    return [entry for entry in entries if "tile" in entry]


def reached(out: Path, goal: int, pause_s: float) -> bool:
    """Return whether so many tiles are there; where they are, wait a little more."""
    if len(tiles(out)) < goal:
        return False
    time.sleep(pause_s)
    return True


def kill_when(arguments: list[str], due: Callable[[], bool]) -> bool:
    """Start a run and kill it, without a chance to tidy up, as soon as it is due."""
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        while process.poll() is None:
            if due():
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.002)
        process.communicate()
    return process.returncode == -signal.SIGKILL


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("scene")
    return write_scene(place / "s.tif", blobs(4, height=500, width=560)[None])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, scene: Path) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("undisturbed")
    run(scene, out, tile=64)
    return contents(out / "s")


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["serial", "local"])
def test_a_killed_run_goes_on_where_it_was(
    tmp_path: Path, scene: Path, undisturbed: dict[str, bytes], executor: str
) -> None:
    rng = random.Random(executor)
    started = command(scene, tmp_path, "--executor", executor)
    killed = 0
    # Each round goes a little further than the one before, to a place not known beforehand.
    for _ in range(3):
        goal = len(tiles(tmp_path)) + rng.randint(3, WHOLE // 4)
        pause = rng.random() * 0.02
        killed += kill_when(started, partial(reached, tmp_path, goal, pause))
    assert killed == 3
    there = len(tiles(tmp_path))
    assert not (tmp_path / "s").exists()
    run(scene, tmp_path, tile=64, executor=executor)
    reused = sum(entry["reused"] for entry in log(tmp_path))
    assert reused == there >= 9
    assert contents(tmp_path / "s") == undisturbed
    assert not (tmp_path / ".work").exists()


@pytest.mark.slow
def test_killed_while_outputs_are_written_no_tile_is_computed_again(
    tmp_path: Path, scene: Path, undisturbed: dict[str, bytes]
) -> None:
    final = tmp_path / ".work" / "s" / "final"
    moments: list[Callable[[], bool]] = [
        final.exists,
        lambda: any(final.glob("polygons*")),
        (final / "run.json").exists,
        (final / "item.json").exists,
    ]
    killed = 0
    for due in moments:
        # Otherwise what the last one left would be taken for the sign.
        shutil.rmtree(final, ignore_errors=True)
        killed += kill_when(command(scene, tmp_path), due)
    assert killed >= 2
    run(scene, tmp_path, tile=64)
    assert contents(tmp_path / "s") == undisturbed
    # Unless the last one was too late, and its outputs stood already.
    assert all(entry["reused"] for entry in log(tmp_path)) or killed < len(moments)
    assert not (tmp_path / ".work").exists()


def planned(scene: Path, out: Path) -> ScenePlan:
    request = MapRequest(
        scenes=(str(scene),), out=out, task="bright", executor="serial", device="cpu", tile=64
    )
    (ref,) = find_scenes(request.scenes).refs
    plan = plan_scene(request, request.chosen_task, ref, "s").ready(
        ("cpu", "threshold"), out / ".work" / "s"
    )
    plan.tiles.mkdir(parents=True)
    for index, core in enumerate(plan.grid.cores()):
        map_tile_task(TileJob(plan=plan, index=index, core=core))
    return plan


def test_finished_tiles_are_not_computed_again_and_damaged_ones_are(
    tmp_path: Path, scene: Path, undisturbed: dict[str, bytes]
) -> None:
    planned(scene, tmp_path)
    there = tiles(tmp_path)
    assert len(there) == WHOLE
    there[0].write_bytes(there[0].read_bytes()[:-7])
    there[1].write_bytes(b"")
    there[2].unlink()
    flipped = bytearray(there[3].read_bytes())
    flipped[len(flipped) // 2] ^= 1
    there[3].write_bytes(flipped)
    # What a killed process leaves under a temporary name.
    (there[4].parent / f".{there[4].name}.4711.7f").write_bytes(b"half")
    join = tmp_path / ".work" / "s" / "join-killed"
    join.mkdir()
    (join / "mask.mosaic.tif").write_bytes(b"half")
    final = tmp_path / ".work" / "s" / "final"
    final.mkdir()
    (final / ".mask.tif.part").write_bytes(b"half")
    (final / "polygons.geojson").write_bytes(b"half")
    run(scene, tmp_path, tile=64)
    assert sum(not entry["reused"] for entry in log(tmp_path)) == 4
    assert contents(tmp_path / "s") == undisturbed
    assert not (tmp_path / ".work").exists()


def test_tiles_of_another_plan_are_not_taken(tmp_path: Path, scene: Path) -> None:
    planned(scene, tmp_path)
    run(scene, tmp_path, tile=64, values=(0.0, 100.0))
    assert not any(entry["reused"] for entry in log(tmp_path))
    expected = blobs(4, height=500, width=560) >= 50
    np.testing.assert_array_equal(band(tmp_path / "s" / "mask.tif"), expected)


def test_a_folder_killed_between_two_renames_is_whole_again(
    tmp_path: Path, scene: Path, undisturbed: dict[str, bytes]
) -> None:
    # An output is edited; the rerun is killed after the old folder was moved out of the way.
    planned(scene, tmp_path)
    replaced = tmp_path / ".work" / "s" / "replaced"
    replaced.mkdir()
    (replaced / "mask.tif").write_bytes(b"old")
    run(scene, tmp_path, tile=64)
    assert contents(tmp_path / "s") == undisturbed
    assert not (tmp_path / ".work").exists()


# A tile that fails ------------------------------------------------------------------------


def corrupt(path: Path, *, row: int, col: int) -> bytes:
    """Damage the block at a pixel; return what stood there."""
    with rasterio.open(path) as file:
        height, width = file.block_shapes[0]
        across, down = col // width, row // height
        offset = int(file.get_tag_item(f"BLOCK_OFFSET_{across}_{down}", "TIFF", bidx=1))
        size = int(file.get_tag_item(f"BLOCK_SIZE_{across}_{down}", "TIFF", bidx=1))
    stored = bytearray(path.read_bytes())
    before = bytes(stored[offset : offset + size])
    stored[offset : offset + size] = os.urandom(size)
    path.write_bytes(stored)
    return before


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene too large to be decoded when it is opened, one of its blocks damaged."""
    path = tmp_path_factory.mktemp("damaged") / "s.tif"
    # Bands that are not mapped make it large, not slow: stored apart, and mostly empty.
    height, width = 1024, 1536
    pixels = np.zeros((24, height, width), np.uint8)
    pixels[0, 300:700, 200:900] = 200
    write_scene(path, pixels, compress="deflate", interleave="band", blockxsize=256, blockysize=256)
    corrupt(path, row=300, col=600)
    return path


def test_a_tile_that_fails_is_a_marked_hole_and_the_rest_stands(
    tmp_path: Path, damaged: Path
) -> None:
    summary = run(damaged, tmp_path, tile=256)
    (row,) = summary["scenes"]
    assert (row["state"], row["tiles"], row["tiles_failed"]) == ("done", 24, 1)
    assert summary["failed"] == 1
    folder = tmp_path / "s"
    hole = Window(row=256, col=512, height=256, width=256)
    for name in ("mask.tif", "probability.tif"):
        missing = band(folder / name) == 255
        assert missing[256:512, 512:768].all()
        assert missing.sum() == hole.pixels
    manifest = json.loads((folder / "run.json").read_text())
    (failure,) = manifest["tiles_failed"]
    assert failure["tile"] == 8
    assert "s.tif" in failure["reason"]
    assert "columns" in failure["reason"]
    frame = geopandas.read_parquet(folder / "polygons.parquet")
    assert frame["touches_failure"].tolist() == [True]
    assert frame["area_m2"].sum() == pytest.approx(0.09 * (400 * 700 - 212 * 256), rel=2e-3)


def test_a_run_again_tries_only_what_failed(tmp_path: Path, damaged: Path) -> None:
    run(damaged, tmp_path, tile=256)
    again = run(damaged, tmp_path, tile=256)
    assert again["failed"] == 1
    assert sum(not entry.get("reused", False) for entry in log(tmp_path)) == 1


def test_a_scene_without_a_single_good_tile_fails_and_leaves_nothing(
    tmp_path: Path, damaged: Path
) -> None:
    scene = tmp_path / "s.tif"
    shutil.copy(damaged, scene)
    summary = run(scene, tmp_path / "out")
    (row,) = summary["scenes"]
    assert row["state"] == "failed"
    assert "none of its tiles" in row["reason"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {".overtile.lock"}
