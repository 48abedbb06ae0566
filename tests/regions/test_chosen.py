"""Scenes that an orchestrator asks for one by one end as those of a whole run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.errors import ConfigError, LockedError
from pipeline.mapping.lock import lock_folder
from pipeline.regions.plan import plan_summary
from pipeline.regions.selected import map_selected
from tests.regions.places import Clock, go, site_of, town


def _map(file: Path, *scenes: str, clock: Clock | None = None) -> dict[str, object]:
    return map_selected(site_of(file), scenes, report=lambda _: None, clock=clock or Clock())


def _states(file: Path) -> dict[str, str]:
    found = plan_summary(site_of(file), now=Clock()().timestamp())["scenes"]
    return {one["scene"]: one["state"] for one in found}


def test_scenes_one_by_one_and_a_run_make_the_layer_of_one_run(tmp_path: Path) -> None:
    whole, single = (town(tmp_path / name, scenes=3) for name in ("whole", "single"))
    first = go(whole)
    for name in sorted(_states(single)):
        assert _map(single, name)["mapped"] == 1
    assert not (single.parent / "out" / "runs").exists()
    assert _map(single, *_states(single))["unchanged"] == 3
    last = go(single)
    assert (first["mapped"], last["mapped"], last["unchanged"]) == (3, 0, 3)
    layers = [one.parent / "out" / "runs" / "000001" / "layer.parquet" for one in (whole, single)]
    assert layers[0].read_bytes() == layers[1].read_bytes()


def test_a_plan_tells_keys_that_scenes_of_one_content_share(tmp_path: Path) -> None:
    file = town(tmp_path, scenes=2)
    shutil.copy(tmp_path / "scenes" / "s0_20240101.tif", tmp_path / "scenes" / "t.tif")
    found = {one["scene"]: one for one in plan_summary(site_of(file), now=0.0)["scenes"]}
    one, other, twin = (found[name] for name in sorted(found))
    assert one["key"] == twin["key"] != other["key"]
    assert {entry["attempts"] for entry in found.values()} == {0}
    # The twin comes first here; nobody has mapped its content.
    assert _map(file, str(twin["scene"]))["mapped"] == 1
    assert _map(file, str(one["scene"]))["linked"] == 1


def test_a_scene_that_failed_waits_as_the_ledger_says(tmp_path: Path) -> None:
    file, clock = town(tmp_path, scenes=2), Clock()
    bad = tmp_path / "scenes" / "s0_20240101.tif"
    bad.write_bytes(bad.read_bytes()[:400])
    name = next(scene for scene in _states(file) if "s0" in scene)
    assert _map(file, name, clock=clock)["failed"] == 1
    again = _map(file, name, clock=clock)
    assert (again["failed"], again["touched"]) == (1, [])
    assert "again in 900 s" in str(again["not_due"])
    clock.wait(hours=1)
    assert _map(file, name, clock=clock)["touched"] != []


def test_a_scene_that_no_source_lists_is_refused(tmp_path: Path) -> None:
    file = town(tmp_path, scenes=1)
    with pytest.raises(ConfigError, match=r"--scene nowhere\.tif: no source of town lists it"):
        _map(file, "nowhere.tif")
    with lock_folder(tmp_path / "out"), pytest.raises(LockedError):
        _map(file, "nowhere.tif")
