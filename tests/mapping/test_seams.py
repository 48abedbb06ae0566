"""The law of tiles: stitched together they are one forward pass over the whole scene."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pipeline.core.quantise import quantised
from pipeline.core.tile import cut_window
from pipeline.core.window import Window
from pipeline.mapping.plan_scene import plan_scene
from pipeline.mapping.planning.plan import ScenePlan
from pipeline.mapping.planning.request import MapRequest
from pipeline.mapping.tiles.predict import core_probabilities
from pipeline.models.card import ModelCard
from pipeline.models.registry import load_predictor
from pipeline.scenes.find import find_scenes
from pipeline.scenes.open import open_scene
from tests.mapping.scenery import blobs, classic, contents, pack, run, write_scene
from tests.strategies import examples

TOLERANCE = 1e-5
FEW = settings(
    max_examples=examples(4),
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, ModelCard]]:
    place = tmp_path_factory.mktemp("models")
    cards = {
        "padded 2": classic(place / "padded 2", depth=2, seed=1),
        "padded 3": classic(place / "padded 3", depth=3, seed=2),
        "valid 2": classic(place / "valid 2", depth=2, padding="valid", seed=3),
        "valid 4": classic(place / "valid 4", depth=4, padding="valid", seed=4),
        "mobilenet": pack(
            place / "mobilenet",
            architecture="smp_unet",
            stride=16,
            arguments={
                "encoder_name": "mobilenet_v2",
                "encoder_depth": 4,
                "decoder_channels": [16, 8, 8, 8],
                "classes": 1,
            },
        ),
    }
    return {name: (place / name, card) for name, card in cards.items()}


def colours(seed: int, *, height: int, width: int) -> np.ndarray:
    return np.stack([blobs(seed + band, height=height, width=width) for band in range(3)])


def plan_of(scene: Path, model: Path, *, tile: int) -> ScenePlan:
    request = MapRequest(
        scenes=(str(scene),), out=scene.parent / "out", task="bright", model=str(model), tile=tile
    )
    (ref,) = find_scenes(request.scenes).refs
    planned = plan_scene(request, request.chosen_task, ref, "s")
    return planned.ready(("cpu", "any"), scene.parent)


def whole(plan: ScenePlan) -> np.ndarray:
    """Return one forward pass over the scene, mirrored all around as far as it takes."""
    scene = open_scene(plan.scene)
    stride, info = plan.grid.stride, plan.info
    height, width = (-(-side // stride) * stride for side in (info.height, info.width))
    frame = Window(row=0, col=0, height=height, width=width).grown(plan.grid.halo)
    everything = scene.read(Window(row=0, col=0, height=info.height, width=info.width), plan.bands)
    scene.close()
    pads = [
        (0, 0),
        (plan.grid.halo, frame.bottom - info.height),
        (plan.grid.halo, frame.right - info.width),
    ]
    pixels = np.pad(everything[0], pads, mode="symmetric")
    valid = np.pad(everything[1], pads[1:], mode="symmetric")
    predictor = load_predictor(plan.model, device="cpu")
    found = predictor.predict(pixels, valid, plan.stretch)
    inner = slice(plan.grid.halo, plan.grid.halo + info.height)
    return found[:, inner, plan.grid.halo : plan.grid.halo + info.width]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["padded 2", "padded 3", "valid 2", "valid 4", "mobilenet"])
@FEW
@given(data=st.data())
def test_tiles_are_one_forward_pass(
    models: dict[str, tuple[Path, ModelCard]],
    tmp_path: Path,
    name: str,
    data: st.DataObject,
) -> None:
    model, card = models[name]
    assert card.network.rf_radius is not None
    stride = card.network.stride
    halo = -(-card.network.rf_radius // stride) * stride
    height = data.draw(st.integers(1, 12 * stride), "height")
    width = data.draw(st.integers(1, 12 * stride), "width")
    core = data.draw(st.integers(3 if stride < 16 else 2, 9), "strides in a core") * stride
    pixels = colours(data.draw(st.integers(0, 999)), height=height, width=width)
    scene = write_scene(tmp_path / "s.tif", pixels)
    plan = plan_of(scene, model, tile=2 * halo + core)
    expected = whole(plan)
    stitched = np.full_like(expected, np.nan)
    for window in plan.grid.cores():
        rows, cols = slice(window.row, window.bottom), slice(window.col, window.right)
        stitched[:, rows, cols] = core_probabilities(plan, window)
    assert np.abs(stitched - expected).max() <= TOLERANCE
    # What the law is about: the network does not say the same everywhere.
    if min(height, width) > 8:
        assert np.ptp(expected) > 1e-3


@pytest.mark.parametrize("name", ["padded 2", "valid 2"])
def test_rasters_are_one_forward_pass_whatever_the_tile(
    models: dict[str, tuple[Path, ModelCard]], tmp_path: Path, name: str
) -> None:
    model, card = models[name]
    assert card.network.rf_radius is not None
    scene = write_scene(tmp_path / "s.tif", colours(5, height=150, width=203))
    halo = -(-card.network.rf_radius // 4) * 4
    expected = whole(plan_of(scene, model, tile=2 * halo + 64))
    threshold = float(np.median(expected))
    steps = quantised(expected, np.ones(expected.shape[1:], bool))
    for core in (32, 100):
        out = tmp_path / str(core)
        run(scene, out, model=str(model), tile=2 * halo + core, threshold=threshold)
        with rasterio.open(out / "s" / "probability.tif") as file:
            found = file.read()
        with rasterio.open(out / "s" / "mask.tif") as file:
            mask = file.read(1)
        # Within one step, and on the same one unless rounding was a matter of 1e-5.
        off = found != steps
        assert np.abs(found.astype(int) - steps).max() <= 1
        nearest = np.abs(expected * 250 % 1 - 0.5) / 250
        assert (nearest[off] <= TOLERANCE).all()
        np.testing.assert_array_equal(mask == 1, found[0] >= max(1, round(threshold * 250)))


def test_a_halo_too_small_would_be_seen(
    models: dict[str, tuple[Path, ModelCard]], tmp_path: Path
) -> None:
    model, card = models["padded 2"]
    scene = write_scene(tmp_path / "s.tif", colours(5, height=64, width=96))
    assert card.network.rf_radius is not None
    plan = plan_of(scene, model, tile=2 * card.network.rf_radius + 64)
    expected = whole(plan)
    pixels, valid = cut_window(
        lambda window: open_scene(plan.scene).read(window, plan.bands),
        Window(row=0, col=32, height=64, width=64),
        height=64,
        width=96,
        edge="mirror",
    )
    alone = load_predictor(plan.model, device="cpu").predict(pixels, valid, plan.stretch)
    assert np.abs(alone - expected[:, :, 32:]).max() > 100 * TOLERANCE


def squeezing(path: Path) -> ModelCard:
    """Write a network that looks everywhere: squeeze-and-excitation in its decoder."""
    return pack(
        path,
        architecture="smp_unet",
        stride=8,
        arguments={
            "encoder_name": "mobilenet_v2",
            "encoder_depth": 3,
            "decoder_channels": [32, 16, 16],
            "decoder_attention_type": "scse",
            "classes": 1,
        },
        context="blend",
    )


@pytest.mark.slow
def test_networks_that_look_everywhere_are_blended_and_their_seams_told(tmp_path: Path) -> None:
    assert squeezing(tmp_path / "m").network.rf_radius is None
    scene = write_scene(tmp_path / "s.tif", colours(7, height=300, width=530))
    rows = {}
    for executor in ("serial", "local"):
        out = tmp_path / executor
        summary = run(
            scene, out, model=str(tmp_path / "m"), tile=512, executor=executor, threshold=0.3
        )
        (rows[executor],) = summary["scenes"]
    manifest = json.loads((tmp_path / "serial" / "s" / "run.json").read_text())
    seam = manifest["seam_difference"]
    assert rows["serial"]["seam_difference"] == seam
    assert manifest["grid"]["tiles"] > 1
    assert 0 < seam["mean"] <= seam["max"] < 0.5
    assert contents(tmp_path / "serial" / "s") == contents(tmp_path / "local" / "s")


def test_a_blended_scene_of_one_tile_has_no_seam(tmp_path: Path) -> None:
    squeezing(tmp_path / "m")
    scene = write_scene(tmp_path / "s.tif", colours(7, height=60, width=50))
    (row,) = run(scene, tmp_path / "out", model=str(tmp_path / "m"))["scenes"]
    assert row["tiles"] == 1
    assert row["seam_difference"] == {"mean": 0, "max": 0}
