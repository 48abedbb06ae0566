"""A real cluster of two workers, one of which is killed, leaves the bytes of a serial run."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from distributed import Client

from pipeline.gdal.raster_guard import check_guard
from pipeline.models.registry import shipped
from pipeline.synthetic import write_settlement
from tests.mapping.scenery import contents

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


@contextmanager
def started(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def cluster(place: Path) -> Iterator[tuple[str, dict[str, subprocess.Popen[bytes]]]]:
    """Run a scheduler and two workers of one thread on the loopback interface."""
    address = f"tcp://127.0.0.1:{free_port()}"
    dask = (sys.executable, "-m", "dask")
    alone = ("--no-dashboard", "--host", "127.0.0.1")
    with ExitStack() as stack:
        port = address.rpartition(":")[2]
        stack.enter_context(started(*dask, "scheduler", *alone, "--port", port))
        workers = {
            name: stack.enter_context(
                started(
                    *(*dask, "worker", address, *alone, "--name", name, "--nthreads", "1"),
                    *("--no-nanny", "--local-directory", str(place / name)),
                )
            )
            for name in ("one", "two")
        }
        with Client(address, timeout=60) as client:
            client.wait_for_workers(2, timeout=120)
        yield address, workers


def map_scene(scene: Path, out: Path, executor: str, *more: str) -> dict[str, Any]:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pipeline.cli", "map", str(scene), "--out", str(out)),
            *("--executor", executor, "--tile", "448", "--device", "cpu", *more),
        ],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


def done_by(out: Path) -> Counter[str]:
    """Return how many tiles each process did, as the log tells."""
    lines = next(out.glob("*/log.jsonl")).read_text().splitlines()
    return Counter(entry["worker"] for entry in map(json.loads, lines) if "tile" in entry)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    # At pixels that the model sees as they are: enlarged ones would be twice as many tiles.
    path, _ = write_settlement(folder, seed=77, height=400, width=480, pixel_size_m=0.2)
    return path


@pytest.mark.skipif("buildings" not in shipped(), reason="no buildings model is shipped yet")
def test_two_workers_share_the_tiles_and_one_may_die(tmp_path: Path, scene: Path) -> None:
    map_scene(scene, tmp_path / "serial", "serial")
    expected = contents(tmp_path / "serial" / scene.stem)
    with cluster(tmp_path) as (address, workers):
        map_scene(scene, tmp_path / "both", address)
        guarded(address)
        tiles = tmp_path / "one" / ".work" / scene.stem / "tiles"
        killer = threading.Thread(target=kill_after, args=(workers["two"], tiles, 5))
        killer.start()
        map_scene(scene, tmp_path / "one", address)
        killer.join()
    assert workers["two"].returncode == -signal.SIGKILL
    assert contents(tmp_path / "both" / scene.stem) == expected
    assert contents(tmp_path / "one" / scene.stem) == expected
    shares = done_by(tmp_path / "both")
    assert len(shares) == 2
    assert min(shares.values()) >= 0.3 * sum(shares.values())


def kill_after(worker: subprocess.Popen[bytes], tiles: Path, count: int) -> None:
    """Kill a worker, without a chance to say so, once ``count`` tiles are there."""
    end = time.monotonic() + 300
    while len(list(tiles.glob("*.tile"))) < count and time.monotonic() < end:
        time.sleep(0.01)
    worker.send_signal(signal.SIGKILL)


def guarded(address: str) -> None:
    """Check that drivers which could read anything are gone from every worker."""
    with Client(address) as client:
        found = client.run(check_guard)
    assert len(found) == 2
