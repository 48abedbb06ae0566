"""Workers that join a run late: those that are not like the others are named and do nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from distributed import Client

import pipeline
from pipeline.mapping.planning.request import MapRequest
from pipeline.mapping.run import map_scenes
from tests.end_to_end.test_cluster import done_by, free_port
from tests.mapping.scenery import classic, write_scene

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
ALIKE = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "ATEN_CPU_CAPABILITY": ""}


@contextmanager
def _started(log: Path, environment: dict[str, str], *arguments: str) -> Iterator[Any]:
    known = {name: value for name, value in (os.environ | environment).items() if value}
    command = [sys.executable, "-m", "dask", *arguments, "--no-dashboard", "--host", "127.0.0.1"]
    with log.open("w") as file:
        process = subprocess.Popen(command, env=known, stdout=file, stderr=file)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def scheduler(place: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    address = f"tcp://127.0.0.1:{free_port()}"
    port = address.rpartition(":")[2]
    with _started(place / "scheduler.log", {}, "scheduler", "--port", port) as process:
        yield address, process


@contextmanager
def worker(
    place: Path, address: str, name: str, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    with _started(
        place / f"{name}.log", ALIKE | environment, "worker", address, "--name", name,
        "--nthreads", "1", "--no-nanny", "--local-directory", str(place / name),
    ) as process:  # fmt: skip
        yield process


@contextmanager
def busy(free: Path, address: str) -> Iterator[Path]:
    """Keep the threads of all workers busy until a file is there."""
    wait = ["sh", "-c", f"while [ ! -e {free} ]; do sleep 0.05; done"]
    with Client(address, set_as_default=False) as client:
        there = client.scheduler_info(n_workers=-1)["workers"]
        tasks = [
            client.submit(subprocess.call, wait, workers=[one], pure=False, priority=1000)
            for one in there
        ]
        try:
            yield free
        finally:
            free.touch()
            del tasks


def wait_for(due: Callable[[], bool], told: object = "", within_s: float = 240) -> None:
    end = time.monotonic() + within_s
    while not due():
        assert time.monotonic() < end, told
        time.sleep(0.02)


def another_version(place: Path, version: str) -> str:
    """Make a folder for PYTHONPATH that holds Overtile in another version."""
    root = place / f"version-{version}"
    source = Path(pipeline.__file__).parent
    shutil.copytree(source, root / "pipeline", ignore=shutil.ignore_patterns("shipped", "*.pyc"))
    about = root / f"overtile-{version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: overtile\nVersion: {version}\n")
    return str(root)


def test_misfits_that_join_late_are_named_and_one_that_fits_takes_tiles(tmp_path: Path) -> None:
    """The first worker is held up until all others have joined, so that they could do all."""
    rng = np.random.default_rng(5)
    pixels = rng.integers(0, 255, (3, 420, 420)).astype(np.uint8)
    scene = write_scene(tmp_path / "s.tif", pixels)
    classic(tmp_path / "model.safetensors")
    misfits = {
        "threads": {"OMP_NUM_THREADS": "2"},
        "old-processor": {"ATEN_CPU_CAPABILITY": "avx2"},
        "other-version": {"PYTHONPATH": another_version(tmp_path, "9.9.9")},
    }
    out = tmp_path / "out"
    told: list[str] = []
    summary: dict[str, Any] = {}
    with ExitStack() as stack:
        address, _ = stack.enter_context(scheduler(tmp_path))
        first = stack.enter_context(worker(tmp_path, address, "first"))
        request = MapRequest(
            scenes=(str(scene),), out=out, task="bright", model=str(tmp_path / "model.safetensors"),
            executor=address, device="cpu", tile=64,
        )  # fmt: skip
        run = Thread(target=lambda: summary.update(map_scenes(request, report=told.append)))
        run.start()
        tiles = out / ".work" / "s" / "tiles"
        wait_for(lambda: len(list(tiles.glob("*.tile"))) >= 3)
        free = stack.enter_context(busy(tmp_path / "free", address))
        for name, environment in misfits.items():
            stack.enter_context(worker(tmp_path, address, name, **environment))
        wait_for(lambda: len(told) >= len(misfits), told)
        there = len(list(tiles.glob("*.tile")))
        alike = stack.enter_context(worker(tmp_path, address, "alike"))
        wait_for(lambda: len(list(tiles.glob("*.tile"))) > there + 3)
        free.touch()
        run.join(240)
        assert not run.is_alive()
    assert summary["failed"] == 0
    pids = {int(who.rpartition(":")[2]) for who in done_by(out)}
    assert pids == {first.pid, alike.pid}
    lines = {name: next(line for line in told if f"({name})" in line) for name in misfits}
    assert len(told) == len(misfits)
    assert all("takes no tiles: " in line for line in told)
    assert "cpu float32 threads 2, expected torch" in lines["threads"]
    assert "torch AVX2, expected" in lines["old-processor"]
    assert "overtile 9.9.9 (code " in lines["other-version"]
    manifest = json.loads((out / "s" / "run.json").read_text("utf-8"))
    assert manifest["tiles_failed"] == []
    assert not list(out.rglob(".probe-*"))
