"""A plan: keys of all that bytes depend on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.polygons.separate import MergeCriterion, Separation
from pipeline.mapping.plan_scene import dry_run, plan_scene
from pipeline.mapping.planning.plan import ScenePlan
from pipeline.mapping.planning.request import MapRequest
from pipeline.mapping.planning.tile_size import BASE_BYTES
from pipeline.models.predictor import Stretch
from pipeline.scenes.find import find_scenes
from tests.mapping.scenery import blobs, write_scene

SEPARATION = Separation(
    channel=1,
    threshold=1,
    opening=1,
    max_steps=1,
    criterion=MergeCriterion(min_area_px=1, doubling_probability=1),
)


@pytest.fixture
def plan(tmp_path: Path) -> ScenePlan:
    scene = write_scene(tmp_path / "s.tif", blobs(1, height=60, width=70)[None])
    request = MapRequest(scenes=(str(scene),), out=tmp_path / "out", task="bright", tile=32)
    (ref,) = find_scenes(request.scenes).refs
    return plan_scene(request, request.chosen_task, ref, "s").ready(("cpu", "torch 1"), tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"bands": (2,)},
        {"stretch": Stretch(low=1, high=2)},
        {"threshold": 3},
        {"separation": SEPARATION},
        {"edge": "constant"},
        {"engine": "torch 2"},
        {"task": "other"},
        {"aoi": b"somewhere"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_tiles_key_is_made_of_all_its_bytes_depend_on(
    plan: ScenePlan, change: dict[str, Any]
) -> None:
    core = next(plan.grid.cores())
    other = replace(plan, **change)
    assert other.key(core) != plan.key(core)
    assert (other.digest == plan.digest) == ("engine" in change)


def test_separation_that_differs_in_anything_has_another_key(plan: ScenePlan) -> None:
    core = next(plan.grid.cores())
    ways = [
        None,
        SEPARATION,
        replace(SEPARATION, threshold=2),
        replace(SEPARATION, opening=2),
        replace(SEPARATION, max_steps=2),
        replace(SEPARATION, channel=2),
        replace(SEPARATION, criterion=MergeCriterion(min_area_px=2, doubling_probability=1)),
    ]
    assert len({replace(plan, separation=way).key(core) for way in ways}) == len(ways)


def test_tiles_of_one_plan_have_different_keys(plan: ScenePlan) -> None:
    keys = {plan.key(core, kind=kind) for core in plan.grid.cores() for kind in ("tile", "raw")}
    assert len(keys) == 2 * len(plan.grid)


def test_where_a_run_works_is_no_part_of_what_it_makes(plan: ScenePlan) -> None:
    moved = replace(plan, work="/elsewhere", name="t")
    core = next(plan.grid.cores())
    assert moved.key(core) == plan.key(core)
    assert moved.digest == plan.digest


def test_a_dry_run_names_a_tile_too_large_for_memory(tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "s.tif", blobs(1, height=60, width=70)[None])
    request = MapRequest(
        scenes=(str(scene),),
        out=tmp_path / "out",
        task="bright",
        tile=32,
        max_memory=BASE_BYTES,
    )
    (row,) = dry_run(request)["scenes"]
    assert row["complaints"] == ["--tile 32 takes more than --max-memory"]
    assert not (tmp_path / "out").exists()
