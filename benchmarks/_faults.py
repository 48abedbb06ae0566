"""Faults that befall a run which goes on: killed, starved, robbed of its sources, hung."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from distributed import LocalCluster

from tests.forked import Started

ROOM = 512 * 2**20
"""Bytes of the disk that outputs lie on, unless it is made full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a soak happens."""

    scenes: tuple[Path, ...]
    """The scenes that are mapped over and over."""
    disk: Path
    """A small disk; below it the outputs."""
    cluster: LocalCluster
    """Two workers that share the tiles of some runs."""
    kept: Path
    """Copies of the scenes as they should be."""
    spoilt: list[Path] = field(default_factory=list)
    """Scenes that are not as they should be now."""
    hung: list[int] = field(default_factory=list)
    """Workers that were stopped."""

    def mend(self) -> None:
        """Put right whatever a fault has spoilt, as whoever finds it out would."""
        resize(self.disk, ROOM)
        for scene in self.spoilt:
            shutil.copy(self.kept / scene.name, scene)
        self.spoilt.clear()
        for pid in self.hung:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.hung.clear()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """What a fault may get at."""

    place: Place
    """Where the run is."""
    run: Started
    """The run itself."""
    rng: random.Random
    """Decides what is left open."""


Fault = Callable[[Hit], None]
"""What befalls a run; returns at once."""


def resize(disk: Path, size: int) -> None:
    """Give the small disk another size."""
    subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)


@contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    """Mount a disk that can be made full; only root may."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def kill_run(hit: Hit) -> None:
    """Kill the run as it is."""
    hit.run.send(signal.SIGKILL)


def interrupt(hit: Hit) -> None:
    """Press Ctrl-C."""
    hit.run.send(signal.SIGINT)


def terminate(hit: Hit) -> None:
    """Ask it to end, as a shutdown does."""
    hit.run.send(signal.SIGTERM)


def kill_worker(hit: Hit) -> None:
    """Kill one of the workers; its nanny starts another."""
    _send(hit, signal.SIGKILL)


def hang_worker(hit: Hit) -> None:
    """Stop one of the workers in the midst of its tile, for good."""
    # Tiles are under way: whoever hangs before is noticed by Dask alone, minutes later.
    tiles = hit.place.disk / "out" / ".work"
    hit.run.wait_until(lambda: any(tiles.glob("*/tiles/*.tile")))
    hit.place.hung.append(_send(hit, signal.SIGSTOP))


def fill_disk(hit: Hit) -> None:
    """Leave no room for a byte more than a few blocks."""
    found = os.statvfs(hit.place.disk)
    used = (found.f_blocks - found.f_bfree) * found.f_frsize
    resize(hit.place.disk, max(4096, used + 4096 * hit.rng.randrange(8)))


def truncate(hit: Hit) -> None:
    """Cut a scene off."""
    scene = hit.rng.choice(hit.place.scenes)
    hit.place.spoilt.append(scene)
    os.truncate(scene, hit.rng.randrange(scene.stat().st_size))


def replace(hit: Hit) -> None:
    """Put another scene's content in its hit.place."""
    scene, other = hit.rng.sample(hit.place.scenes, 2)
    hit.place.spoilt.append(scene)
    shutil.copy(hit.place.kept / other.name, scene.with_suffix(".new"))
    scene.with_suffix(".new").replace(scene)


def remove(hit: Hit) -> None:
    """Remove a scene."""
    scene = hit.rng.choice(hit.place.scenes)
    hit.place.spoilt.append(scene)
    scene.unlink()


def nothing(_: Hit) -> None:
    """Leave it alone."""


FAULTS: dict[str, tuple[Fault, set[int]]] = {
    "run killed": (kill_run, {-signal.SIGKILL, 0}),
    "interrupted": (interrupt, {130, 0}),
    "terminated": (terminate, {143, -signal.SIGTERM, 0}),
    "worker killed": (kill_worker, {0}),
    "worker hung": (hang_worker, {0}),
    "disk full": (fill_disk, {1, 0}),
    "scene cut off": (truncate, {3, 0}),
    "scene replaced": (replace, {3, 0}),
    "scene removed": (remove, {3, 0, 2}),
    "none": (nothing, {0}),
}
"""Each fault, and with which codes the run may end after it."""
NEEDS_CLUSTER = {"worker killed", "worker hung"}


def _send(hit: Hit, number: int) -> int:
    pids: list[int] = []
    while not pids:  # both may be starting again
        pids = [worker.pid for worker in hit.place.cluster.workers.values() if worker.pid]
        time.sleep(0.05)
    pid: int = hit.rng.choice(pids)
    with suppress(ProcessLookupError):
        os.kill(pid, number)
    return pid
