"""A scheduler that is killed midway costs no data: the same command goes on."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.end_to_end.test_late_workers import scheduler, worker
from tests.faults.watched import check_results
from tests.forked import Ended, Limits, Started, overtile
from tests.mapping.scenery import blobs, contents, run, write_scene
from tests.regions.places import town

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def lost(ended: Ended, address: str) -> None:
    """Check that a command said what became of the cluster."""
    assert ended.code == 1
    assert f"error: the Dask scheduler at {address} was lost (the connection broke)" in ended.said
    assert "run the same command to go on" in ended.said
    assert "Traceback" not in ended.said
    assert ended.summary["stopped"] in ended.said
    assert ended.summary["failed"] == 0


def test_a_scheduler_that_is_killed_midway_fails_no_scene_and_the_next_run_goes_on(
    tmp_path: Path,
) -> None:
    scenes = [
        write_scene(tmp_path / f"{name}.tif", blobs(seed, height=200, width=200)[None])
        for seed, name in enumerate("ast")
    ]
    run(tuple(scenes), tmp_path / "undisturbed", tile=64)
    undisturbed = contents(tmp_path / "undisturbed" / "s")
    out = tmp_path / "out"
    file = town(tmp_path / "town")
    text = file.read_text("utf-8")

    def mapping(address: str) -> tuple[str, ...]:
        settings = ("--task", "bright", "--device", "cpu", "--tile", "64", "--executor", address)
        return ("map", *map(str, scenes), "--out", str(out), *settings)

    with ExitStack() as stack:
        address, process = stack.enter_context(scheduler(tmp_path))
        stack.enter_context(worker(tmp_path, address, "one"))
        started = Started(tmp_path, mapping(address), Limits())
        # The second of three scenes is under way.
        assert started.wait_until(lambda: any(out.glob(".work/s/tiles/*.tile")))
        process.kill()
        ended = started.wait()
    lost(ended, address)
    states = [row["state"] for row in ended.summary["scenes"]]
    assert states == ["done", "stopped", "stopped"]

    with ExitStack() as stack:
        address, process = stack.enter_context(scheduler(tmp_path))
        stack.enter_context(worker(tmp_path, address, "two"))
        ended = overtile(tmp_path, *mapping(address))
        assert ended.code == 0, ended.said
        states = [row["state"] for row in ended.summary["scenes"]]
        assert states == ["unchanged", "done", "done"]
        check_results(out, undisturbed)
        log = (out / "s" / "log.jsonl").read_text("utf-8")
        assert '"reused": true' in log

        file.write_text(text.replace("executor: serial", f'executor: "{address}"'), "utf-8")
        started = Started(tmp_path, ("region", "run", str(file)), Limits())
        assert started.wait_until(lambda: any(file.parent.glob("out/scenes/*/run.json"))), (
            started.wait()
        )
        process.kill()
        ended = started.wait()
    lost(ended, address)
    assert ended.summary["state"] == "failed"
    mapped = ended.summary["mapped"]
    assert 1 <= mapped < 4

    file.write_text(text, "utf-8")
    ended = overtile(tmp_path, "region", "status", str(file), "--json")
    assert ended.summary["failures"] == []
    assert "was lost" in ended.summary["last"]["reason"]
    ended = overtile(tmp_path, "region", "run", str(file))
    assert ended.code == 0, ended.said
    assert (ended.summary["mapped"], ended.summary["failed"]) == (4 - mapped, 0)
    assert ended.summary["state"] == "done"
