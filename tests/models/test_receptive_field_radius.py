"""Reach: what lies farther away does not matter, and what lies that far does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from pipeline.models.card import Network
from pipeline.models.networks import build
from pipeline.models.receptive_field import rf_radius
from tests.models.small import MOBILE, PADDED, VALID, weights_for


def _built(network: Network) -> nn.Module:
    return build(network.architecture, network.arguments)


def _smp(encoder: str, depth: int, **arguments: Any) -> nn.Module:
    decoder = [16] * depth
    known: dict[str, Any] = {
        "encoder_name": encoder,
        "encoder_depth": depth,
        "decoder_channels": decoder,
    }
    return build("smp_unet", {**known, **arguments})


@pytest.mark.parametrize(
    ("network", "wanted"),
    [
        # The paper's 572 -> 388 is 92 on either side of one pixel. The edges of a cell of
        # 16 x 16 pixels that the poolings see as one look up to two pixels farther.
        pytest.param(PADDED, 94, id="classic"),
        pytest.param(VALID, 94, id="classic, valid"),
        pytest.param(MOBILE, 165, id="mobilenet_v2, depth 4"),
    ],
)
def test_the_reach_of_known_networks(network: Network, wanted: int) -> None:
    found = rf_radius(_built(network), in_channels=2, stride=network.stride, limit=wanted + 16)
    assert found == wanted == network.rf_radius


@pytest.mark.slow
def test_a_fifth_level_nearly_doubles_the_reach() -> None:
    network = _smp("mobilenet_v2", 5)
    assert rf_radius(network, in_channels=3, stride=32, limit=320) == 309


@pytest.mark.parametrize(
    ("encoder", "depth", "arguments"),
    [
        pytest.param("efficientnet-b0", 3, {}, id="squeeze and excitation"),
        pytest.param("resnet18", 3, {"decoder_attention_type": "scse"}, id="attention"),
    ],
)
def test_networks_that_look_everywhere_have_no_reach(
    encoder: str, depth: int, arguments: dict[str, Any]
) -> None:
    network = _smp(encoder, depth, **arguments)
    assert rf_radius(network, in_channels=3, stride=2**depth, limit=160) is None


def test_instance_norm_looks_everywhere() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.InstanceNorm2d(4))
    assert rf_radius(network, in_channels=3, stride=1, limit=40) is None


def test_a_network_that_looks_farther_than_the_limit_has_no_reach() -> None:
    assert rf_radius(_built(PADDED), in_channels=2, stride=16, limit=60) is None


def test_the_network_itself_is_left_as_it_was() -> None:
    network = _built(PADDED)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.train()
    rf_radius(network, in_channels=2, stride=16, limit=100)
    assert network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


@pytest.mark.parametrize("axis", [2, 3])
@pytest.mark.parametrize(
    "network", [pytest.param(PADDED, id="classic"), pytest.param(MOBILE, id="mobilenet_v2")]
)
def test_only_pixels_within_the_reach_of_a_cell_change_it(network: Network, axis: int) -> None:
    assert network.rf_radius is not None
    far, stride = network.rf_radius, network.stride
    module = _built(network).eval()
    module.load_state_dict(weights_for(network))
    # Averages instead of maxima, which may well leave a pixel out, and slopes for the same reason.
    _seeing(module)
    module = module.double()
    halo = -(-far // stride) * stride
    size = 2 * halo + 3 * stride
    first, after = halo + stride, halo + 2 * stride
    pixels = torch.randn(1, 2, size, size, dtype=torch.float64)

    def cell(picture: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return module(picture)[..., first:after, first:after].clone()  # type: ignore[no-any-return]  # modules are callables of Any

    before = cell(pixels)
    beyond = pixels.clone()
    beyond.narrow(axis, 0, first - far).add_(5.0)
    beyond.narrow(axis, after + far, size - after - far).add_(5.0)
    assert torch.equal(cell(beyond), before)
    changed = []
    for line in (first - far, after + far - 1):
        nearer = pixels.clone()
        nearer.narrow(axis, line, 1).add_(1e3)
        changed.append(not torch.equal(cell(nearer), before))
    assert any(changed)


def _seeing(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.MaxPool2d):
            setattr(module, name, nn.AvgPool2d(child.kernel_size, child.stride, child.padding))
        elif isinstance(child, nn.ReLU | nn.ReLU6):
            setattr(module, name, nn.LeakyReLU(0.5))
        else:
            _seeing(child)


class ChannelNorm(nn.LayerNorm):
    """Normalises a pixel's channels, as ConvNeXt does."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return pixels of mean 0 and variance 1 over their channels."""
        return super().forward(pixels.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


@pytest.mark.parametrize(
    "between", [nn.Identity(), ChannelNorm(4), nn.BatchNorm2d(4), nn.Sigmoid()]
)
def test_what_works_on_single_pixels_adds_no_reach(between: nn.Module) -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), between, nn.Conv2d(4, 1, 5, padding=2, bias=False)
    )
    assert rf_radius(network, in_channels=1, stride=1, limit=10) == 3
