"""MultiResUNet of Ibtehaz and Rahman, 2020 (arXiv 1902.04049).

A block is a chain of three 3x3 convolutions whose outputs are laid beside each other (as
3x3, 5x5 and 7x7 ones would see), beside a 1x1 shortcut; skips pass residual units first,
4, 3, 2 and 1 of them. ``W = alpha U`` filters a block, alpha 1.67, U 32 to 512.
"""

from __future__ import annotations

from torch import Tensor, cat, nn

from pipeline.models.networks.kit import Kit, initialise, shift_only
from pipeline.models.networks.shape import Decoder, Encoder, Heads, UNet


def _conv(kit: Kit, inputs: int, outputs: int, size: int, *, act: bool = True) -> nn.Sequential:
    layers = [kit.conv(inputs, outputs, size), shift_only(kit.norm(outputs))]
    return nn.Sequential(*layers, *([kit.act()] if act else []))


class MultiResBlock(nn.Module):
    """Three convolutions in a chain, laid beside each other, plus a shortcut."""

    def __init__(self, kit: Kit, inputs: int, filters: float) -> None:
        """Build it with about ``filters`` channels: a sixth, a third and a half of them.

        Raises:
            ValueError: One of its convolutions would have no channel.
        """
        super().__init__()
        parts = [int(filters * share) for share in (0.167, 0.333, 0.5)]
        if min(parts) < 1:
            raise ValueError(f"a block of {filters:g} filters is too narrow; give a width of 6")
        self.channels = sum(parts)
        self.shortcut = _conv(kit, inputs, self.channels, 1, act=False)
        self.chain = nn.ModuleList(
            _conv(kit, before, after, 3)
            for before, after in zip([inputs, *parts[:-1]], parts, strict=True)
        )
        self.beside = kit.norm(self.channels)
        self.after = nn.Sequential(kit.act(), kit.norm(self.channels))

    def forward(self, pixels: Tensor) -> Tensor:
        """Return ``self.channels`` channels."""
        seen, parts = pixels, []
        for conv in self.chain:
            seen = conv(seen)
            parts.append(seen)
        block: Tensor = self.after(self.shortcut(pixels) + self.beside(cat(parts, dim=1)))
        return block


class ResPath(nn.Module):
    """Residual units that a skip passes: 3x3 convolutions beside 1x1 ones."""

    def __init__(self, kit: Kit, inputs: int, outputs: int, length: int) -> None:
        """Build ``length`` units."""
        super().__init__()
        widths = [inputs, *[outputs] * (length - 1)]
        self.short = nn.ModuleList(_conv(kit, width, outputs, 1, act=False) for width in widths)
        self.long = nn.ModuleList(_conv(kit, width, outputs, 3) for width in widths)
        self.after = nn.ModuleList(nn.Sequential(kit.act(), kit.norm(outputs)) for _ in widths)

    def forward(self, skip: Tensor, coarser: Tensor) -> Tensor:  # noqa: ARG002  # as gates take it
        """Return the skip, brought nearer to what it will lie beside."""
        for short, long, after in zip(self.short, self.long, self.after, strict=True):
            skip = after(short(skip) + long(skip))
        return skip


def multires_unet(
    kit: Kit,
    *,
    in_channels: int = 3,
    classes: int = 1,
    width: int = 32,
    depth: int = 4,
    alpha: float = 1.67,
) -> UNet:
    """Return it; 7,262,750 values for three channels in and one out, as in the paper.

    The paper counts what its library does: running statistics too, and the last layer's
    norm; a scale of batch norm only where there is one.

    Args:
        kit: Kinds of layers; its own are ReLU, batch norm, max pooling, up-convolutions.
        in_channels: Bands.
        classes: Channels out.
        width: U of the first level; each level doubles it.
        depth: Poolings.
        alpha: Filters of a block over U.
    """
    sizes = [width * 2**level for level in range(depth + 1)]
    blocks: list[MultiResBlock] = []
    for size in sizes:
        inputs = blocks[-1].channels if blocks else in_channels
        blocks.append(MultiResBlock(kit, inputs, alpha * size))
    joins: list[MultiResBlock] = []
    ups, paths = [], []
    for level in range(depth - 1, -1, -1):
        size, skip = sizes[level], blocks[level].channels
        raised = skip if kit.unpools else size
        ups.append(kit.up((joins or blocks)[-1].channels, raised))
        paths.append(ResPath(kit, skip, size, depth - level))
        joins.append(MultiResBlock(kit, size + raised, alpha * size))
    heads = Heads(kit, [join.channels for join in joins], classes)
    encoder = Encoder(blocks, [kit.pool(block.channels) for block in blocks[:-1]])
    network = UNet(encoder, Decoder(ups, joins, heads, gates=paths))
    initialise(network)
    return network
