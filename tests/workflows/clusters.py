"""What recipes for clusters are tried on: a scene of nine tiles, free ports, daemons that end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.mapping.scenery import blobs, contents, run, write_scene
from tests.workflows.environments import ROOT

WORKFLOWS = ROOT / "workflows"
TILE = 128
"""Nine tiles."""
PATIENCE_S = 240
"""How long to wait for what takes seconds on a machine with nothing else to do."""


def surroundings(**more: str) -> dict[str, str]:
    """Return the environment of a recipe: one thread a worker, small, no GPU."""
    quiet = {"THREADS": "1", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return os.environ | quiet | {"WAIT_S": str(PATIENCE_S)} | more


def asked(folder: Path) -> tuple[str, ...]:
    """Return arguments of `overtile` that map a scene, made here, into ``folder / "there"``."""
    scene = write_scene(folder / "scene.tif", blobs(3, height=260, width=300)[None])
    settings = ("--task", "bright", "--device", "cpu", "--tile", str(TILE))
    return ("map", str(scene), "--out", str(folder / "there"), *settings)


def compare(folder: Path, *, workers: int) -> None:
    """Assert that so many workers mapped the scene, with the bytes of a serial run."""
    run(folder / "scene.tif", folder / "here", tile=TILE)
    assert contents(folder / "there" / "scene") == contents(folder / "here" / "scene")
    lines = (folder / "there" / "scene" / "log.jsonl").read_text("utf-8").splitlines()
    said = [json.loads(line) for line in lines]
    assert len({line["worker"] for line in said if "worker" in line}) == workers


def free_port() -> int:
    """Return a port that nobody listens on, on loopback."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def answers(port: int) -> bool:
    """Return whether somebody listens on a port of loopback."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def until(true: Callable[[], object], *, told: Callable[[], str]) -> None:
    """Wait until something is true."""
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, told()
        time.sleep(0.25)


def processes(mark: str) -> list[int]:
    """Return the processes that have this text among their arguments, zombies left out."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "status"]):
        ended = process.info["status"] == psutil.STATUS_ZOMBIE
        if not ended and any(mark in part for part in process.info["cmdline"] or ()):
            found.append(process.info["pid"])
    return found


@contextmanager
def daemon(
    *command: str | Path,
    log: Path,
    env: dict[str, str] | None = None,
    stop: signal.Signals = signal.SIGINT,
) -> Iterator[None]:
    """Run a program that stays, until the end."""
    with (
        log.open("w") as told,
        subprocess.Popen(command, cwd=ROOT, env=env, stdout=told, stderr=told) as process,
    ):
        try:
            yield
        finally:
            process.send_signal(stop)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
