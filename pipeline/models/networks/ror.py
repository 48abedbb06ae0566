"""U-Nets on residual networks of residual networks (Zhang and others, arXiv 1608.02908).

Shortcuts on three levels: over each block, over each group of blocks, and one over the
whole encoder, the root; 1x1 convolutions where they span groups. ``ror3`` has the blocks of
ResNet, ``pre_ror3`` pre-activated ones, ``ror3_wrn`` wide pre-activated ones. In training a
block's convolutions are left out at random, the last one with probability ``1 - survival``,
earlier ones more seldom (stochastic depth).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn

from pipeline.models.networks.classic import two_convolutions
from pipeline.models.networks.kit import Kit, initialise
from pipeline.models.networks.shape import Decoder, Features, Heads, UNet


class RorBlock(nn.Module):
    """Two convolutions and the shortcut over them; what follows the sum is the group's."""

    def __init__(self, kit: Kit, inputs: int, outputs: int, *, stride: int, pre: bool) -> None:
        """Build it; ``pre`` normalises and activates before each convolution, not after."""
        super().__init__()
        first = kit.conv(inputs, outputs, stride=stride)
        second = kit.conv(outputs, outputs)
        norm, act = kit.norm(outputs), kit.act()
        if pre:
            before = (kit.norm(inputs), kit.act(inplace=False))
            self.long = nn.Sequential(*before, first, norm, act, second)
        else:
            self.long = nn.Sequential(first, norm, act, second, kit.norm(outputs))
        same = inputs == outputs and stride == 1
        self.short = nn.Identity() if same else kit.conv(inputs, outputs, 1, stride=stride)
        self.survival = 1.0

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the sum; in training now and then the shortcut alone."""
        long = self.long(pixels)
        if self.training and self.survival < 1:
            shape = (len(long), *[1] * (long.ndim - 1))
            kept = torch.rand(shape, device=long.device) < self.survival
            long = long * kept / self.survival
        total: Tensor = self.short(pixels) + long
        return total


class Group(nn.Module):
    """Blocks of one size and the shortcut over them all."""

    def __init__(
        self, kit: Kit, blocks: Sequence[RorBlock], shortcut: nn.Module, *, pre: bool
    ) -> None:
        """Take the blocks; where they are not ``pre``-activated, each sum is activated."""
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.shortcut = shortcut
        self.after = nn.Identity() if pre else kit.act()

    def forward(self, pixels: Tensor, root: Tensor | None = None) -> Tensor:
        """Return the last block's sum, with the group's shortcut and the root's in it."""
        seen = pixels
        for block in list(self.blocks)[:-1]:
            seen = self.after(block(seen))
        total = self.blocks[-1](seen) + self.shortcut(pixels)
        last: Tensor = self.after(total if root is None else total + root)
        return last


@dataclass(frozen=True, slots=True, kw_only=True)
class Ror:
    """How large an encoder is.

    The paper's own have ``depth`` 2: RoR-3-110 is ``blocks`` 18, RoR-3-WRN58-4 ``blocks`` 9
    and ``widen`` 4.
    """

    kind: Literal["ror3", "pre_ror3", "ror3_wrn"] = "ror3"
    """Which blocks."""
    width: int = 16
    """Filters of the stem, and of the first group before widening; each group doubles them."""
    depth: int = 3
    """Times the size is halved: groups less one."""
    blocks: int = 3
    """Blocks in a group."""
    widen: int = 1
    """How many times as wide groups are."""
    survival: float = 0.5
    """Probability with which training keeps the last block's convolutions."""

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            ValueError: The survival is no probability above 0.
        """
        if not 0 < self.survival <= 1:
            raise ValueError(f"survival {self.survival} is no probability above 0")

    @property
    def filters(self) -> list[int]:
        """Filters of each group."""
        return [self.width * self.widen * 2**level for level in range(self.depth + 1)]


class RorEncoder(nn.Module):
    """A stem and groups of blocks, each half the size of the one before."""

    def __init__(self, kit: Kit, ror: Ror, *, in_channels: int) -> None:
        """Build it."""
        super().__init__()
        pre, stem, filters = ror.kind != "ror3", ror.width, ror.filters
        self.stem = kit.conv(in_channels, stem)
        self.begin = nn.Identity() if pre else nn.Sequential(kit.norm(stem), kit.act())
        self.groups = nn.ModuleList()
        for at, (inputs, outputs) in enumerate(pairwise([stem, *filters])):
            stride = 1 if at == 0 else 2
            members = [RorBlock(kit, inputs, outputs, stride=stride, pre=pre)]
            members += [
                RorBlock(kit, outputs, outputs, stride=1, pre=pre) for _ in range(ror.blocks - 1)
            ]
            shortcut = kit.conv(inputs, outputs, 1, stride=stride)
            self.groups.append(Group(kit, members, shortcut, pre=pre))
        self.root = kit.conv(stem, filters[-1], 1, stride=2**ror.depth)
        # What the decoder sees of sums that are not activated yet.
        self.seen = nn.ModuleList(
            nn.Sequential(kit.norm(width), kit.act(inplace=False)) if pre else nn.Identity()
            for width in filters
        )
        every = [module for module in self.modules() if isinstance(module, RorBlock)]
        for number, block in enumerate(every, start=1):
            block.survival = 1 - number / len(every) * (1 - ror.survival)

    def forward(self, pixels: Tensor) -> Features:
        """Return every group's features."""
        pixels = self.begin(self.stem(pixels))
        root = self.root(pixels)
        features: list[Tensor] = []
        for at, (group, seen) in enumerate(zip(self.groups, self.seen, strict=True), start=1):
            pixels = group(pixels, root if at == len(self.groups) else None)
            features.append(seen(pixels))
        return features, [None] * (len(features) - 1)


def ror_unet(kit: Kit, *, in_channels: int = 3, classes: int = 1, **encoder: Any) -> UNet:
    """Return a U-Net whose encoder is a RoR-3.

    Args:
        kit: Kinds of layers; its own are ReLU, batch norm, up-convolutions. Size is halved by
            strides alone.
        in_channels: Bands.
        classes: Channels out.
        encoder: Fields of `Ror`.

    Raises:
        ValueError: The encoder cannot be.
    """
    ror = Ror(**encoder)
    pairs = [(low, high) for high, low in pairwise(ror.filters)][::-1]
    decoder = Decoder(
        [kit.up(low, high) for low, high in pairs],
        [two_convolutions(kit, 2 * high, high) for _, high in pairs],
        Heads(kit, [high for _, high in pairs], classes),
    )
    network = UNet(RorEncoder(kit, ror, in_channels=in_channels), decoder)
    initialise(network)
    return network
