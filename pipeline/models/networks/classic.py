"""The U-Net of Ronneberger, Fischer and Brox, 2015 (arXiv 1505.04597).

Four poolings, two 3x3 convolutions a level, 64 to 1024 filters, 2x2 up-convolutions,
skips concatenated: 23 convolutional layers. ``valid`` is the paper's network, whose
output is smaller than its input (572 -> 388); ``padded`` keeps the size.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import nn

Padding = Literal["padded", "valid"]


def valid_output(size: int, *, depth: int = 4) -> int:
    """Return the output size of the valid U-Net for an input of ``size`` pixels.

    Raises:
        ValueError: The size is not legal: a pooling would meet an odd size, or
            nothing would be left. The message names the nearest legal sizes.
    """
    inside = size
    for _ in range(depth):
        inside -= 4
        if inside < 2 or inside % 2:
            nearest = ", ".join(str(legal) for legal in _around(size, depth))
            raise ValueError(f"{size} is no legal input size; the nearest are {nearest}")
        inside //= 2
    inside -= 4
    for _ in range(depth):
        inside = 2 * inside - 4
    if inside < 1:
        nearest = ", ".join(str(legal) for legal in _around(size, depth))
        raise ValueError(f"an input of {size} leaves nothing; the nearest are {nearest}")
    return inside


def legal_inputs(*, depth: int = 4, up_to: int = 1024) -> Iterator[int]:
    """Yield the input sizes at which no pooling of the valid U-Net meets an odd size.

    With ``b`` pixels at the bottom after its two convolutions (``b >= 1``), going up
    gives the output and going down the input: 140, 156, 172, ... for depth 4, of which
    those from 188 on leave at least 4 pixels.
    """
    bottom = 1
    while True:
        size = bottom + 4
        for _ in range(depth):
            size = 2 * size + 4
        if size > up_to:
            return
        output = bottom
        for _ in range(depth):
            output = 2 * output - 4
        if output >= 1:
            yield size
        bottom += 1


def _around(size: int, depth: int) -> list[int]:
    legal = list(legal_inputs(depth=depth, up_to=max(2 * size, 1024)))
    return sorted(sorted(legal, key=lambda other: abs(other - size))[:2])


def _two_convolutions(inputs: int, outputs: int, padding: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=padding),
        nn.ReLU(inplace=True),
        nn.Conv2d(outputs, outputs, 3, padding=padding),
        nn.ReLU(inplace=True),
    )


class ClassicUNet(nn.Module):
    """The U-Net of 2015; 31,030,658 parameters for one channel in and two out (padded or valid)."""

    def __init__(
        self,
        *,
        in_channels: int = 3,
        classes: int = 1,
        width: int = 64,
        depth: int = 4,
        padding: Padding = "padded",
    ) -> None:
        """Build it with He initialisation, as in the paper.

        Args:
            in_channels: Bands.
            classes: Channels out, without activation.
            width: Filters of the first level; each level doubles them.
            depth: Poolings.
            padding: Whether convolutions keep the size.
        """
        super().__init__()
        pad = 1 if padding == "padded" else 0
        filters = [width * 2**level for level in range(depth + 1)]
        self.down = nn.ModuleList(
            _two_convolutions(before, after, pad)
            for before, after in zip([in_channels, *filters], filters, strict=False)
        )
        self.pool = nn.MaxPool2d(2)
        pairs = list(zip(filters[:0:-1], filters[-2::-1], strict=True))
        self.up = nn.ModuleList(nn.ConvTranspose2d(low, high, 2, stride=2) for low, high in pairs)
        self.join = nn.ModuleList(_two_convolutions(2 * high, high, pad) for _, high in pairs)
        self.head = nn.Conv2d(width, classes, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return logits; ``valid`` ones answer for the middle of the input."""
        skips = []
        for level, block in enumerate(self.down):
            pixels = block(pixels if level == 0 else self.pool(pixels))
            skips.append(pixels)
        for up, join, skip in zip(self.up, self.join, skips[-2::-1], strict=True):
            pixels = up(pixels)
            pixels = join(torch.cat([_middle(skip, pixels), pixels], dim=1))
        return self.head(pixels)  # type: ignore[no-any-return]  # modules are callables of Any


def _middle(skip: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    top = (skip.shape[-2] - like.shape[-2]) // 2
    left = (skip.shape[-1] - like.shape[-1]) // 2
    return skip[..., top : top + like.shape[-2], left : left + like.shape[-1]]
