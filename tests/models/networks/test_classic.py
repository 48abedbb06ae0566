"""The U-Net of 2015: the paper's figures."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.models.networks.classic import (
    classic_unet,
    valid_output,
)
from pipeline.models.networks.kit import Kit
from pipeline.models.sizes import legal_inputs


def _parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("padding", ["padded", "valid"])
def test_the_papers_network_has_its_31_million_parameters(padding: str) -> None:
    with torch.device("meta"):
        network = classic_unet(Kit(), in_channels=1, classes=2, padding=padding)
    assert _parameters(network) == 31_030_658
    convolutions = (torch.nn.Conv2d, torch.nn.ConvTranspose2d)
    assert sum(isinstance(module, convolutions) for module in network.modules()) == 23


def test_the_paper_turns_572_pixels_into_388() -> None:
    assert valid_output(572) == 388
    with torch.device("meta"):
        network = classic_unet(Kit(), in_channels=1, classes=2, padding="valid")
        assert network(torch.empty(1, 1, 572, 572)).shape == (1, 2, 388, 388)


@given(depth=st.integers(1, 3), bottom=st.integers(1, 5), other=st.integers(1, 5))
def test_the_calculator_says_what_the_network_does(depth: int, bottom: int, other: int) -> None:
    legal = list(legal_inputs(depth=depth, up_to=200))
    height, width = legal[min(bottom, len(legal)) - 1], legal[min(other, len(legal)) - 1]
    with torch.device("meta"):
        network = classic_unet(Kit(), width=2, depth=depth, padding="valid")
        answer = network(torch.empty(1, 3, height, width))
    assert answer.shape[2:] == (valid_output(height, depth=depth), valid_output(width, depth=depth))


@given(depth=st.integers(1, 4), size=st.integers(1, 700))
def test_a_size_is_legal_or_refused_with_the_nearest_legal_ones(depth: int, size: int) -> None:
    legal = set(legal_inputs(depth=depth, up_to=2000))
    if size in legal:
        assert 1 <= valid_output(size, depth=depth) < size
        return
    nearest = sorted(sorted(legal, key=lambda other: abs(other - size))[:2])
    with pytest.raises(ValueError, match=f"nearest are {nearest[0]}, {nearest[1]}$"):
        valid_output(size, depth=depth)


@given(rows=st.integers(1, 3), cols=st.integers(1, 3), depth=st.integers(1, 3))
def test_the_padded_network_keeps_the_size(rows: int, cols: int, depth: int) -> None:
    height, width = rows * 2**depth, cols * 2**depth
    with torch.device("meta"):
        network = classic_unet(Kit(), width=2, depth=depth, classes=3)
        assert network(torch.empty(1, 3, height, width)).shape == (1, 3, height, width)
