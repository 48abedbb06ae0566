"""Runs of a region: each scene once, the layer after them, faults told and survived."""

from __future__ import annotations

import json
import os
import shutil
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.errors import ConfigError, ExportError, LockedError
from pipeline.mapping.lock import lock_folder
from pipeline.regions.layer.history import changes_between
from pipeline.regions.layer.sinks import item_name
from pipeline.regions.ledger.ledger import open_ledger
from pipeline.regions.ledger.records import SceneRow
from pipeline.regions.plan import plan_summary
from pipeline.regions.report.status import lines, status
from pipeline.regions.resolved_region import resolve_region
from pipeline.regions.run import run_region
from pipeline.validation.validate import check_file
from tests.mapping.scenery import write_scene
from tests.postgres import Server
from tests.regions.places import (
    SIDE,
    Clock,
    cut,
    go,
    ground,
    keep_to_schedule,
    site_of,
    town,
)

MONDAYS = "schedule: {cron: '30 2 * * 1', timezone: Asia/Kathmandu}\n"


def rows(file: Path) -> dict[str, SceneRow]:
    """Return what the ledger says of the scenes."""
    ledger = open_ledger(file.parent / "out", region="town")
    found = ledger.scenes()
    ledger.close()
    return found


def counts(file: Path, now: float = 2e9) -> dict[str, int]:
    """Return how many scenes a plan has, by state."""
    found: dict[str, int] = plan_summary(site_of(file), now=now)["counts"]
    return found


def test_a_region_runs_on_its_schedule_and_says_what_was_changed(tmp_path: Path) -> None:
    file, clock = town(tmp_path, text=MONDAYS), Clock()
    week = timedelta(days=7)
    (first,) = keep_to_schedule(file, clock, until=clock() + week)
    assert (first["mapped"], first["failed"]) == (4, 0)
    # A house is torn down and another built; the next flight shows it.
    cut(tmp_path / "scenes", "again", ground(without=7, extra=True), row=0, col=0, when="20240601")
    (second,) = keep_to_schedule(file, clock, until=clock() + week)
    moments = [run["began"] for run in reversed(status(site_of(file), now=clock())["runs"])]
    assert moments == ["2024-05-12T20:45:00+00:00", "2024-05-19T20:45:00+00:00"]
    assert (second["mapped"], second["unchanged"]) == (1, 4)
    assert second["changes"]["removed"]["count"] == 1
    assert second["changes"]["added"]["count"] == 1
    assert second["changes"]["changed"]["count"] == 0
    found = changes_between(site_of(file), out=tmp_path / "changes")
    assert (found["before"], found["after"]) == (1, 2)
    features = json.loads((tmp_path / "changes" / "changes.geojson").read_text())["features"]
    kinds = [feature["properties"]["change"] for feature in features]
    assert sorted(kinds) == ["added", "removed"]
    layers = [
        pq.read_table(tmp_path / "out" / "runs" / f"{run:06d}" / "layer.parquet") for run in (1, 2)
    ]
    early, late = (set(layer["building_id"].to_pylist()) for layer in layers)
    assert len(early - late) == 1
    assert len(late - early) == 1
    assert max(layers[1]["n_obs"].to_pylist()) > 1
    for name in ("layer.parquet", "footprints.geojson"):
        assert check_file(Path(second["folder"]) / name) == []


def test_a_region_has_every_output_that_its_file_names_also_of_scenes_with_collars(
    tmp_path: Path,
) -> None:
    file = town(tmp_path, scenes=1)
    pixels = ground()[None, :SIDE, :SIDE].copy()
    pixels[:, :, :9] = 255
    write_scene(tmp_path / "scenes" / "collar.tif", pixels, nodata=255)
    wanted = "[parquet, geojson, geojsonl, fgb, gpkg, shapefile, pmtiles, stac]"
    file.write_text(file.read_text().replace("[geojson]", wanted))
    folder = Path(go(file)["folder"])
    made = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".arrow"]
    assert {path.suffix for path in made} == {
        *(".parquet", ".geojson", ".geojsonl", ".fgb", ".gpkg", ".zip", ".pmtiles", ".json")
    }
    assert [told for path in made for told in check_file(path)] == []
    assert sorted(path.name for path in (folder / "stac").iterdir() if path.is_dir()) == [
        item_name("scenes/collar.tif"),
        item_name("scenes/s0_20240101.tif"),
    ]
    covered = rows(file)["scenes/collar.tif"].km2
    assert covered == pytest.approx(48 * 39 * 0.09 / 1e6, rel=0.01)


def test_running_twice_costs_nothing_and_changes_nothing(tmp_path: Path) -> None:
    file = town(tmp_path)
    go(file)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "scenes").rglob("*.*")}
    again = go(file)
    assert (again["mapped"], again["unchanged"], again["layer_built"]) == (0, 4, False)
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "scenes").rglob("*.*")} == before
    assert sorted(p.name for p in (tmp_path / "out" / "runs").iterdir()) == ["000001"]


def test_a_file_that_was_only_touched_or_copied_is_not_mapped_again(tmp_path: Path) -> None:
    file = town(tmp_path)
    go(file)
    os.utime(tmp_path / "scenes" / "s0_20240101.tif", (1, 1))
    shutil.copy(tmp_path / "scenes" / "s1_20240101.tif", tmp_path / "scenes" / "copy.tif")
    assert counts(file) == {"done": 4, "link": 1}
    found = go(file)
    assert (found["mapped"], found["linked"], found["layer_built"]) == (0, 1, False)
    assert counts(file) == {"done": 5}


def test_twins_are_mapped_once_from_the_start(tmp_path: Path) -> None:
    file = town(tmp_path, scenes=1)
    shutil.copy(tmp_path / "scenes" / "s0_20240101.tif", tmp_path / "scenes" / "a_20240101.tif")
    found = go(file)
    assert (found["mapped"], found["linked"]) == (1, 1)
    assert found["layer"]["scenes"] == 1


def test_what_changed_is_mapped_again_and_its_old_results_go(tmp_path: Path) -> None:
    file = town(tmp_path)
    go(file)
    old = rows(file)["scenes/s0_20240101.tif"]
    cut(tmp_path / "scenes", "s0", ground(without=0), row=0, col=0, when="20240101")
    assert counts(file) == {"done": 3, "map": 1}
    assert go(file)["mapped"] == 1
    assert not (tmp_path / "out" / "scenes" / str(old.folder)).exists()
    assert len(list((tmp_path / "out" / "scenes").glob("s*"))) == 4


def test_other_settings_map_everything_again(tmp_path: Path) -> None:
    file = town(tmp_path, scenes=2)
    go(file)
    (tmp_path / "mine.yaml").write_text("name: mine\nmodel: threshold\nthreshold: 0.7\n")
    file.write_text(file.read_text().replace("task: bright", "task: mine.yaml"))
    assert counts(file) == {"map": 2}
    assert go(file)["mapped"] == 2


def test_results_that_were_removed_are_made_again(tmp_path: Path) -> None:
    file = town(tmp_path, scenes=2)
    go(file)
    shutil.rmtree(tmp_path / "out" / "scenes")
    assert counts(file) == {"map": 2}
    assert go(file)["mapped"] == 2


def test_one_bad_scene_stops_no_other_and_is_tried_again_later(tmp_path: Path) -> None:
    file = town(tmp_path, text="policies: {retries: 2, backoff_s: 100}\n")
    bad = tmp_path / "scenes" / "bad.tif"
    bad.write_bytes(b"II*\0 this is no picture")
    clock = Clock()
    found = go(file, clock)
    assert (found["mapped"], found["failed"], found["layer_built"]) == (4, 1, True)
    for wait, state in ((50, "waiting"), (60, "map")):
        clock.wait(seconds=wait)
        assert counts(file, clock().timestamp())[state] == 1
    assert go(file, clock)["failed"] == 1
    clock.wait(seconds=150)
    assert go(file, clock)["waiting"] == 1
    clock.wait(seconds=100)
    assert go(file, clock)["failed"] == 1
    clock.wait(days=100)
    assert go(file, clock)["given_up"] == 1
    # A new file is a new chance.
    bad.unlink()
    cut(tmp_path / "scenes", "x", ground(), row=10, col=10, when="20240103").rename(bad)
    assert go(file, clock)["mapped"] == 1


def test_a_clock_that_is_set_back_keeps_nothing_waiting(tmp_path: Path) -> None:
    file = town(tmp_path, scenes=1)
    (tmp_path / "scenes" / "bad.tif").write_bytes(b"no picture")
    clock = Clock()
    go(file, clock)
    clock.wait(days=-400)
    found = go(file, clock)
    assert (found["failed"], found["unchanged"], found["run"]) == (1, 1, 2)
    assert status(site_of(file), now=clock())["last"]["run"] == 2


def test_a_run_stops_at_its_error_budget_and_leaves_the_layer(tmp_path: Path) -> None:
    file = town(tmp_path, text="policies: {error_budget: 1}\n")
    go(file)
    for at in range(5):
        (tmp_path / "scenes" / f"bad{at}.tif").write_bytes(f"no picture {at}".encode())
    cut(tmp_path / "scenes", "zz", ground(), row=10, col=10, when="20240103")
    found = go(file)
    assert (found["state"], found["failed"], found["mapped"]) == ("stopped", 2, 0)
    assert [p.name for p in (tmp_path / "out" / "runs").iterdir()] == ["000001"]
    assert status(site_of(file), now=Clock()())["last"]["state"] == "stopped"


def test_a_source_that_is_gone_takes_no_scene_with_it(tmp_path: Path) -> None:
    file = town(tmp_path)
    go(file)
    (tmp_path / "scenes").rename(tmp_path / "elsewhere")
    found = go(file)
    assert found["faults"]
    assert found["layer_built"] is False
    (tmp_path / "scenes").mkdir()
    assert go(file)["withdrawn"] == 0
    assert {row.state for row in rows(file).values()} == {"done"}


@pytest.mark.parametrize(("policy", "scenes"), [("keep", 4), ("drop", 3)])
def test_withdrawn_scenes_stay_or_leave_as_the_policy_says(
    tmp_path: Path, policy: str, scenes: int
) -> None:
    file = town(tmp_path, text=f"policies: {{withdrawn: {policy}}}\n")
    go(file)
    gone = tmp_path / "scenes" / "s3_20240101.tif"
    gone.rename(tmp_path / "kept.tif")
    found = go(file)
    assert found["withdrawn"] == 1
    if policy == "drop":
        assert found["layer"]["scenes"] == scenes
    (tmp_path / "kept.tif").rename(gone)
    back = go(file)
    assert (back["mapped"], back["unchanged"]) == (0, 4)


def test_scenes_outside_the_area_are_left_alone(tmp_path: Path) -> None:
    file = town(tmp_path, text="aoi: {bbox: [85.5211, 27.6285, 85.5212, 27.6286]}\n")
    found = go(file)
    assert found["outside"] > 0
    assert found["mapped"] + found["outside"] == 4
    again = go(file)
    assert (again["mapped"], again["outside"]) == (0, found["outside"])


def test_old_layers_go_and_the_current_one_stays(tmp_path: Path) -> None:
    file = town(tmp_path, scenes=1, text="policies: {keep_runs: 2}\n")
    for at in range(4):
        cut(tmp_path / "scenes", "n", ground(at), row=at, col=0, when=f"2024020{at + 1}")
        go(file)
    assert sorted(p.name for p in (tmp_path / "out" / "runs").iterdir()) == ["000003", "000004"]
    with pytest.raises(
        ConfigError, match=r"--before 1: that run has no layer; runs that have one: 3, 4"
    ):
        changes_between(site_of(file), out=tmp_path / "c", before=1, after=4)


def test_a_second_run_is_refused_and_told_who_holds_the_region(tmp_path: Path) -> None:
    file = town(tmp_path, scenes=1)
    with (
        lock_folder(tmp_path / "out"),
        pytest.raises(LockedError, match=r"process \d+ on .* since"),
    ):
        go(file)
    assert go(file)["mapped"] == 1


def test_a_scene_that_vanishes_half_way_fails_alone(tmp_path: Path) -> None:
    file = town(tmp_path)

    def report(line: str) -> None:
        if line.startswith("scenes/s1"):
            (tmp_path / "scenes" / "s2_20240101.tif").unlink(missing_ok=True)

    found = run_region(resolve_region(file), report=report, clock=Clock())
    assert (found["mapped"], found["failed"]) == (3, 1)
    assert "s2_20240101" in str(rows(file)["scenes/s2_20240101.tif"].reason)


def test_a_scene_that_changes_after_it_was_planned_is_not_taken_for_what_it_was(
    tmp_path: Path,
) -> None:
    file = town(tmp_path)

    def report(line: str) -> None:
        if line.startswith("scenes/s1_20240101.tif: new"):
            cut(tmp_path / "scenes", "s2", ground(without=30), row=32, col=0, when="20240101")

    found = run_region(resolve_region(file), report=report, clock=Clock())
    assert found["failed"] == 1
    assert "changed between planning and mapping" in str(
        rows(file)["scenes/s2_20240101.tif"].reason
    )
    assert go(file)["mapped"] == 1


def test_a_full_disk_leaves_the_last_layer_and_the_next_run_goes_on(tmp_path: Path) -> None:
    import resource

    file = town(tmp_path)
    go(file)
    for at in range(3):
        cut(tmp_path / "scenes", "n", ground(at + 1), row=at, col=at, when=f"2024030{at + 1}")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, hard))
    try:
        with pytest.raises(ExportError):
            go(file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert json.loads((tmp_path / "out" / "current.json").read_text())["run"] == "000001"
    found = go(file)
    assert (found["failed"], found["layer_built"], found["layer"]["scenes"]) == (0, True, 7)


def test_the_status_tells_scenes_failures_and_runs(tmp_path: Path) -> None:
    file = town(tmp_path, text="schedule: {cron: '30 2 * * 1', timezone: Asia/Kathmandu}\n")
    assert status(site_of(file), now=Clock()())["scenes"] == {}
    (tmp_path / "scenes" / "bad.tif").write_bytes(b"no picture")
    go(file)
    found = status(site_of(file), now=Clock()())
    assert found["scenes"] == {"done": 4, "failed": 1}
    assert found["failures"][0]["scene"] == "scenes/bad.tif"
    assert found["mpx"] == pytest.approx(4 * 48 * 48 / 1e6, abs=1e-3)
    assert found["km2"] == pytest.approx(4 * (48 * 0.3) ** 2 / 1e6, rel=0.01)
    assert found["next"] == "2024-05-13T02:30+05:45"
    told = "\n".join(lines(found))
    assert "4 done, 1 failed" in told
    assert "scenes/bad.tif" in told
    json.dumps(found)


def test_a_ledger_on_postgresql_serves_as_well(
    tmp_path: Path, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOWN_LEDGER", postgres.database())
    file = town(tmp_path, scenes=2, text="ledger_env: TOWN_LEDGER\n")
    assert go(file)["mapped"] == 2
    assert go(file)["unchanged"] == 2
    assert status(site_of(file), now=Clock()())["scenes"] == {"done": 2}
    assert not (tmp_path / "out" / "ledger.sqlite").exists()


def test_the_layer_is_kept_up_to_date_in_postgis(
    tmp_path: Path, postgis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOWN_POSTGIS", postgis)
    file = town(tmp_path, text="sinks: [{type: postgis, url_env: TOWN_POSTGIS, table: town}]\n")
    found = go(file)
    assert found["sinks"][0]["inserted"] == found["layer"]["footprints"]


def test_a_variable_that_is_not_set_is_named(tmp_path: Path) -> None:
    file = town(tmp_path, text="ledger_env: NOT_SET_ANYWHERE\n")
    with pytest.raises(ConfigError, match="NOT_SET_ANYWHERE is not set"):
        site_of(file)
