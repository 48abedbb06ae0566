"""Regions over the years: ledgers lost, results damaged, folders moved, disks full."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.errors import ExportError, SceneError
from pipeline.regions.ledger.ledger import NAME, open_ledger
from pipeline.regions.ledger.records import RunRow
from pipeline.regions.plan import plan_summary
from pipeline.regions.report.status import lines, status
from pipeline.regions.resolved_region import resolve_region, without_backoff
from pipeline.regions.run import run_region
from tests.regions.places import Clock, cut, go, ground, site_of, town


def _runs(file: Path) -> list[RunRow]:
    ledger = open_ledger(file.parent / "out", region="town")
    found = ledger.runs()
    ledger.close()
    return found


def _ids(file: Path) -> list[str]:
    run = json.loads((file.parent / "out" / "current.json").read_text())["folder"]
    table = pq.read_table(file.parent / "out" / run / "layer.parquet")
    found: list[str] = table["building_id"].to_pylist()
    return found


def _written(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.*") if path.is_file()}


@contextmanager
def _largest_file(size: int) -> Iterator[None]:
    """Let no file grow beyond a size, as a quota does; writing ends with an error."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def test_a_ledger_that_was_lost_costs_no_model_time_and_no_building_id(tmp_path: Path) -> None:
    file = town(tmp_path, scenes=3)
    go(file)
    cut(tmp_path / "scenes", "n", ground(), row=10, col=10, when="20240201")
    go(file)
    before, results = _ids(file), _written(tmp_path / "out" / "scenes")
    (tmp_path / "out" / NAME).unlink()
    found = go(file)
    assert (found["failed"], found["run"], found["layer_built"]) == (0, 3, True)
    assert _written(tmp_path / "out" / "scenes") == results
    assert _ids(file) == before
    assert [found["changes"][kind]["count"] for kind in ("added", "removed", "changed")] == [0] * 3
    assert plan_summary(site_of(file), now=0.0)["counts"] == {"done": 4}


def test_a_region_that_was_moved_goes_on_where_it_was(tmp_path: Path) -> None:
    file = town(tmp_path / "here", text="aoi: {bbox: [85, 27, 86, 28]}\n")
    go(file)
    shutil.copytree(tmp_path / "here", tmp_path / "there")  # other inodes, other times
    shutil.rmtree(tmp_path / "here")
    moved = tmp_path / "there" / file.name
    assert plan_summary(site_of(moved), now=0.0)["counts"] == {"done": 4}
    found = go(moved)
    assert (found["mapped"], found["unchanged"], found["layer_built"]) == (0, 4, False)


def test_footprints_that_are_damaged_are_made_again_by_the_next_run(tmp_path: Path) -> None:
    file = town(tmp_path)
    go(file)
    before = _ids(file)
    torn = next((tmp_path / "out" / "scenes").glob("s1*")) / "polygons.parquet"
    torn.write_bytes(torn.read_bytes()[:-20])
    cut(tmp_path / "scenes", "n", ground(), row=9, col=3, when="20230101")  # a reason to build
    with pytest.raises(SceneError, match=r"scenes/s1_20240101\.tif: its results are damaged"):
        go(file)
    assert _ids(file) == before
    assert "its results are damaged" in json.loads(str(_runs(file)[-1].summary))["reason"]
    found = go(file)
    assert (found["mapped"], found["failed"], found["layer"]["scenes"]) == (1, 0, 5)
    assert set(_ids(file)) >= set(before)


def test_results_without_their_manifest_are_made_again(tmp_path: Path) -> None:
    file = town(tmp_path, scenes=2)
    go(file)
    (next((tmp_path / "out" / "scenes").glob("s1*")) / "run.json").unlink()
    found = go(file)
    assert (found["mapped"], found["unchanged"], found["failed"]) == (1, 1, 0)


def test_disks_of_every_size_leave_the_layer_of_one_that_was_large_enough(tmp_path: Path) -> None:
    calm, file = town(tmp_path / "calm", scenes=2), town(tmp_path / "full", scenes=2)
    go(calm)
    size, ended = 300, False
    while not ended:
        with _largest_file(size):
            try:
                ended = go(file)["state"] == "done"
            except ExportError:
                size = size * 5 // 4
                assert size < 10_000_000
    assert _runs(file)[-1].state == "done"
    last = go(file)
    assert (last["failed"], last["layer_built"], last["faults"]) == (0, False, [])
    layers = [
        one.parent / "out" / json.loads((one.parent / "out" / "current.json").read_text())["folder"]
        for one in (calm, file)
    ]
    for name in ("layer.parquet", "footprints.geojson"):
        assert (layers[0] / name).read_bytes() == (layers[1] / name).read_bytes()
    assert not list((tmp_path / "full" / "out").rglob("*.part"))


def test_a_run_that_fails_at_the_layer_says_why_and_keeps_the_last_one(tmp_path: Path) -> None:
    file, clock = town(tmp_path, scenes=2), Clock()
    go(file)
    before = _ids(file)
    cut(tmp_path / "scenes", "n", ground(3), row=5, col=5, when="20240301")
    blocked = tmp_path / "out" / "runs" / "000002" / "footprints.geojson" / "x"

    def report(_: str) -> None:
        blocked.mkdir(parents=True, exist_ok=True)  # a folder where a file has to go

    with pytest.raises(ExportError, match=r"footprints\.geojson could not be written"):
        run_region(resolve_region(file), report=report, clock=clock)
    found = status(site_of(file), now=clock())
    assert (found["last"]["state"], found["running"]) == ("failed", None)
    assert any("footprints.geojson" in line for line in lines(found))
    assert _ids(file) == before
    assert go(file)["layer"]["scenes"] == 3


def test_a_run_that_was_killed_does_not_count_as_running(tmp_path: Path) -> None:
    file = town(tmp_path, scenes=1)
    child = os.fork()
    if child == 0:  # pragma: no cover - it is killed
        run_region(resolve_region(file), report=lambda _: os.kill(os.getpid(), signal.SIGKILL))
        os._exit(0)
    os.waitpid(child, 0)
    assert _runs(file)[-1].state == "running"
    found = status(site_of(file), now=Clock()())
    assert (found["running"], found["last"]["state"]) == (None, "interrupted")
    assert go(file)["mapped"] == 1


def test_what_was_given_up_is_tried_again_when_asked(tmp_path: Path) -> None:
    file, clock = town(tmp_path, scenes=1, text="policies: {retries: 0}\n"), Clock()
    bad = tmp_path / "scenes" / "bad.tif"
    bad.write_bytes(b"no picture")
    go(file, clock)
    clock.wait(days=400)
    (scene,) = (
        one
        for one in plan_summary(site_of(file), now=clock().timestamp())["scenes"]
        if one["state"] == "given up"
    )
    assert "run --retry" in scene["why"]
    found = run_region(without_backoff(site_of(file)), report=lambda _: None, clock=clock)
    assert (found["failed"], found["given_up"]) == (1, 0)


def test_waits_are_doubled_for_ever_without_a_fault(tmp_path: Path) -> None:
    file = town(tmp_path, scenes=1, text=f"policies: {{retries: {sys.maxsize}, backoff_s: 1}}\n")
    (tmp_path / "scenes" / "bad.tif").write_bytes(b"no picture")
    go(file)
    ledger = open_ledger(tmp_path / "out", region="town")
    row = ledger.scenes()["scenes/bad.tif"]
    for attempts in (5, 5000):
        ledger.put([replace(row, attempts=attempts, tried_at=1000.0)])
        for now, state in ((1000.0 + 15, "waiting"), (1000.0 + 7 * 86_400, "map")):
            found = plan_summary(site_of(file), now=now)
            assert found["counts"][state] >= 1
    ledger.close()


def test_the_plan_says_what_is_other_than_when_scenes_were_mapped(tmp_path: Path) -> None:
    file = town(tmp_path, scenes=2)
    go(file)
    text = file.read_text()
    file.write_text(f"{text}aoi: {{bbox: [85, 27, 86, 28]}}\n")
    assert plan_summary(site_of(file), now=0.0)["why"] == {"other area": 2}
    (tmp_path / "mine.yaml").write_text("name: mine\nmodel: threshold\nthreshold: 0.7\n")
    file.write_text(text.replace("task: bright", "task: mine.yaml"))
    cut(tmp_path / "scenes", "n", ground(), row=10, col=10, when="20240201")
    assert plan_summary(site_of(file), now=0.0)["why"] == {"new": 1, "other task": 2}


def test_three_years_of_runs_leave_a_small_ledger(tmp_path: Path) -> None:
    file, clock = town(tmp_path, scenes=1, text="policies: {keep_runs: 2}\n"), Clock()
    file.write_text(
        file.read_text().replace("path: scenes}", "path: scenes}, {type: files, path: x}")
    )
    for at in range(5):
        clock.wait(days=1)
        cut(tmp_path / "scenes", "n", ground(at), row=at, col=0, when=f"2024020{at + 1}")
        go(file, clock)
    ledger = open_ledger(tmp_path / "out", region="town")
    with ledger.engine.begin() as connection:
        kept = {row.run for row in connection.exec_driver_sql("SELECT run FROM outputs")}
    assert kept == {4, 5}
    assert all("touched" not in json.loads(str(run.summary)) for run in ledger.runs())
    ledger.close()
