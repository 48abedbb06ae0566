"""The 3D U-Net of Cicek and others, 2016 (arXiv 1606.06650): a volume in, a volume out.

3x3x3 convolutions, batch norm before each ReLU, filters doubled before pooling so that
nothing is squeezed, up-convolutions that keep their channels.
"""

from __future__ import annotations

from pipeline.models.networks.classic import two_convolutions
from pipeline.models.networks.kit import Kit, initialise, shift_only
from pipeline.models.networks.shape import Decoder, Encoder, Heads, UNet


def unet_3d(
    kit: Kit, *, in_channels: int = 1, classes: int = 1, width: int = 64, depth: int = 3
) -> UNet:
    """Return it; 19,069,955 parameters for three channels in and three out, as in the paper.

    It pads its convolutions, where the paper's are valid. Batch norms shift only: the
    paper's count has one value a filter, and the ReLU's next layer scales.

    Args:
        kit: Kinds of layers; its own are ReLU, batch norm, max pooling, up-convolutions.
        in_channels: Channels of a voxel.
        classes: Channels out.
        width: Filters that the first level gives; each level doubles them.
        depth: Poolings.
    """
    filters = [width * 2**level for level in range(depth + 1)]
    pairs = list(zip(filters[:0:-1], filters[-2::-1], strict=True))
    encoder = Encoder(
        [
            two_convolutions(kit, before, after, middle=after // 2)
            for before, after in zip([in_channels, *filters[:-1]], filters, strict=True)
        ],
        [kit.pool(channels) for channels in filters[:-1]],
    )
    raised = [high if kit.unpools else low for low, high in pairs]
    decoder = Decoder(
        [kit.up(low, up, bias=False) for (low, _), up in zip(pairs, raised, strict=True)],
        [
            two_convolutions(kit, up + high, high)
            for (_, high), up in zip(pairs, raised, strict=True)
        ],
        Heads(kit, [high for _, high in pairs], classes),
    )
    network = UNet(encoder, decoder)
    initialise(shift_only(network))
    return network
