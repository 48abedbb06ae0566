"""A region that is killed at any instant ends with the layer of one that was left alone."""

from __future__ import annotations

import multiprocessing
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from pipeline.regions.ledger.ledger import open_ledger
from pipeline.regions.plan import plan_summary
from tests.regions.places import cut, go, ground, site_of, town

KILLS = 20


def _layer(file: Path) -> dict[str, bytes]:
    current = file.parent / "out" / "runs"
    (folder,) = sorted(current.iterdir())[-1:]
    names = ("layer.parquet", "footprints.geojson", "layer.observations.arrow")
    return {name: (folder / name).read_bytes() for name in names}


def _run(file: Path) -> None:
    go(file)


def _town(root: Path) -> Path:
    root.mkdir()
    file = town(root)
    for at in range(4):
        place = {"row": 8 * at, "col": 10 * at, "when": f"2024020{at + 1}"}
        cut(root / "scenes", f"k{at}", ground(at), **place)  # type: ignore[arg-type]
    return file


def _hunt(file: Path, rng: np.random.Generator, *, took: float, most: int) -> int:
    """Run a region in processes that are killed, until one of them comes to its end."""
    context = multiprocessing.get_context("forkserver")
    # All is imported before the fork: a kill falls into the work.
    context.set_forkserver_preload(["tests.regions.places", "tests.regions.test_kill"])
    for kills in range(most):
        process = context.Process(target=_run, args=(file,))
        process.start()
        process.join(float(rng.uniform(0.0, took)))
        process.kill()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
        if process.exitcode == 0:
            return kills
    return most


@pytest.mark.slow
def test_twenty_kills_leave_no_trace(tmp_path: Path) -> None:
    calm = _town(tmp_path / "calm")
    began = time.monotonic()
    go(calm)
    took = time.monotonic() - began
    rng = np.random.default_rng(7)
    kills, towns = 0, 0
    while kills < KILLS:
        towns += 1
        hunted = _town(tmp_path / f"hunted{towns}")
        here = _hunt(hunted, rng, took=0.4 * took, most=KILLS - kills)
        kills += here
        assert go(hunted)["failed"] == 0
        assert plan_summary(site_of(hunted), now=2e9)["counts"] == {"done": 8}
        assert _layer(hunted) == _layer(calm)
        ledger = open_ledger(hunted.parent / "out", region="town")
        states = [run.state for run in ledger.runs()]
        ledger.close()
        assert states[-1] == "done"
        # Nothing half-made is left.
        assert not list((hunted.parent / "out").rglob("*.part"))
        assert not (hunted.parent / "out" / "scenes" / ".work").exists()
