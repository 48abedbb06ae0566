"""Refined scenes: the same bytes whatever the tile, equal to the whole scene refined at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio

from pipeline.config import Guide, Refine, Task, load_task
from pipeline.core.grid import Sampling, TileGrid
from pipeline.core.quantise import NODATA, classified
from pipeline.core.refine import Guided, Refinement, guided_filter, open_and_close
from pipeline.core.window import Window
from pipeline.errors import ConfigError, PipelineError, SceneError
from pipeline.mapping.plan_scene import dry_run, plan_scene
from pipeline.mapping.planning.request import MapRequest
from pipeline.mapping.tiles.refinement import refinement_of, refuse_narrow
from pipeline.models.card import Class, Inputs, ModelCard, Network, Outputs, Terms
from pipeline.scenes.find import find_scenes
from pipeline.scenes.open import open_scene
from pipeline.scenes.scene import SceneInfo, SceneRef
from tests.mapping.scenery import band, blobs, run, write_scene
from tests.mapping.test_separation import colours, town

REFINE = "refine: {guided: {radius_px: 3, eps: 0.01}, opening_px: 2, closing_px: 1}\n"
HOW = Refinement(guided=Guided(radius=3, eps=0.01), opening=2, closing=1)


def task_of(path: Path, *, model: str | Path = "threshold", refine: str = REFINE) -> str:
    path.write_text(f"name: refined\nmodel: {model}\n{refine}", "utf-8")
    return str(path)


def rasters(folder: Path) -> tuple[np.ndarray, np.ndarray, bytes]:
    mask, probability = band(folder / "mask.tif"), band(folder / "probability.tif")
    return mask, probability, (folder / "polygons.geojson").read_bytes()


def assert_same(one: Path, two: Path) -> None:
    for first, second in zip(rasters(one), rasters(two), strict=True):
        np.testing.assert_array_equal(first, second)


def holed(seed: int, *, height: int, width: int) -> np.ndarray:
    """Return bright blobs with no data in a corner and in spots; 0 stands for it."""
    pixels = np.maximum(blobs(seed, height=height, width=width), 1)
    pixels[:30, :40] = 0
    pixels[np.random.default_rng(seed).random(pixels.shape) < 0.01] = 0
    return pixels


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("scene")
    return write_scene(place / "s.tif", holed(5, height=150, width=181)[None], nodata=0)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, scene: Path) -> Path:
    out = tmp_path_factory.mktemp("plain")
    run(scene, out, task=task_of(out / "t.yaml", refine=""), tile=80)
    return out / "s"


@pytest.mark.parametrize("tile", [37, 80, None])
def test_a_run_refines_as_if_the_scene_were_one_tile(
    tmp_path: Path, scene: Path, plain: Path, tile: int | None
) -> None:
    run(scene, tmp_path, task=task_of(tmp_path / "t.yaml"), tile=tile)
    mask, probability, _ = rasters(tmp_path / "s")
    with rasterio.open(scene) as file:
        # The model and the guide of one 8-bit band are both its values.
        guide = file.read(1)
    assert HOW.guided is not None
    steps = guided_filter(band(plain / "probability.tif"), guide, HOW.guided)
    np.testing.assert_array_equal(probability, steps)
    labels = classified(steps[None], threshold=125)
    expected = open_and_close(labels, classes=1, opening=2, closing=1)
    np.testing.assert_array_equal(mask, expected)
    before = band(plain / "mask.tif")
    assert (mask != before).sum() > 100
    np.testing.assert_array_equal(mask == NODATA, before == NODATA)


def test_executors_and_tiles_leave_the_same_polygons(tmp_path: Path, scene: Path) -> None:
    task = task_of(tmp_path / "t.yaml")
    run(scene, tmp_path / "one", task=task, tile=45)
    run(scene, tmp_path / "two", task=task, tile=90, executor="local")
    assert_same(tmp_path / "one" / "s", tmp_path / "two" / "s")


def test_a_task_that_asks_for_nothing_leaves_plan_and_outputs_as_they_were(
    tmp_path: Path, scene: Path, plain: Path
) -> None:
    nothing = "refine: {opening_px: 0, closing_px: 0}\n"
    run(scene, tmp_path, task=task_of(tmp_path / "t.yaml", refine=nothing), tile=80)
    assert_same(tmp_path / "s", plain)
    assert (tmp_path / "s" / "run.json").read_bytes() == (plain / "run.json").read_bytes()


def test_refined_objects_are_separated_alike_whatever_the_tile(tmp_path: Path) -> None:
    model = colours(tmp_path / "m.safetensors")
    scene = write_scene(tmp_path / "s.tif", town(5, height=150, width=130))
    task = task_of(tmp_path / "t.yaml", model=model)
    for tile in (70, None):
        run(scene, tmp_path / str(tile), task=task, tile=tile)
    assert_same(tmp_path / "70" / "s", tmp_path / "None" / "s")
    run(scene, tmp_path / "as_is", task=task_of(tmp_path / "u.yaml", model=model, refine=""))
    assert rasters(tmp_path / "as_is" / "s")[2] != rasters(tmp_path / "70" / "s")[2]


@pytest.mark.parametrize("context", ["exact", "blend"])
def test_resampled_and_blended_scenes_are_refined_alike_whatever_the_tile(
    tmp_path: Path, context: str
) -> None:
    inputs = Inputs(
        bands=("red", "green", "blue"),
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        gsd_range_m=(0.35, 0.4),
    )
    model = colours(tmp_path / "m.safetensors", context=context, inputs=inputs)
    height, width, tile = (330, 690, 512) if context == "blend" else (150, 130, 90)
    scene = write_scene(tmp_path / "s.tif", town(9, height=height, width=width))
    task = task_of(tmp_path / "t.yaml", model=model)
    (row,) = run(scene, tmp_path / "small", task=task, tile=tile)["scenes"]
    assert row["tiles"] > 1
    run(scene, tmp_path / "large", task=task)
    assert_same(tmp_path / "small" / "s", tmp_path / "large" / "s")


def plan_inputs(scene: Path, task: str) -> tuple[MapRequest, SceneRef]:
    request = MapRequest(scenes=(str(scene),), out=scene.parent / "plan", task=task)
    (ref,) = find_scenes(request.scenes).refs
    return request, ref


def test_a_plan_tells_how_far_refinement_looks_and_widens_the_halo(
    tmp_path: Path, scene: Path
) -> None:
    request, ref = plan_inputs(scene, task_of(tmp_path / "t.yaml"))
    (row,) = dry_run(request)["scenes"]
    assert row["refinement_px"] == row["halo_px"] == 12
    plan = plan_scene(request, request.chosen_task, ref, "s").draft
    core = Window(row=50, col=5, height=10, width=20)
    assert plan.windows(core).labelled == core
    assert plan.windows(core).refined == Window(row=38, col=0, height=34, width=37)


def test_each_setting_is_part_of_a_tiles_key(tmp_path: Path, scene: Path) -> None:
    core = Window(row=0, col=0, height=8, width=8)
    asked = [
        "",
        "refine: {opening_px: 1}",
        "refine: {closing_px: 1}",
        "refine: {guided: {radius_px: 1}}",
        "refine: {guided: {radius_px: 1, eps: 0.1}}",
    ]
    keys = set()
    for number, refine in enumerate(asked):
        request, ref = plan_inputs(scene, task_of(tmp_path / f"{number}.yaml", refine=refine))
        keys.add(plan_scene(request, request.chosen_task, ref, "s").draft.key(core))
    assert len(keys) == len(asked)


def info_of(scene: Path) -> SceneInfo:
    found = open_scene(find_scenes((str(scene),)).refs[0])
    found.close()
    return found.info


def in_metres(radius: float) -> Task:
    return Task(name="t", model="m", refine=Refine(guided=Guide(radius_m=radius)))


def test_metres_become_pixels(scene: Path) -> None:
    assert refinement_of(Task(name="t", model="m"), info_of(scene)) is None
    for metres, pixels in ((0.01, 1), (1.5, 5), (9.6, 32)):
        how = refinement_of(in_metres(metres), info_of(scene))
        assert how is not None
        assert how.guided == Guided(radius=pixels, eps=1e-3)


def test_a_radius_in_metres_that_a_scene_cannot_have_is_refused(scene: Path) -> None:
    with pytest.raises(SceneError, match=r"20 is 67 of its pixels, and at most 32.*at most 9\.6 m"):
        refinement_of(in_metres(20), info_of(scene))
    bare = replace(info_of(scene), georef=None)
    with pytest.raises(SceneError, match=r"radius_m 2 is no length in it.*radius_px"):
        refinement_of(in_metres(2), bare)


@pytest.mark.parametrize(
    ("refine", "says"),
    [
        ("{guided: {eps: 0.1}}", "give radius_px or radius_m, one of them"),
        ("{guided: {radius_px: 2, radius_m: 2}}", "give radius_px or radius_m, one of them"),
        ("{guided: {radius_px: 33}}", "less than or equal to 32"),
        ("{guided: {radius_px: 3, eps: 0}}", "greater than or equal to"),
        ("{opening_px: 17}", "less than or equal to 16"),
        ("{dense_crf: true}", "dense_crf"),
    ],
)
def test_what_cannot_be_refined_with_is_refused(tmp_path: Path, refine: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load_task(task_of(tmp_path / "t.yaml", refine=f"refine: {refine}\n"))


def test_tiles_that_hold_less_than_refinement_looks_at_are_refused() -> None:
    card = ModelCard(
        name="m",
        network=Network(architecture="unet", stride=8, size=64, rf_radius=4),
        inputs=Inputs(bands=("red",), mean=(0.5,), std=(0.2,)),
        outputs=Outputs(classes=(Class(name="building", colour="#e6550d"),)),
        terms=Terms(license="Apache-2.0"),
    )
    sampling = Sampling(height=90, width=90, net_height=90, net_width=90)
    grid = TileGrid(sampling=sampling, core=32, halo=16, stride=8)
    with pytest.raises(PipelineError, match="needs a halo of 17 px, and model 'm' has one of 16"):
        refuse_narrow(card, grid, extra=13)
    refuse_narrow(card, grid, extra=12)
    refuse_narrow(card.model_copy(update={"context": "blend"}), grid, extra=13)
