"""Memory of a forward pass, counted by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pipeline.models.memory import WORKSPACE, bytes_per_pixel
from pipeline.models.networks import build


class _Chain(nn.Module):
    """Three steps of which the first and the last are there at once."""

    def forward(self, pixels: Tensor) -> Tensor:
        kept = pixels.expand(-1, 4, -1, -1) + 1
        for _ in range(5):
            other = kept * 2
        return torch.cat([kept, other], dim=1)


def test_what_is_there_at_once_is_counted_and_what_is_gone_is_not() -> None:
    # The input holds a float a pixel, kept and other 4 each, the answer of both 8. In the loop the
    # next `other` is made while the one before is still named: 4 more, but not at the end.
    found = bytes_per_pixel(_Chain(), torch.zeros(1, 1, 16, 16))
    assert found == pytest.approx(WORKSPACE * 4 * (1 + 4 + 4 + 8))


def test_twice_as_many_filters_take_twice_the_memory_whatever_the_size() -> None:
    def taken(width: int, edge: int) -> float:
        network = build("unet_3d", {"in_channels": 1, "classes": 1, "width": width, "depth": 1})
        return bytes_per_pixel(network, torch.zeros(1, 1, edge, edge, edge))

    assert taken(8, 16) / taken(4, 16) == pytest.approx(2, rel=0.05)
    assert taken(4, 8) == pytest.approx(taken(4, 16), rel=0.01)
    # Skip, raised and joined features of the finest level are there at once: 1 + 2 + 3 widths.
    assert taken(8, 16) > WORKSPACE * 4 * 6 * 8
