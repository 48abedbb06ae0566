"""Layers by name: each kind keeps the size, learns, and looks no farther than its rf_radius."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ModelError
from pipeline.models.networks import build
from pipeline.models.networks.kit import ACTIVATIONS, NORMALISATIONS, POOLINGS, MedianPool2d
from pipeline.models.receptive_field import rf_radius

CHOOSING = ["unet", "dropout_unet", "residual_unet", "attention_unet", "multires_unet"]
SMALL = {"width": 12, "depth": 2}


@pytest.mark.parametrize("name", [*CHOOSING, "unet_3d"])
@pytest.mark.parametrize("upsampling", ["transposed", "nearest", "bilinear", "max_unpooling"])
def test_every_upsampling_answers_at_full_size_and_learns(name: str, upsampling: str) -> None:
    more = {"pooling": "max"} if upsampling == "max_unpooling" else {}
    network = build(name, {**SMALL, "upsampling": upsampling, **more})
    shape = (2, 1, 8, 12, 8) if name == "unet_3d" else (2, 3, 16, 24)
    found = network(torch.randn(shape))
    assert found.shape == (2, 1, *shape[2:])
    found.square().mean().backward()
    learned = [value for value in network.parameters() if value.requires_grad]
    assert all(value.grad is not None and value.grad.isfinite().all() for value in learned)


@pytest.mark.parametrize("name", CHOOSING)
@pytest.mark.parametrize(
    ("field", "kind"),
    [
        *(("pooling", kind) for kind in POOLINGS),
        *(("normalisation", kind) for kind in NORMALISATIONS),
        *(("activation", kind) for kind in ACTIVATIONS),
        *(("output_activation", kind) for kind in ("sigmoid", "softmax", "tanh")),
    ],
)
def test_every_kind_of_layer_learns(name: str, field: str, kind: str) -> None:
    network = build(name, {**SMALL, "classes": 2, field: kind})
    found = network(torch.randn(2, 3, 16, 24))
    assert found.shape == (2, 2, 16, 24)
    if kind in ("sigmoid", "softmax"):
        assert found.min() >= 0
        assert found.max() <= 1
    (found[:, 0] ** 2).mean().backward()


@given(rows=st.integers(1, 4), cols=st.integers(1, 4), seed=st.integers(0, 99))
def test_median_pooling_takes_the_mean_of_the_middle_two(rows: int, cols: int, seed: int) -> None:
    pixels = torch.randn(1, 2, 2 * rows, 2 * cols, generator=torch.Generator().manual_seed(seed))
    fours = pixels.unfold(2, 2, 2).unfold(3, 2, 2).flatten(4).sort(dim=4).values
    torch.testing.assert_close(MedianPool2d()(pixels), fours[..., 1:3].mean(dim=4))


@pytest.mark.parametrize("name", [*CHOOSING, "ror3_unet", "unetr", "unet_3d"])
def test_deep_supervision_gives_every_levels_answer_in_training_alone(name: str) -> None:
    arguments: dict[str, Any] = {"classes": 2, "deep_supervision": True}
    arguments |= {"width": 8, "depth": 2} if name != "unetr" else {"width": 4, "size": 32}
    if name == "unetr":
        arguments["transformer"] = {"hidden": 16, "heads": 2, "mlp": 16, "number": 4}
    if name == "multires_unet":
        arguments["width"] = 12
    network = build(name, arguments)
    dims = 3 if name == "unet_3d" else 2
    pixels = torch.randn(2, 1 if dims == 3 else 3, *([16] * 3 if dims == 3 else [32] * 2))
    answers = network(pixels)
    assert isinstance(answers, list)
    assert len(answers) == (4 if name == "unetr" else 2)
    assert {answer.shape for answer in answers} == {(2, 2, *pixels.shape[2:])}
    network.eval()
    assert network(pixels).shape == (2, 2, *pixels.shape[2:])


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("unet", {"pooling": "mean"}, "'mean' is none of max, average, median, strided"),
        ("unet", {"activation": "reul"}, "'reul' is none of relu"),
        ("unet", {"upsampling": "cubic"}, "'cubic' is none of transposed"),
        ("unet", {"normalisation": "layer"}, "'layer' is none of none, batch"),
        ("unet", {"output_activation": "relu"}, "'relu' is none of none, sigmoid"),
        ("unet", {"upsampling": "max_unpooling", "pooling": "average"}, "goes with pooling 'max'"),
        ("unet", {"padding": "same"}, "'same' is none of padded, valid"),
        ("unet", {"padding": "valid", "deep_supervision": True}, "valid convolutions go with"),
        ("unet_3d", {"pooling": "median"}, "median pooling is for pictures"),
        ("unetr", {"size": 100}, "100 is no multiple of 16"),
        ("unetr", {"transformer": {"hidden": 10, "heads": 3}}, "multiple of heads 3"),
        ("ror3_unet", {"survival": 0}, "no probability above 0"),
        ("ror3_unet", {"pooling": "max"}, "unexpected keyword argument 'pooling'"),
    ],
)
def test_what_cannot_be_built_is_refused(
    name: str, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        build(name, arguments)


@pytest.mark.parametrize("kind", ["instance", "group"])
def test_norms_over_the_tile_have_no_reach(kind: str) -> None:
    network = build("unet", {"width": 4, "depth": 1, "normalisation": kind})
    assert rf_radius(network, in_channels=3, stride=2, limit=40) is None


def test_resizing_with_aligned_corners_has_no_reach() -> None:
    for aligned, wanted in ((True, None), (False, 2)):
        network = torch.nn.Sequential(
            torch.nn.AvgPool2d(2),
            torch.nn.Upsample(scale_factor=2, mode="bilinear", align_corners=aligned),
        )
        assert rf_radius(network, in_channels=1, stride=2, limit=20) == wanted
