"""The 16-filter U-Net with ELU and dropout, well known from the Keras tutorials on nuclei and salt.

Filters 16 to 256, two 3x3 convolutions a level with dropout between them, 2x2
up-convolutions; He initialisation. As there: inputs in 0..1, Adam, binary cross-entropy.
"""

from __future__ import annotations

from pipeline.models.networks.classic import two_convolutions
from pipeline.models.networks.kit import Kit, initialise
from pipeline.models.networks.shape import Decoder, Encoder, Heads, UNet


def dropout_unet(
    kit: Kit, *, in_channels: int = 3, classes: int = 1, width: int = 16, depth: int = 4
) -> UNet:
    """Return it; 1,941,105 parameters for three channels in and one out.

    Args:
        kit: Kinds of layers; its own are ELU, no normalisation, max pooling, up-convolutions.
        in_channels: Bands.
        classes: Channels out.
        width: Filters of the first level; each level doubles them.
        depth: Poolings.
    """
    filters = [width * 2**level for level in range(depth + 1)]
    # 0.1, 0.1, 0.2, 0.2, 0.3 from fine to coarse.
    dropout = [0.1 * (1 + level // 2) for level in range(depth + 1)]
    pairs = list(zip(filters[:0:-1], filters[-2::-1], strict=True))
    encoder = Encoder(
        [
            two_convolutions(kit, before, after, dropout=share)
            for before, after, share in zip(
                [in_channels, *filters[:-1]], filters, dropout, strict=True
            )
        ],
        [kit.pool(channels) for channels in filters[:-1]],
    )
    decoder = Decoder(
        [kit.up(low, high) for low, high in pairs],
        [
            two_convolutions(kit, 2 * high, high, dropout=share)
            for (_, high), share in zip(pairs, dropout[-2::-1], strict=True)
        ],
        Heads(kit, [high for _, high in pairs], classes),
    )
    network = UNet(encoder, decoder)
    initialise(network)
    return network
