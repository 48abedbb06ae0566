"""The Residual U-Net of Zhang, Liu and Wang, 2018 (arXiv 1711.10684): road extraction.

Pre-activated residual units, batch norm - ReLU - 3x3 convolution twice, in place of the
U-Net's plain ones; units that halve the size do so by a stride of 2, up-sampling repeats
pixels.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from pipeline.models.networks.kit import Kit, initialise
from pipeline.models.networks.shape import Decoder, Encoder, Heads, UNet


class ResidualUnit(nn.Module):
    """``shortcut(x) + conv(act(norm(conv(act(norm(x))))))``."""

    def __init__(
        self, kit: Kit, inputs: int, outputs: int, *, stride: int = 1, first: bool = False
    ) -> None:
        """Build it; the ``first`` of a network sees pixels, which it does not normalise."""
        super().__init__()
        # In place it would change what the shortcut sees, where there is no norm before it.
        before = [] if first else [kit.norm(inputs), kit.act(inplace=False)]
        self.long = nn.Sequential(
            *before,
            kit.conv(inputs, outputs, stride=stride),
            *(kit.norm(outputs), kit.act()),
            kit.conv(outputs, outputs, bias=True),
        )
        same = inputs == outputs and stride == 1
        self.short = nn.Identity() if same else kit.conv(inputs, outputs, 1, stride=stride)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the sum of both ways."""
        total: Tensor = self.short(pixels) + self.long(pixels)
        return total


def residual_unet(
    kit: Kit, *, in_channels: int = 3, classes: int = 1, width: int = 64, depth: int = 3
) -> UNet:
    """Return the paper's network of 7 levels: 3 down, a bridge, 3 up; 8,218,177 parameters.

    The paper gives 7.8 million, which is what the 3x3 convolutions and the head have
    without the 1x1 ones of shortcuts that change size.

    Args:
        kit: Kinds of layers; its own are ReLU, batch norm, strided units, nearest up-sampling.
        in_channels: Bands.
        classes: Channels out.
        width: Filters of the first level; each level doubles them.
        depth: Times the size is halved.
    """
    filters = [width * 2**level for level in range(depth + 1)]
    strided = kit.pooling == "strided"
    steps = list(pairwise(filters))
    encoder = Encoder(
        [
            ResidualUnit(kit, in_channels, width, first=True),
            *(ResidualUnit(kit, low, high, stride=2 if strided else 1) for low, high in steps),
        ],
        [nn.Identity() if strided else kit.pool(low) for low, _ in steps],
    )
    mixing = kit.upsampling not in ("nearest", "bilinear")
    raised = [low if mixing else high for low, high in reversed(steps)]
    decoder = Decoder(
        [kit.up(high, up) for (_, high), up in zip(reversed(steps), raised, strict=True)],
        [
            ResidualUnit(kit, low + up, low)
            for (low, _), up in zip(reversed(steps), raised, strict=True)
        ],
        Heads(kit, [low for low, _ in reversed(steps)], classes),
    )
    network = UNet(encoder, decoder)
    initialise(network)
    return network
