"""Touching objects taken apart by a run: the same whatever the tile, executor or interruption."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from torch import nn

from pipeline.config import Separate, Task
from pipeline.core.polygons.contact import shared_boundaries
from pipeline.core.polygons.markers import markers_of
from pipeline.core.polygons.merge import Merger
from pipeline.core.polygons.separate import separate, trace_instances
from pipeline.core.quantise import classified, quantised
from pipeline.core.window import Window
from pipeline.errors import ConfigError
from pipeline.mapping.plan_scene import dry_run, plan_scene
from pipeline.mapping.planning.plan import ScenePlan
from pipeline.mapping.planning.request import MapRequest
from pipeline.mapping.planning.separation import network_pixels, separation_of
from pipeline.mapping.tiles.tile_task import TileJob, map_tile_task
from pipeline.mapping.tiles.workers import CheckedWorkers
from pipeline.models.card import (
    Class,
    Inputs,
    ModelCard,
    Network,
    Outputs,
    SeparationDefaults,
    Terms,
)
from pipeline.models.checkpoint import save_checkpoint
from pipeline.models.networks import build
from pipeline.models.registry import load_predictor
from pipeline.scenes.find import find_scenes
from pipeline.scenes.open import open_scene
from pipeline.scenes.scene import Band, SceneInfo
from tests.mapping.scenery import NORTH_UP, UTM, band, blobs, contents, on_map, run, write_scene
from tests.strategies import examples, samplings

ARGUMENTS = {"in_channels": 3, "classes": 2, "width": 4, "depth": 1}


def colours(path: Path, **card: Any) -> Path:
    """Write a network that takes red for building and green for interior, pixel by pixel."""
    arguments: dict[str, Any] = ARGUMENTS
    network = build("unet", arguments)
    for module in network.modules():
        if not isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            continue
        torch.nn.init.zeros_(module.weight)
        torch.nn.init.zeros_(module.bias)  # type: ignore[arg-type]  # they have one
        for channel in (0, 1):
            if module.kernel_size == (3, 3):
                # Of what skips and what comes from below, the first is what skips.
                torch.nn.init.ones_(module.weight[channel, channel, 1, 1])
            elif isinstance(module, nn.Conv2d):
                torch.nn.init.constant_(module.weight[channel, channel], 8)
                torch.nn.init.constant_(module.bias[channel], -4)  # type: ignore[index]
    stated: dict[str, Any] = {
        "name": "colours",
        "network": Network(architecture="unet", arguments=arguments, stride=4, rf_radius=2),
        "inputs": Inputs(bands=("red", "green", "blue"), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
        "outputs": Outputs(
            classes=(Class(name="building", colour="#e6550d"),),
            separating=("interior",),
            separation=SeparationDefaults(growth=6),
        ),
        "terms": Terms(license="Apache-2.0"),
    }
    save_checkpoint(path, network.state_dict(), ModelCard(**(stated | card)))
    return path


def town(seed: int, *, height: int, width: int) -> np.ndarray:
    """Return large red blocks with small green insides, and holes."""
    red = blobs(seed, height=height, width=width, size=23, share=0.7)
    green = blobs(seed + 1, height=height, width=width, size=5, share=0.4)
    return np.stack([red, green, np.zeros_like(red)])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return colours(tmp_path_factory.mktemp("model") / "m.safetensors")


def plan_of(scene: Path, model: Path, **settings: Any) -> ScenePlan:
    request = MapRequest(
        scenes=(str(scene),), out=scene.parent / "plan", task="bright", model=str(model), **settings
    )
    (ref,) = find_scenes(request.scenes).refs
    planned = plan_scene(request, request.chosen_task, ref, scene.stem)
    return planned.ready(("cpu", "any"), scene.parent)


def at_once(plan: ScenePlan) -> dict[bytes, float]:
    """Return the instances of the whole mosaic and their confidences, by geometry."""
    scene = open_scene(plan.scene)
    everything = Window(row=0, col=0, height=plan.info.height, width=plan.info.width)
    pixels, valid = scene.read(everything, plan.bands)
    scene.close()
    # The network takes multiples of its stride; what is added has no part in the answer.
    more = [(0, -side % 4) for side in valid.shape]
    chances = load_predictor(plan.model, device="cpu").predict(
        np.pad(pixels, [(0, 0), *more], mode="edge"), np.pad(valid, more), plan.stretch
    )
    steps = quantised(chances[:, : valid.shape[0], : valid.shape[1]], valid)
    labels = classified(steps[:1], threshold=plan.threshold)
    assert plan.separation is not None
    how = plan.separation
    markers = markers_of(steps[how.channel], threshold=how.threshold, opening=how.opening)
    shape = labels.shape[0], labels.shape[1]
    instances, sides = separate(
        labels, markers, core=everything, scene=shape, max_steps=how.max_steps
    )
    joints = shared_boundaries(instances, labels, steps[how.channel], sides)
    traced = trace_instances(instances, labels, steps[0], core=everything)
    # One core that is the whole scene: nothing is joined, only doubtful borders fall.
    merger = Merger(height=plan.info.height, width=plan.info.width, criterion=how.criterion)
    found = merger.add(everything, traced, joints)
    means = found.weight / found.pixels / 250
    return dict(zip(map(normal, found.to_shapely()), means.tolist(), strict=True))


def normal(polygon: Any) -> bytes:
    return bytes(shapely.to_wkb(shapely.normalize(shapely.simplify(polygon, 0))))


def polygons(folder: Path) -> dict[bytes, float]:
    """Return a run's polygons in pixels of the scene, and their confidences."""
    frame = geopandas.read_parquet(folder / "polygons.parquet").to_crs("EPSG:32645")
    corner = np.array([354_000, 3_057_500])
    shapes = shapely.transform(
        frame.geometry.to_numpy(), lambda points: np.rint((points - corner) / [0.3, -0.3]) + 0.0
    )
    return dict(zip(map(normal, shapes), frame["confidence"].tolist(), strict=True))


@settings(max_examples=examples(8), phases=[Phase.explicit, Phase.generate])
@given(
    seed=st.integers(0, 2**20),
    height=st.integers(8, 120),
    width=st.integers(8, 120),
    tile=st.integers(24, 90),
)
def test_a_run_separates_as_if_the_scene_were_one_tile(
    model: Path,
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    height: int,
    width: int,
    tile: int,
) -> None:
    place = tmp_path_factory.mktemp("whole")
    scene = write_scene(place / "s.tif", town(seed, height=height, width=width))
    run(scene, place / "out", model=str(model), tile=tile)
    found, expected = polygons(place / "out" / "s"), at_once(plan_of(scene, model))
    assert found.keys() == expected.keys()
    for polygon, confidence in found.items():
        assert confidence == pytest.approx(expected[polygon], abs=6e-4)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("scene")
    return write_scene(place / "s.tif", town(5, height=170, width=203))


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory, scene: Path, model: Path) -> Path:
    out = tmp_path_factory.mktemp("reference")
    run(scene, out, model=str(model), tile=60)
    return out / "s"


def whole_polygons(folder: Path) -> bytes:
    return (folder / "polygons.geojson").read_bytes()


def test_executors_leave_the_same_bytes(
    tmp_path: Path, scene: Path, model: Path, reference: Path
) -> None:
    run(scene, tmp_path, model=str(model), tile=60, executor="local")
    assert contents(tmp_path / "s") == contents(reference)


@pytest.mark.parametrize("tile", [33, 100, None])
def test_polygons_do_not_depend_on_the_tile(
    tmp_path: Path, scene: Path, model: Path, reference: Path, tile: int | None
) -> None:
    run(scene, tmp_path, model=str(model), tile=tile)
    assert whole_polygons(tmp_path / "s") == whole_polygons(reference)


def test_outlines_between_pixels_share_the_walls_of_instances_whatever_the_tile(
    tmp_path: Path, scene: Path, model: Path, reference: Path
) -> None:
    task = tmp_path / "smooth.yaml"
    task.write_text(f"name: smooth\nmodel: {model}\nshape: {{outline: subpixel}}\n", "utf-8")
    for tile in (44, 200):
        run(scene, tmp_path / str(tile), task=str(task), tile=tile)
    one, other = (tmp_path / name / "s" for name in ("44", "200"))
    assert whole_polygons(one) == whole_polygons(other) != whole_polygons(reference)
    smooth, stairs = (
        geopandas.read_parquet(folder / "polygons.parquet").geometry.to_numpy()
        for folder in (one, reference)
    )
    assert len(smooth) == len(stairs)
    # A pixel is 0.3 m: walls that were shared are so to the last corner.
    assert shapely.coverage_is_valid(smooth, gap_width=0)
    touching = shapely.STRtree(stairs).query(stairs, predicate="touches")
    assert touching.shape[1] > 0


def test_a_run_that_was_stopped_goes_on_and_ends_with_the_same_bytes(
    tmp_path: Path, scene: Path, model: Path, reference: Path
) -> None:
    plan = plan_of(scene, model, tile=60)
    (tmp_path / ".work" / "s" / "tiles").mkdir(parents=True)
    request = MapRequest(
        scenes=(str(scene),), out=tmp_path, task="bright", model=str(model), executor="serial"
    )
    crew = CheckedWorkers(request, request.chosen_task)
    (ref,) = find_scenes(request.scenes).refs
    planned = plan_scene(request, request.chosen_task, ref, "s")
    ready = planned.ready(crew.engine(planned.card, pixels=0), tmp_path / ".work" / "s")
    crew.close()
    ready = replace(ready, grid=plan.grid)
    for index, core in list(enumerate(ready.grid.cores()))[::3]:
        assert not map_tile_task(TileJob(plan=ready, index=index, core=core)).reused
    run(scene, tmp_path, model=str(model), tile=60)
    log = (tmp_path / "s" / "log.jsonl").read_text()
    assert log.count('"reused": true') == -(-len(ready.grid) // 3)
    assert contents(tmp_path / "s") == contents(reference)


def test_the_mask_is_the_one_without_separation(
    tmp_path: Path, scene: Path, model: Path, reference: Path
) -> None:
    task = tmp_path / "whole.yaml"
    task.write_text(f"name: whole\nmodel: {model}\nseparate: false\n", "utf-8")
    run(scene, tmp_path, task=str(task), tile=60)
    np.testing.assert_array_equal(band(tmp_path / "s" / "mask.tif"), band(reference / "mask.tif"))
    apart, together = polygons(reference), polygons(tmp_path / "s")
    assert len(apart) > len(together)
    united = shapely.union_all(shapely.from_wkb(list(apart)))
    mask = band(reference / "mask.tif") == 1
    assert united.area == mask.sum() == shapely.area(shapely.from_wkb(list(apart))).sum()


def test_instances_that_meet_the_area_of_interest_stay_whole(tmp_path: Path, model: Path) -> None:
    scene = write_scene(tmp_path / "s.tif", town(3, height=170, width=203))
    corners = [on_map(NORTH_UP, corner) for corner in ((20, 30), (120, 30), (120, 140), (20, 140))]
    aoi = tmp_path / "aoi.gpkg"
    geopandas.GeoDataFrame(geometry=[shapely.Polygon(corners)], crs=UTM).to_file(aoi)
    for tile in (50, None):
        run(scene, tmp_path / str(tile), model=str(model), aoi=aoi, tile=tile)
    one, two = (tmp_path / str(tile) / "s" for tile in (50, None))
    assert whole_polygons(one) == whole_polygons(two)
    assert (band(one / "mask.tif")[:28] == 255).all()
    everything = at_once(plan_of(scene, model))
    box = shapely.box(20, 30, 120, 140)
    meeting = {key for key in everything if shapely.from_wkb(key).intersects(box)}
    assert polygons(one).keys() == meeting


@pytest.mark.parametrize(("low", "high"), [(0.5, 0.7), (0.1, 0.2)], ids=["coarser", "finer"])
def test_resampled_scenes_are_separated_alike_whatever_the_tile(
    tmp_path: Path, scene: Path, low: float, high: float
) -> None:
    inputs = Inputs(
        bands=("red", "green", "blue"),
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        gsd_range_m=(low, high),
    )
    model = colours(tmp_path / "m.safetensors", inputs=inputs)
    found = []
    for tile in (70, 130, None):
        run(scene, tmp_path / str(tile), model=str(model), tile=tile)
        found.append(whole_polygons(tmp_path / str(tile) / "s"))
    assert found[0] == found[1] == found[2]
    task = tmp_path / "whole.yaml"
    task.write_text(f"name: whole\nmodel: {model}\nseparate: false\n", "utf-8")
    run(scene, tmp_path / "whole", task=str(task))
    assert whole_polygons(tmp_path / "whole" / "s").count(b"Polygon") < found[0].count(b"Polygon")


def test_blended_tiles_are_separated_as_the_blended_whole(tmp_path: Path) -> None:
    model = colours(tmp_path / "m.safetensors", context="blend")
    large = write_scene(tmp_path / "s.tif", town(9, height=300, width=560))
    for executor in ("serial", "local"):
        run(large, tmp_path / executor, model=str(model), tile=512, executor=executor)
    folder = tmp_path / "serial" / "s"
    assert contents(folder) == contents(tmp_path / "local" / "s")
    # Pixel by pixel all tiles say the same, so blending changes nothing.
    assert polygons(folder).keys() == at_once(plan_of(large, model)).keys()


def test_blended_and_resampled_scenes_are_separated_too(tmp_path: Path) -> None:
    inputs = Inputs(
        bands=("red", "green", "blue"),
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        gsd_range_m=(0.35, 0.4),
    )
    model = colours(tmp_path / "m.safetensors", context="blend", inputs=inputs)
    scene = write_scene(tmp_path / "s.tif", town(9, height=330, width=690))
    for tile in (512, None):
        (row,) = run(scene, tmp_path / str(tile), model=str(model), tile=tile)["scenes"]
        assert (row["tiles"] > 1) == (tile == 512)
    first, second = (whole_polygons(tmp_path / str(tile) / "s") for tile in (512, None))
    assert first == second


def test_a_plan_tells_how_far_separation_looks_and_widens_the_halo(
    tmp_path: Path, scene: Path, model: Path
) -> None:
    request = MapRequest(scenes=(str(scene),), out=tmp_path, task="bright", model=str(model))
    (row,) = dry_run(request)["scenes"]
    assert row["separation_px"] == 6
    assert row["halo_px"] == 8


def plan_info(sampling: Any) -> SceneInfo:
    return SceneInfo(
        name="s",
        source="s.tif",
        height=sampling.height,
        width=sampling.width,
        bands=(Band(index=1, name="red", colour="red"),),
        dtype="uint8",
        georef=None,
        fingerprint="f",
    )


@given(sampling=samplings(longest=4000))
def test_the_halo_holds_what_separation_looks_at(sampling: Any) -> None:
    card = ModelCard(
        name="m",
        network=Network(architecture="unet", stride=1, rf_radius=0),
        inputs=Inputs(bands=("red",), mean=(0.5,), std=(0.2,)),
        outputs=Outputs(
            classes=(Class(name="building", colour="#e6550d"),), separating=("interior",)
        ),
        terms=Terms(license="Apache-2.0"),
    )
    info = plan_info(sampling)
    how = separation_of(card, Task(name="t", model="m"), info, sampling)
    assert how is not None
    extra = network_pixels(how.margin, sampling)
    core = Window(
        row=sampling.height // 3,
        col=sampling.width // 2,
        height=-(-sampling.height // 4),
        width=-(-sampling.width // 5),
    )
    seen = core.grown(how.margin).clipped(height=sampling.height, width=sampling.width)
    sampling.box(seen).within(sampling.box(core).grown(extra))
    # Where pixels stay square, the halo costs the network the same whatever the scene's size.
    if min(sampling.height, sampling.width) > 1000:
        assert 24 <= extra <= 24 + 2 * max(1, sampling.net_height / sampling.height)


def test_how_to_separate_without_a_channel_for_it_is_refused(tmp_path: Path, scene: Path) -> None:
    task = tmp_path / "t.yaml"
    task.write_text("name: t\nmodel: threshold\nseparate: {threshold: 0.4}\n", "utf-8")
    with pytest.raises(ConfigError, match="'threshold' has no channel 'interior'"):
        run(scene, tmp_path / "out", task=str(task))


def test_what_a_task_says_of_separation_is_taken(model: Path, scene: Path) -> None:
    plan = plan_of(scene, model)
    how = separation_of(
        plan.card,
        Task(name="t", model="m", separate=Separate(threshold=0.2, opening=3, min_area_m2=9)),
        plan.info,
        plan.grid.sampling,
    )
    assert how is not None
    assert (how.threshold, how.opening, how.max_steps, how.channel) == (50, 3, 6, 1)
    # 9 square metres at 0.3 m a pixel; what is not stated is the card's.
    assert how.criterion.min_area_px == pytest.approx(100, rel=2e-3)
    assert how.criterion.doubling_probability == pytest.approx(0.2 * 250)
    off = separation_of(
        plan.card, Task(name="t", model="m", separate=False), plan.info, plan.grid.sampling
    )
    assert off is None
