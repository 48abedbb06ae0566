"""Several classes of a softmax: the class of a pixel is the arg max, background included."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch

from pipeline.models.card import Class, Inputs, ModelCard, Network, Outputs, Terms
from pipeline.models.checkpoint import save_checkpoint
from pipeline.models.networks import build
from tests.mapping.scenery import band, run

NAMES = ("building", "road", "water")
ARGUMENTS: dict[str, Any] = {
    "in_channels": 3,
    "classes": 4,
    "width": 2,
    "depth": 1,
    "padding": "padded",
}


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    path = tmp_path / "scene.tif"
    rng = np.random.default_rng(0)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=96,
        height=64,
        count=3,
        dtype="uint8",
        crs="EPSG:32645",
        transform=rasterio.transform.from_origin(400_000, 3_060_000, 0.5, 0.5),
        photometric="RGB",
    ) as file:
        file.write(rng.integers(1, 255, (3, 64, 96), np.uint8))
    return path


def constant(path: Path, shares: tuple[float, ...], *, threshold: float | None = None) -> Path:
    """Write a network that predicts the same shares everywhere, background first."""
    network = build("unet", ARGUMENTS)
    with torch.no_grad():
        for tensor in network.parameters():
            tensor.zero_()
        last = [one for one in network.modules() if isinstance(one, torch.nn.Conv2d)][-1]
        assert last.bias is not None
        last.bias.copy_(torch.tensor([math.log(share) for share in shares]))
    card = ModelCard(
        name="constant",
        network=Network(architecture="unet", arguments=ARGUMENTS, stride=2, rf_radius=12),
        inputs=Inputs(bands=("red", "green", "blue"), mean=(0, 0, 0), std=(1, 1, 1)),
        outputs=Outputs(
            classes=tuple(Class(name=name, colour="#e6550d") for name in NAMES),
            activation="softmax",
            threshold=threshold,
        ),
        terms=Terms(license="Apache-2.0"),
    )
    save_checkpoint(path, network.state_dict(), card)
    return path


@pytest.mark.parametrize(
    ("shares", "card", "asked", "wanted"),
    [
        ((0.30, 0.10, 0.25, 0.35), None, None, 3),
        ((0.60, 0.20, 0.15, 0.05), None, 0.15, 0),
        ((0.25, 0.45, 0.20, 0.10), None, 0.5, 0),
        ((0.25, 0.45, 0.20, 0.10), 0.5, None, 0),
    ],
    ids=["arg-max", "background", "asked", "card"],
)
def test_the_mask_is_the_arg_max_and_a_threshold_applies_on_top_where_asked(
    tmp_path: Path,
    scene: Path,
    shares: tuple[float, ...],
    card: float | None,
    asked: float | None,
    wanted: int,
) -> None:
    model = constant(tmp_path / "constant.safetensors", shares, threshold=card)
    summary = run(
        scene,
        tmp_path / "out",
        task="buildings",
        model=str(model),
        threshold=asked,
        formats=("geojson",),
    )
    assert summary["failed"] == 0
    mask = band(tmp_path / "out" / "scene" / "mask.tif")
    assert (mask == wanted).all()
    with rasterio.open(tmp_path / "out" / "scene" / "probability.tif") as file:
        steps = file.read()[:, 5, 5].astype(int)
    assert abs(250 - steps.sum() - 250 * shares[0]) < 1
