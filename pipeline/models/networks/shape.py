"""The shape that all U-Nets share: an encoder's features, joined again by a decoder.

::

    down[0] ------------------------- gate -- join[-1] -- head
       pool                           up
       down[1] ------------ gate -- join[-2]      (coarser heads: deep supervision)
          ...               up
             down[-1] ----------
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, cat, nn
from torch.nn import functional

from pipeline.models.networks.kit import Kit

Features = tuple[list[Tensor], list[Tensor | None]]


class UNet(nn.Module):
    """An encoder and a decoder."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        """Take both as they are.

        Args:
            encoder: Gives features from fine to coarse, each half the size of the one
                before, and what each pooling between them remembers for max-unpooling.
            decoder: Makes the answer of them.
        """
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, pixels: Tensor) -> Tensor | list[Tensor]:
        """Return logits; a list of them in training with deep supervision, finest first."""
        features, places = self.encoder(pixels)
        prediction: Tensor | list[Tensor] = self.decoder(features, places)
        return prediction


class Encoder(nn.Module):
    """Blocks with a pooling between them."""

    def __init__(self, down: Sequence[nn.Module], pool: Sequence[nn.Module]) -> None:
        """Take the blocks from fine to coarse, and one pooling less."""
        super().__init__()
        self.down = nn.ModuleList(down)
        self.pool = nn.ModuleList(pool)

    def forward(self, pixels: Tensor) -> Features:
        """Return every block's features, and where max pooling found them if it is asked to."""
        features = [self.down[0](pixels)]
        places: list[Tensor | None] = []
        for pool, block in zip(self.pool, list(self.down)[1:], strict=True):
            pooled = pool(features[-1])
            where = None
            if isinstance(pooled, tuple):
                pooled, where = pooled
            places.append(where)
            features.append(block(pooled))
        return features, places


class Decoder(nn.Module):
    """Up-samples from the coarsest features, joining the finer ones on the way."""

    def __init__(
        self,
        up: Sequence[nn.Module],
        join: Sequence[nn.Module],
        heads: nn.Module,
        *,
        gates: Sequence[nn.Module] | None = None,
    ) -> None:
        """Take the parts from coarse to fine.

        Args:
            up: Doubles the size: ``(pixels, places) -> pixels``.
            join: Makes one of the skip and the up-sampled, concatenated in this order.
            heads: Makes the answer of what each join gave.
            gates: What is done with a skip: ``(skip, coarser) -> skip``; None: nothing.
        """
        super().__init__()
        self.up = nn.ModuleList(up)
        self.join = nn.ModuleList(join)
        self.heads = heads
        self.gates = nn.ModuleList(gates or (Plain() for _ in up))

    def forward(self, features: list[Tensor], places: list[Tensor | None]) -> Tensor | list[Tensor]:
        """Return the answer to an encoder's features."""
        pixels, joined = features[-1], []
        parts = zip(self.up, self.gates, self.join, features[-2::-1], reversed(places), strict=True)
        for up, gate, join, skip, where in parts:
            passed = gate(skip, pixels)
            pixels = up(pixels, where)
            pixels = join(cat([middle(passed, pixels), pixels], dim=1))
            joined.append(pixels)
        prediction: Tensor | list[Tensor] = self.heads(joined)
        return prediction


class Plain(nn.Module):
    """A skip as it is."""

    def forward(self, skip: Tensor, coarser: Tensor) -> Tensor:  # noqa: ARG002  # as gates take it
        """Return the skip."""
        return skip


class Heads(nn.Module):
    """1 x 1 convolutions to the classes: of the finest level, and of others in training."""

    def __init__(self, kit: Kit, filters: Sequence[int], classes: int) -> None:
        """Build them for the joins' ``filters``, coarse to fine."""
        super().__init__()
        self.fine = kit.conv(filters[-1], classes, 1, bias=True)
        coarser = filters[:-1] if kit.deep_supervision else ()
        self.coarse = nn.ModuleList(kit.conv(width, classes, 1, bias=True) for width in coarser)
        self.activation = kit.output()
        self.mode = "bilinear" if kit.dims == 2 else "trilinear"

    def forward(self, joined: list[Tensor]) -> Tensor | list[Tensor]:
        """Return the finest answer; in training with deep supervision all, finest first."""
        prediction: Tensor = self.activation(self.fine(joined[-1]))
        if not self.training or not len(self.coarse):
            return prediction
        outputs = [prediction]
        for head, pixels in zip(reversed(self.coarse), joined[-2::-1], strict=True):
            large = functional.interpolate(
                head(pixels), size=prediction.shape[2:], mode=self.mode, align_corners=False
            )
            outputs.append(self.activation(large))
        return outputs


def middle(skip: Tensor, like: Tensor) -> Tensor:
    """Return the middle of a skip, as large as ``like``: valid convolutions lose the rest."""
    for axis in range(2, skip.ndim):
        spare = skip.shape[axis] - like.shape[axis]
        if spare:
            skip = skip.narrow(axis, spare // 2, like.shape[axis])
    return skip
