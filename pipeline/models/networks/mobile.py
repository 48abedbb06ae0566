"""segmentation_models_pytorch's U-Net on MobileNetV2, without its imports.

The same layers under the same names, so that weights of either fit both and give the
same logits. It exists because that library, with torchvision and timm behind it, takes
longer to import than a small scene to map. MobileNetV2: Sandler et al. 2018, table 2.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, cat, nn
from torch.nn import functional

# Expansion, channels, blocks, stride of the first block.
BLOCKS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
SEEN = (1, 3, 6, 13, 18)
"""Parts of the encoder after which features are taken, one a halving."""
CHANNELS = (16, 24, 32, 96, 1280)


def _layer(inputs: int, outputs: int, size: int, *, stride: int = 1, groups: int = 1) -> nn.Module:
    conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU6(inplace=True))


class Inverted(nn.Module):
    """An inverted residual: widened, filtered channel by channel, narrowed."""

    def __init__(self, inputs: int, outputs: int, *, stride: int, expansion: int) -> None:
        """Build it; a shortcut is where nothing changes."""
        super().__init__()
        hidden = inputs * expansion
        wide = [_layer(inputs, hidden, 1)] if expansion != 1 else []
        self.conv = nn.Sequential(
            *wide,
            _layer(hidden, hidden, 3, stride=stride, groups=hidden),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the block's features."""
        seen: Tensor = self.conv(pixels)
        return pixels + seen if self.shortcut else seen


class MobileEncoder(nn.Module):
    """MobileNetV2 without its classifier; the parts past ``depth`` halvings stay unused."""

    def __init__(self, in_channels: int, depth: int) -> None:
        """Build all of it, as the library does: its weights have all parts."""
        super().__init__()
        self.depth = depth
        layers: list[nn.Module] = [_layer(in_channels, 32, 3, stride=2)]
        inputs = 32
        for expansion, outputs, number, stride in BLOCKS:
            for at in range(number):
                step = stride if at == 0 else 1
                layers.append(Inverted(inputs, outputs, stride=step, expansion=expansion))
                inputs = outputs
        layers.append(_layer(inputs, CHANNELS[-1], 1))
        self.features = nn.Sequential(*layers)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Return features from fine to coarse."""
        features = []
        for layer in list(self.features)[: SEEN[self.depth - 1] + 1]:
            pixels = layer(pixels)
            features.append(pixels)
        return [features[at] for at in SEEN[: self.depth]]


class Joining(nn.Module):
    """Doubles by repeating, joins the skip, two convolutions."""

    def __init__(self, inputs: int, skip: int, outputs: int) -> None:
        """Build it; the finest level has no skip."""
        super().__init__()
        self.conv1 = _plain(inputs + skip, outputs)
        self.conv2 = _plain(outputs, outputs)

    def forward(self, pixels: Tensor, skip: Tensor | None) -> Tensor:
        """Return features twice the size."""
        pixels = functional.interpolate(pixels, scale_factor=2.0, mode="nearest")
        if skip is not None:
            pixels = cat([pixels, skip], dim=1)
        joined: Tensor = self.conv2(self.conv1(pixels))
        return joined


def _plain(inputs: int, outputs: int) -> nn.Module:
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class MobileDecoder(nn.Module):
    """One block a halving."""

    def __init__(self, widths: Sequence[int]) -> None:
        """Build it for the channels of its blocks, coarse to fine."""
        super().__init__()
        encoder = CHANNELS[: len(widths)][::-1]
        inputs, skips = [encoder[0], *widths[:-1]], [*encoder[1:], 0]
        self.blocks = nn.ModuleList(
            Joining(low, skip, high) for low, skip, high in zip(inputs, skips, widths, strict=True)
        )

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return features of the full size."""
        pixels, skips = features[-1], [*features[-2::-1], None]
        for block, skip in zip(self.blocks, skips, strict=True):
            pixels = block(pixels, skip)
        return pixels


class MobileUNet(nn.Module):
    """Encoder, decoder, and a 3 x 3 convolution to the classes."""

    def __init__(self, in_channels: int, classes: int, widths: Sequence[int]) -> None:
        """Build it; ``widths`` are the channels of the decoder's blocks, coarse to fine."""
        super().__init__()
        self.encoder = MobileEncoder(in_channels, len(widths))
        self.decoder = MobileDecoder(widths)
        head = nn.Conv2d(widths[-1], classes, 3, padding=1)
        self.segmentation_head = nn.Sequential(head)
        for module in self.encoder.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
        for module in self.decoder.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, mode="fan_in", nonlinearity="relu")
        nn.init.xavier_uniform_(head.weight)
        nn.init.zeros_(torch.as_tensor(head.bias))

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.segmentation_head(self.decoder(self.encoder(pixels)))
        return logits
