"""A plan: keys of all that bytes depend on, and grids that memory allows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.grid import Sampling
from pipeline.core.separate import Doubt, Separation
from pipeline.core.window import Window
from pipeline.errors import ConfigError
from pipeline.models.card import Class, Inputs, ModelCard, Network, Outputs, Terms
from pipeline.models.predictor import Stretch
from pipeline.runs.plan import BASE_BYTES, ScenePlan, make_grid, tile_bytes
from pipeline.runs.planning import dry_run, plan_scene
from pipeline.runs.request import MapRequest
from pipeline.scenes.find import find_scenes
from pipeline.scenes.scene import Band, SceneInfo
from tests.runs.scenery import blobs, write_scene

CARD = ModelCard(
    name="m",
    network=Network(architecture="unet", stride=16, reach=165),
    inputs=Inputs(bands=("red",), mean=(0.5,), std=(0.2,)),
    outputs=Outputs(classes=(Class(name="building", colour="#e6550d"),)),
    terms=Terms(license="Apache-2.0"),
)
SEPARATION = Separation(
    channel=1, threshold=1, opening=1, reach=1, doubt=Doubt(least=1, doubling=1)
)
BLEND = CARD.model_copy(
    update={
        "context": "blend",
        "network": Network(architecture="unet", stride=16, reach=None),
    }
)
PAD = CARD.model_copy(update={"context": "pad", "pad_to": 128})


def info(height: int, width: int) -> SceneInfo:
    return SceneInfo(
        name="s",
        source="s.tif",
        height=height,
        width=width,
        bands=(Band(index=1, name="red", colour="red"),),
        dtype="uint8",
        georef=None,
        fingerprint="f",
    )


def same(height: int, width: int) -> Sampling:
    return Sampling(height=height, width=width, net_height=height, net_width=width)


@given(
    height=st.integers(1, 40_000),
    width=st.integers(1, 40_000),
    memory=st.integers(2 * 10**9, 64 * 10**9),
)
def test_tiles_fit_into_memory_and_partition_the_scene(
    height: int, width: int, memory: int
) -> None:
    grid = make_grid(CARD, info(height, width), same(height, width), tile=None, max_memory=memory)
    cores = list(grid.cores())
    assert sum(core.pixels for core in cores) == height * width
    assert len(cores) == len(grid)
    assert grid.halo == 176
    largest = max(grid.tile(core).pixels for core in cores)
    assert BASE_BYTES + tile_bytes(CARD, info(height, width), largest, bands=1) <= memory


@pytest.mark.parametrize("tile", [1, 352, 367])
def test_a_tile_without_room_for_its_halo_is_refused_with_the_least_that_works(tile: int) -> None:
    with pytest.raises(ConfigError, match=r"halo of 176 px.*give at least 368"):
        make_grid(CARD, info(900, 900), same(900, 900), tile=tile, max_memory=4 * 10**9)
    grid = make_grid(CARD, info(900, 900), same(900, 900), tile=368, max_memory=4 * 10**9)
    assert grid.core == 16


def test_blended_tiles_overlap_their_neighbours_alone() -> None:
    with pytest.raises(ConfigError, match="give at least 512"):
        make_grid(BLEND, info(900, 900), same(900, 900), tile=511, max_memory=4 * 10**9)
    grid = make_grid(BLEND, info(900, 900), same(900, 900), tile=512, max_memory=4 * 10**9)
    assert grid.core == 256
    assert grid.halo == 128


def test_too_little_memory_is_refused_with_what_is_needed() -> None:
    with pytest.raises(ConfigError, match=r"--max-memory 0\.5 GB is too little.* needs 0\.9 GB"):
        make_grid(CARD, info(900, 900), same(900, 900), tile=None, max_memory=5 * 10**8)


def test_small_images_are_padded_as_in_training() -> None:
    grid = make_grid(PAD, info(101, 101), same(101, 101), tile=None, max_memory=4 * 10**9)
    (core,) = grid.cores()
    assert (core.height, core.width) == (101, 101)
    assert grid.tile(core) == Window(row=-13, col=-13, height=128, width=128)
    large = make_grid(PAD, info(500, 500), same(500, 500), tile=None, max_memory=4 * 10**9)
    assert large.pad_to == 0


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
        replace(SEPARATION, reach=2),
        replace(SEPARATION, channel=2),
        replace(SEPARATION, doubt=Doubt(least=2, doubling=1)),
    ]
    assert len({replace(plan, separation=way).key(core) for way in ways}) == len(ways)


def test_the_halo_grows_by_what_separation_looks_at() -> None:
    for extra, halo in ((0, 176), (11, 176), (12, 192), (24, 192)):
        grid = make_grid(
            CARD,
            info(900, 900),
            same(900, 900),
            tile=None,
            max_memory=4 * 10**9,
            extra=extra,
        )
        assert grid.halo == halo


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
