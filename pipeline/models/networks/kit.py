"""The layers that our own networks are built from, each kind chosen by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

ACTIVATIONS: Mapping[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
}
NORMALISATIONS = ("none", "batch", "instance", "group")
POOLINGS = ("max", "average", "median", "strided")
UPSAMPLINGS = ("transposed", "nearest", "bilinear", "max_unpooling")
OUTPUT_ACTIVATIONS = ("none", "sigmoid", "softmax", "tanh")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """Which kinds of layers a network is built from."""

    activation: str = "relu"
    """One of `ACTIVATIONS`."""
    normalisation: str = "none"
    """One of `NORMALISATIONS`; instance and group norm look at the whole tile."""
    pooling: str = "max"
    """One of `POOLINGS`: what halves rows and columns; median takes the mean of the middle two."""
    upsampling: str = "transposed"
    """One of `UPSAMPLINGS`: what doubles them; bilinear with ``align_corners=False``."""
    output_activation: str = "none"
    """One of `OUTPUT_ACTIVATIONS`, in training too; ``none`` gives logits, which losses and
    the card's own activation expect: with any other the card has ``none``."""
    deep_supervision: bool = False
    """Whether training sees an answer of every level of the decoder."""
    valid: bool = False
    """Whether convolutions answer only where they see all of their input: no padding."""
    dims: int = 2
    """2 for pictures, 3 for volumes."""

    def __post_init__(self) -> None:
        """Refuse kinds that there are not, and those that do not go together.

        Raises:
            ValueError: There is no such kind; the message lists those that there are.
        """
        for field, known in (
            ("activation", tuple(ACTIVATIONS)),
            ("normalisation", NORMALISATIONS),
            ("pooling", POOLINGS),
            ("upsampling", UPSAMPLINGS),
            ("output_activation", OUTPUT_ACTIVATIONS),
        ):
            if getattr(self, field) not in known:
                raise ValueError(f"{field} {getattr(self, field)!r} is none of {', '.join(known)}")
        if self.unpools and self.pooling != "max":
            raise ValueError(f"max_unpooling goes with pooling 'max', not {self.pooling!r}")
        if self.valid and (self.unpools or self.deep_supervision):
            raise ValueError(
                "valid convolutions go with neither max_unpooling nor deep_supervision"
            )
        if self.dims == 3 and self.pooling == "median":
            raise ValueError("median pooling is for pictures; volumes take max, average, strided")

    @property
    def unpools(self) -> bool:
        """Whether pixels go back to where pooling took them from."""
        return self.upsampling == "max_unpooling"

    def act(self, *, inplace: bool = True) -> nn.Module:
        """Return the activation between layers; ``inplace`` where nothing else sees its input."""
        kind = ACTIVATIONS[self.activation]
        return kind() if self.activation == "gelu" else kind(inplace=inplace)

    def norm(self, channels: int) -> nn.Module:
        """Return the normalisation after a convolution."""
        if self.normalisation == "batch":
            return (nn.BatchNorm2d if self.dims == 2 else nn.BatchNorm3d)(channels)
        if self.normalisation == "instance":
            return (nn.InstanceNorm2d if self.dims == 2 else nn.InstanceNorm3d)(channels)
        if self.normalisation == "group":
            return nn.GroupNorm(math.gcd(8, channels), channels)
        return nn.Identity()

    def conv(
        self, inputs: int, outputs: int, size: int = 3, *, stride: int = 1, bias: bool | None = None
    ) -> nn.Module:
        """Return a convolution that keeps the size, or divides it by ``stride``.

        Without ``bias`` given, it has one where no normalisation follows.
        """
        kind = nn.Conv2d if self.dims == 2 else nn.Conv3d
        biased = self.normalisation == "none" if bias is None else bias
        padding = 0 if self.valid else (size - 1) // 2
        return kind(inputs, outputs, size, stride=stride, padding=padding, bias=biased)

    def pool(self, channels: int) -> nn.Module:
        """Return the layer that halves the size; ``max`` returns indices too, for unpooling."""
        if self.pooling == "strided":
            return self.conv(channels, channels, 2, stride=2, bias=True)
        if self.pooling == "average":
            return nn.AvgPool2d(2) if self.dims == 2 else nn.AvgPool3d(2)
        if self.pooling == "median":
            return MedianPool2d()
        kind = nn.MaxPool2d if self.dims == 2 else nn.MaxPool3d
        return kind(2, return_indices=self.unpools)

    def up(self, low: int, high: int, *, bias: bool = True) -> nn.Module:
        """Return what doubles the size and turns ``low`` channels into ``high``."""
        return Up(self, low, high, bias=bias)

    def output(self) -> nn.Module:
        """Return the activation of the network's answer."""
        if self.output_activation == "softmax":
            return nn.Softmax(dim=1)
        kinds = {"none": nn.Identity, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}
        return kinds[self.output_activation]()


class MedianPool2d(nn.Module):
    """The median of 2 x 2 pixels: the mean of the middle two, (sum - largest - least) / 2."""

    def forward(self, pixels: Tensor) -> Tensor:
        """Return half the rows and columns."""
        total = 4 * functional.avg_pool2d(pixels, 2)
        least = -functional.max_pool2d(-pixels, 2)
        return (total - functional.max_pool2d(pixels, 2) - least) / 2


class Up(nn.Module):
    """Doubles the size; with max-unpooling to where the pooling's largest pixels were."""

    def __init__(self, kit: Kit, low: int, high: int, *, bias: bool = True) -> None:
        """Build it; nearest and bilinear mix channels before, where there are fewer pixels."""
        super().__init__()
        self.unpool: nn.Module | None = None
        if kit.upsampling == "transposed":
            transposed = nn.ConvTranspose2d if kit.dims == 2 else nn.ConvTranspose3d
            self.step: nn.Module = transposed(low, high, 2, stride=2, bias=bias)
            return
        mixed = kit.conv(low, high, 1, bias=bias) if low != high else nn.Identity()
        if kit.unpools:
            self.step = mixed
            self.unpool = nn.MaxUnpool2d(2) if kit.dims == 2 else nn.MaxUnpool3d(2)
        elif kit.upsampling == "nearest":
            self.step = nn.Sequential(mixed, nn.Upsample(scale_factor=2, mode="nearest"))
        else:
            mode = "bilinear" if kit.dims == 2 else "trilinear"
            larger = nn.Upsample(scale_factor=2, mode=mode, align_corners=False)
            self.step = nn.Sequential(mixed, larger)

    def forward(self, pixels: Tensor, places: Tensor | None) -> Tensor:
        """Return twice the rows and columns; ``places`` are those of the pooling."""
        pixels = self.step(pixels)
        return pixels if self.unpool is None else self.unpool(pixels, places)


def shift_only(network: nn.Module) -> nn.Module:
    """Fix the scales of batch norms at 1, where what follows scales anyway; return the network."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            module.weight.requires_grad = False
    return network


@torch.no_grad()
def initialise(network: nn.Module) -> nn.Module:
    """Draw convolutions as He et al. (arXiv 1502.01852) for ReLU, biases 0; return the network."""
    kinds = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    for module in network.modules():
        if isinstance(module, kinds):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network
