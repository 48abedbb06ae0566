"""Networks have as many parameters as their papers say, and the shapes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from pipeline.models.networks import build


def _built(name: str, **arguments: Any) -> nn.Module:
    with torch.device("meta"):
        return build(name, arguments)


def _count(network: nn.Module) -> int:
    return sum(value.numel() for value in network.parameters() if value.requires_grad)


@pytest.mark.parametrize(
    ("name", "arguments", "wanted"),
    [
        # Ronneberger et al. 2015, 23 layers.
        ("unet", {"in_channels": 1, "classes": 2}, 31_030_658),
        # What Keras prints for the tutorials' model.
        ("dropout_unet", {}, 1_941_105),
        # Cicek et al. 2016, section 2: 19,069,955, three channels in and three labels.
        ("unet_3d", {"in_channels": 3, "classes": 3}, 19_069_955),
        # MONAI 1.6.1's 87,579,889 for 128 px have 12 norms of 2 x 768 that it does not use.
        ("unetr", {"size": 128}, 87_579_889 - 12 * 2 * 768),
        # Without a count in their papers for pictures: ours, kept.
        ("attention_unet", {}, 33_478_597),
        ("residual_unet", {}, 8_218_177),
        ("ror3_unet", {}, 1_294_161),
        ("pre_ror3_unet", {}, 1_294_385),
        ("ror3_wrn_unet", {"widen": 4}, 20_604_753),
    ],
)
def test_parameters_are_counted(name: str, arguments: dict[str, Any], wanted: int) -> None:
    assert _count(_built(name, **arguments)) == wanted


def test_multiresunet_has_the_values_of_its_paper() -> None:
    # Ibtehaz and Rahman 2020, table 1: 7,262,750, running statistics included. Its last layer
    # has a norm of three values for its one filter where ours has a bias.
    network = _built("multires_unet")
    running = sum(value.numel() for key, value in network.named_buffers() if "running" in key)
    assert _count(network) + running - 1 + 3 == 7_262_750


def test_the_residual_unet_has_its_papers_parameters_but_for_projections() -> None:
    # Zhang et al. 2018, section III: 7.8 million.
    convolutions = [m for m in _built("residual_unet").modules() if isinstance(m, nn.Conv2d)]
    large = sum(conv.weight.numel() for conv in convolutions if conv.kernel_size == (3, 3))
    assert round(large / 1e6, 1) == 7.8


def test_the_encoder_of_ror_3_110_has_its_papers_parameters() -> None:
    # Zhang et al. 2016, table 3: RoR-3-110, 1.7 million.
    network = _built("ror3_unet", depth=2, blocks=18)
    assert round(_count(network.get_submodule("encoder")) / 1e6, 1) == 1.7


def test_the_volumes_network_takes_any_multiples_of_its_stride() -> None:
    network = _built("unet_3d")
    with torch.device("meta"):
        assert network(torch.empty(1, 1, 16, 24, 40)).shape == (1, 1, 16, 24, 40)
