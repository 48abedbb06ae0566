"""The U-Net of Ronneberger, Fischer and Brox, 2015 (arXiv 1505.04597).

Four poolings, two 3x3 convolutions a level, 64 to 1024 filters, 2x2 up-convolutions,
skips concatenated: 23 convolutional layers. ``valid`` is the paper's network, whose
output is smaller than its input (572 -> 388); ``padded`` keeps the size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch import nn

from pipeline.models.networks.kit import Kit, initialise
from pipeline.models.networks.shape import Decoder, Encoder, Heads, UNet
from pipeline.models.sizes import legal_inputs


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


def _around(size: int, depth: int) -> list[int]:
    legal = list(legal_inputs(depth=depth, up_to=max(2 * size, 1024)))
    return sorted(sorted(legal, key=lambda other: abs(other - size))[:2])


def classic_unet(
    kit: Kit,
    *,
    in_channels: int = 3,
    classes: int = 1,
    width: int = 64,
    depth: int = 4,
    padding: str = "padded",
) -> UNet:
    """Return the U-Net of 2015 with He initialisation, as in the paper.

    Its own kit is `Kit()`: ReLU, no normalisation, max pooling, up-convolutions. It then
    has 31,030,658 parameters for one channel in and two out, padded or valid.

    Args:
        kit: Kinds of layers.
        in_channels: Bands.
        classes: Channels out.
        width: Filters of the first level; each level doubles them.
        depth: Poolings.
        padding: ``padded`` convolutions keep the size, ``valid`` ones do not.

    Raises:
        ValueError: The padding is neither, or does not go with the kit.
    """
    if padding not in ("padded", "valid"):
        raise ValueError(f"padding {padding!r} is none of padded, valid")
    kit = replace(kit, valid=padding == "valid")
    return doubling_unet(kit, in_channels=in_channels, classes=classes, width=width, depth=depth)


def doubling_unet(
    kit: Kit,
    *,
    in_channels: int,
    classes: int,
    width: int,
    depth: int,
    gate: Callable[[int, int], nn.Module] | None = None,
) -> UNet:
    """Return a U-Net of two convolutions a level, its filters doubling from level to level.

    Args:
        kit: Kinds of layers.
        in_channels: Bands.
        classes: Channels out.
        width: Filters of the first level.
        depth: Poolings.
        gate: What weighs a skip, from its filters and those of the level below; none without.
    """
    filters = [width * 2**level for level in range(depth + 1)]
    pairs = list(zip(filters[:0:-1], filters[-2::-1], strict=True))
    encoder = Encoder(
        [
            two_convolutions(kit, before, after)
            for before, after in zip([in_channels, *filters[:-1]], filters, strict=True)
        ],
        [kit.pool(channels) for channels in filters[:-1]],
    )
    decoder = Decoder(
        [kit.up(low, high) for low, high in pairs],
        [two_convolutions(kit, 2 * high, high) for _, high in pairs],
        Heads(kit, [high for _, high in pairs], classes),
        gates=None if gate is None else [gate(high, low) for low, high in pairs],
    )
    network = UNet(encoder, decoder)
    initialise(network)
    return network


def two_convolutions(
    kit: Kit, inputs: int, outputs: int, *, middle: int | None = None, dropout: float = 0.0
) -> nn.Sequential:
    """Return two 3 x 3 convolutions, each with normalisation and activation.

    Args:
        kit: Kinds of layers.
        inputs: Channels in.
        outputs: Channels out.
        middle: Channels between the two; None: as many as come out.
        dropout: Share of values that training drops between the two.
    """
    middle = outputs if middle is None else middle
    between = [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(
        *(kit.conv(inputs, middle), kit.norm(middle), kit.act()),
        *between,
        *(kit.conv(middle, outputs), kit.norm(outputs), kit.act()),
    )
