"""Every network on the shelf keeps the same promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.errors import ConfigError, ModelError
from pipeline.models.describe import describe_network
from pipeline.models.engines.torch_predictor import TorchPredictor
from pipeline.models.networks import NETWORKS, build, stride_of
from pipeline.models.predictor import Stretch
from tests.mapping.scenery import blobs, pack, run, write_scene
from tests.models.small import SHELF

NAMES = sorted(NETWORKS)
FINE = [name for name in NAMES if not name.startswith("smp_")]
FINE += ["smp_unet", "smp_unetplusplus", "smp_manet", "smp_linknet"]
"""Those that answer pixel by pixel; the others' answers are too coarse for boxes of 10 px."""
PICTURES = [name for name in NAMES if NETWORKS[name].dims == 2]


def _arguments(name: str) -> dict[str, Any]:
    return {"in_channels": 1 if name == "unet_3d" else 3, "classes": 1, **SHELF[name]}


def _side(name: str) -> int:
    entry, stride = NETWORKS[name], stride_of(name, SHELF[name])
    if name == "smp_pan":
        return 128
    return int(SHELF[name].get("size", 64)) if entry.size else max(32, 2 * stride)


def test_every_network_is_tried() -> None:
    assert sorted(SHELF) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_it_answers_at_the_size_of_what_it_sees(name: str) -> None:
    arguments = {**_arguments(name), "classes": 3}
    network = build(name, arguments).eval()
    side = _side(name)
    shape = (2, arguments["in_channels"], *[side] * NETWORKS[name].dims)
    with torch.inference_mode():
        found = network(torch.randn(shape))
    assert found.shape == (2, 3, *shape[2:])
    assert found.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_an_argument_that_it_does_not_take_is_refused(name: str) -> None:
    if name.startswith("smp_"):
        pytest.skip("its library hands what it does not know to the encoder")
    with pytest.raises(ModelError, match=r"cannot be built with.*widht"):
        build(name, {**_arguments(name), "widht": 3})


def _pictures(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return two pictures (or volumes) of boxes in noise, and where the boxes are."""
    rng = np.random.default_rng(3)
    truth = np.zeros((2, 1, *shape), np.float32)
    for picture in truth[:, 0]:
        for _ in range(2):
            starts = [rng.integers(2, side - 14) for side in shape]
            picture[tuple(slice(start, start + rng.integers(8, 13)) for start in starts)] = 1
    pixels = truth + rng.normal(0, 0.3, truth.shape).astype(np.float32)
    return torch.from_numpy(pixels), torch.from_numpy(truth)


def _iou(network: nn.Module, pixels: Tensor, truth: Tensor) -> float:
    network.eval()
    with torch.inference_mode():
        found = network(pixels) > 0
    network.train()
    known = truth > 0
    return float((found & known).sum() / (found | known).sum())


@pytest.mark.slow
@pytest.mark.parametrize("name", FINE)
def test_it_overfits_two_pictures(name: str) -> None:
    torch.manual_seed(1)
    arguments = _arguments(name)
    if "dropout" in name:
        arguments["width"] = 16
    if "ror" in name:
        arguments["survival"] = 0.9
    network = build(name, arguments)
    dims = NETWORKS[name].dims
    pixels, truth = _pictures((_side(name),) * 2 if dims == 2 else (24, 24, 24))
    pixels = pixels.repeat(1, arguments["in_channels"], *[1] * dims)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    found = 0.0
    for step in range(1, 401):
        optimizer.zero_grad()
        logits = network(pixels)
        chances = logits.sigmoid()
        dice = 1 - (2 * (chances * truth).sum() + 1) / (chances.sum() + truth.sum() + 1)
        (nn.functional.binary_cross_entropy_with_logits(logits, truth) + dice).backward()
        optimizer.step()
        if step % 20 == 0:
            found = _iou(network, pixels, truth)
            if found >= 0.9:
                return
    pytest.fail(f"{name}: IoU {found:.2f} after 400 steps")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name.startswith("smp_") else [])
        for name in PICTURES
    ],
)
def test_it_maps(tmp_path: Path, name: str) -> None:
    arguments = _arguments(name)
    network = describe_network(name, arguments, limit=208)
    context: dict[str, Any] = {} if network.rf_radius is not None else {"context": "blend"}
    pack(
        tmp_path / "model",
        architecture=name,
        stride=network.stride,
        arguments=arguments,
        network=network,
        **context,
    )
    height, width = 70, 93
    pixels = np.stack([blobs(band, height=height, width=width) for band in range(3)])
    scene = write_scene(tmp_path / "s.tif", pixels)
    (row,) = run(scene, tmp_path / "out", model=str(tmp_path / "model"), threshold=0.5)["scenes"]
    assert row["tiles_failed"] == 0
    assert (tmp_path / "out" / "s" / "mask.tif").is_file()
    assert row["tiles"] > 1 or name != "unetr"


@pytest.mark.parametrize("name", PICTURES)
def test_its_reach_is_honest(name: str) -> None:
    network = describe_network(name, _arguments(name), limit=208)
    if network.rf_radius is None:
        pytest.skip("it looks everywhere")
    torch.manual_seed(0)
    module = build(name, _arguments(name)).eval()
    halo = -(-network.rf_radius // network.stride) * network.stride
    core = 2 * network.stride
    pixels = torch.randn(1, 3, core, 2 * core + 2 * halo)
    with torch.inference_mode():
        whole = module(nn.functional.pad(pixels, (0, 0, halo, halo)))
        tile = module(nn.functional.pad(pixels[..., : core + 2 * halo], (0, 0, halo, halo)))
    wanted = whole[..., halo : halo + core]
    assert wanted.std() > 0
    torch.testing.assert_close(tile[..., halo : halo + core], wanted, rtol=0, atol=1e-4)


def test_a_network_of_one_size_refuses_others(tmp_path: Path) -> None:
    arguments = _arguments("unetr")
    network = describe_network("unetr", arguments)
    card = pack(
        tmp_path / "m",
        architecture="unetr",
        stride=network.stride,
        arguments=arguments,
        network=network,
        context="blend",
    )
    predictor = TorchPredictor(card, build("unetr", arguments).state_dict())
    pixels = np.zeros((3, 80, 64), np.uint8)
    with pytest.raises(ModelError, match="takes tiles of 64 px, not 80 x 64"):
        predictor.predict(pixels, np.ones((80, 64), bool), Stretch(low=0, high=255))
    scene = write_scene(tmp_path / "s.tif", np.zeros((3, 40, 40), np.uint8))
    with pytest.raises(ConfigError, match="--tile 128: the network takes tiles of 64 px only"):
        run(scene, tmp_path / "out", model=str(tmp_path / "m"), tile=128)
