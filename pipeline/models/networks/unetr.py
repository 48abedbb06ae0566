"""UNETR of Hatamizadeh and others, 2022 (arXiv 2103.10504), for pictures of one fixed size.

A vision transformer sees 16 x 16 patches of the whole picture; its output after a
quarter, a half and three quarters of its layers is up-sampled into the skips of a U-Net.
It looks everywhere: tiles of its one size are blended.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.networks.kit import Kit, initialise
from pipeline.models.networks.shape import Decoder, Features, Heads, UNet

PATCH = 16


class TransformerLayer(nn.Module):
    """A transformer's layer, normalised before attention and before the perceptron."""

    def __init__(self, hidden: int, heads: int, mlp: int) -> None:
        """Build it for tokens of ``hidden`` channels."""
        super().__init__()
        self.heads = heads
        self.before = nn.LayerNorm(hidden)
        self.question = nn.Linear(hidden, 3 * hidden, bias=False)
        self.output = nn.Linear(hidden, hidden)
        self.between = nn.LayerNorm(hidden)
        self.mlp = nn.Sequential(nn.Linear(hidden, mlp), nn.GELU(), nn.Linear(mlp, hidden))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return ``(batch, tokens, hidden)`` after attention and perceptron."""
        parts: Tensor = self.question(self.before(tokens)).unflatten(2, (3, self.heads, -1))
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(query, key, value)
        tokens = tokens + self.output(seen.transpose(1, 2).flatten(2))
        changed: Tensor = tokens + self.mlp(self.between(tokens))
        return changed


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut, activated after the sum."""

    def __init__(self, kit: Kit, inputs: int, outputs: int) -> None:
        """Build it; the shortcut is a 1 x 1 convolution where channels change."""
        super().__init__()
        self.long = nn.Sequential(
            *(kit.conv(inputs, outputs, bias=False), kit.norm(outputs), kit.act()),
            *(kit.conv(outputs, outputs, bias=False), kit.norm(outputs)),
        )
        self.short: nn.Module = nn.Identity()
        if inputs != outputs:
            projected = kit.conv(inputs, outputs, 1, bias=False)
            self.short = nn.Sequential(projected, kit.norm(outputs))
        self.act = kit.act()

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the sum of both ways, activated."""
        total: Tensor = self.act(self.long(pixels) + self.short(pixels))
        return total


class Raised(nn.Module):
    """Tokens on their grid, up-sampled ``times`` times into the features of a skip."""

    def __init__(self, hidden: int, filters: int, times: int, kit: Kit) -> None:
        """Build it: up-convolutions, a residual block after each but the first."""
        super().__init__()
        self.first = nn.ConvTranspose2d(hidden, filters, 2, stride=2, bias=False)
        self.more = nn.Sequential()
        for _ in range(times - 1):
            self.more.append(nn.ConvTranspose2d(filters, filters, 2, stride=2, bias=False))
            self.more.append(ResidualBlock(kit, filters, filters))

    def forward(self, grid: Tensor) -> Tensor:
        """Return features ``2**times`` as large."""
        raised: Tensor = self.more(self.first(grid))
        return raised


class VisionTransformer(nn.Module):
    """Features of 5 sizes out of a transformer over patches."""

    def __init__(
        self, kit: Kit, *, in_channels: int, side: int, filters: int, layers: Layers
    ) -> None:
        """Build it for pictures of ``side`` x ``side`` pixels."""
        super().__init__()
        self.side = side // PATCH
        self.patches = nn.Conv2d(in_channels, layers.hidden, PATCH, stride=PATCH)
        self.places = nn.Parameter(torch.empty(1, self.side**2, layers.hidden))
        nn.init.trunc_normal_(self.places, std=0.02)
        self.layers = nn.ModuleList(
            TransformerLayer(layers.hidden, layers.heads, layers.mlp) for _ in range(layers.number)
        )
        self.norm = nn.LayerNorm(layers.hidden)
        self.taken = [layers.number * quarter // 4 for quarter in (1, 2, 3)]
        self.pixels = ResidualBlock(kit, in_channels, filters)
        self.raised = nn.ModuleList(
            Raised(layers.hidden, filters * 2**level, 4 - level, kit) for level in (1, 2, 3)
        )

    def forward(self, pixels: Tensor) -> Features:
        """Return features of 1, 1/2, 1/4, 1/8 and 1/16 of the size.

        Raises:
            ValueError: The picture is not of the size that it was built for.
        """
        side = self.side * PATCH
        if pixels.shape[2:] != (side, side):
            raise ValueError(f"UNETR takes {side} x {side} px, not {tuple(pixels.shape[2:])}")
        tokens = self.patches(pixels).flatten(2).transpose(1, 2) + self.places
        features = [self.pixels(pixels)]
        for number, layer in enumerate(self.layers, start=1):
            tokens = layer(tokens)
            if number in self.taken:
                raised = self.raised[self.taken.index(number)]
                features.append(raised(self._grid(tokens)))
        return [*features, self._grid(self.norm(tokens))], [None] * 4

    def _grid(self, tokens: Tensor) -> Tensor:
        batch, _, channels = tokens.shape
        return tokens.transpose(1, 2).reshape(batch, channels, self.side, self.side)


class Layers:
    """How large a transformer is; ViT-B by default."""

    def __init__(
        self, *, hidden: int = 768, heads: int = 12, mlp: int = 3072, number: int = 12
    ) -> None:
        """Remember it.

        Raises:
            ValueError: Channels are not shared evenly by the heads, or quarters not whole.
        """
        if hidden % heads or number % 4:
            raise ValueError(
                f"hidden {hidden} must be a multiple of heads {heads}, and layers {number} of 4"
            )
        self.hidden, self.heads, self.mlp, self.number = hidden, heads, mlp, number


def unetr(
    kit: Kit,
    *,
    in_channels: int = 3,
    classes: int = 1,
    size: int = 256,
    width: int = 16,
    transformer: dict[str, int] | None = None,
) -> UNet:
    """Return UNETR; 87,561,457 parameters for 128 px, three channels in and one out.

    Source of the count: MONAI 1.6.1, ``UNETR(spatial_dims=2, img_size=128)``, the authors' own.

    Args:
        kit: Kinds of layers; its own are leaky ReLU, instance norm, up-convolutions.
        in_channels: Bands.
        classes: Channels out.
        size: Side of the only pictures that it takes, a multiple of 16.
        width: Filters of the finest level; each level doubles them.
        transformer: Its ``hidden`` channels, ``heads``, ``mlp`` channels and ``number`` of
            layers; None: ViT-B's 768, 12, 3072 and 12.

    Raises:
        ValueError: The size is not a multiple of 16, or the transformer cannot be.
    """
    if size < PATCH or size % PATCH:
        raise ValueError(f"size {size} is no multiple of {PATCH}")
    layers = Layers(**(transformer or {}))
    encoder = VisionTransformer(
        kit, in_channels=in_channels, side=size, filters=width, layers=layers
    )
    filters = [width * 2**level for level in (3, 2, 1, 0)]
    decoder = Decoder(
        [
            kit.up(low, high, bias=False)
            for low, high in zip([layers.hidden, *filters[:-1]], filters, strict=True)
        ],
        [ResidualBlock(kit, 2 * high, high) for high in filters],
        Heads(kit, filters, classes),
    )
    network = UNet(encoder, decoder)
    initialise(network)
    return network
