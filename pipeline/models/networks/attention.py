"""The Attention U-Net of Oktay and others, 2018 (arXiv 1804.03999), for pictures.

A gate weighs every pixel of a skip by the coarser level: both are mapped to the
coarser grid, added, and become one weight a pixel, ``sigmoid(psi(relu(W_x x + W_g g)))``,
up-sampled bilinearly. Gates look no farther than their coarser level does, so tiles stay
exact.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.networks.classic import doubling_unet
from pipeline.models.networks.kit import Kit
from pipeline.models.networks.shape import UNet


class Gate(nn.Module):
    """Weighs a skip, pixel by pixel, by the coarser level."""

    def __init__(self, kit: Kit, fine: int, coarse: int) -> None:
        """Build it for the channels of a skip and of the level below."""
        super().__init__()
        self.skip = kit.conv(fine, fine, 2, stride=2, bias=False)
        self.gating = kit.conv(coarse, fine, 1, bias=True)
        self.act = nn.ReLU(inplace=True)
        self.weight = nn.Sequential(kit.conv(fine, 1, 1, bias=True), nn.Sigmoid())
        self.after = nn.Sequential(kit.conv(fine, fine, 1), kit.norm(fine))
        self.mode = "bilinear" if kit.dims == 2 else "trilinear"

    def forward(self, skip: Tensor, coarser: Tensor) -> Tensor:
        """Return the skip, weighed."""
        weight = self.weight(self.act(self.skip(skip) + self.gating(coarser)))
        fine = functional.interpolate(weight, scale_factor=2, mode=self.mode, align_corners=False)
        passed: Tensor = self.after(fine * skip)
        return passed


def attention_unet(
    kit: Kit, *, in_channels: int = 3, classes: int = 1, width: int = 64, depth: int = 4
) -> UNet:
    """Return it; the paper trains it with deep supervision.

    Args:
        kit: Kinds of layers; its own are ReLU, batch norm, max pooling, up-convolutions.
        in_channels: Bands.
        classes: Channels out.
        width: Filters of the first level; each level doubles them.
        depth: Poolings.
    """
    return doubling_unet(
        kit,
        in_channels=in_channels,
        classes=classes,
        width=width,
        depth=depth,
        gate=partial(Gate, kit),
    )
