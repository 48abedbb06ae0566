"""The receptive-field radius of a network, computed from its modules."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from pipeline.models.networks.kit import MedianPool2d

GLOBAL = (
    nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveAvgPool3d,
    nn.AdaptiveMaxPool2d,
    nn.AdaptiveMaxPool3d,
    nn.InstanceNorm2d,
    nn.InstanceNorm3d,
    nn.GroupNorm,
    nn.MultiheadAttention,
)
CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)
HARMLESS = (nn.BatchNorm2d, nn.BatchNorm3d, nn.Dropout, nn.Dropout2d, nn.Dropout3d)


class _Placed(nn.Module):
    """Average pooling in place of max pooling with indices: its receptive field is the same."""

    def __init__(self, average: nn.Module) -> None:
        super().__init__()
        self.average = average

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        pooled = self.average(pixels)
        return pooled, pooled


class _Unplaced(nn.Module):
    """Both the values and their places, spread over what was pooled."""

    def forward(self, pixels: Tensor, places: Tensor) -> Tensor:
        return nn.functional.interpolate(pixels + places, scale_factor=2.0, mode="nearest")


class _Corners(TorchFunctionMode):
    """Notices resizing with ``align_corners``, which depends on the tile's size everywhere."""

    met = False

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        named = kwargs or {}
        if function is nn.functional.interpolate and named.get("align_corners"):
            self.met = True
        return function(*args, **named)


def _positive(module: nn.Module) -> nn.Module:
    """Make every dependence visible: mean filters, average pooling, nothing that saturates."""
    for name, child in module.named_children():
        if isinstance(child, nn.MaxPool2d | nn.MaxPool3d):
            kind: Any = nn.AvgPool2d if isinstance(child, nn.MaxPool2d) else nn.AvgPool3d
            average: nn.Module = kind(child.kernel_size, child.stride, child.padding)
            setattr(module, name, _Placed(average) if child.return_indices else average)
        elif isinstance(child, nn.MaxUnpool2d | nn.MaxUnpool3d):
            setattr(module, name, _Unplaced())
        elif isinstance(child, MedianPool2d):
            setattr(module, name, nn.AvgPool2d(2))
        elif isinstance(child, HARMLESS) or _on_single_pixels(child):
            setattr(module, name, nn.Identity())
        elif isinstance(child, CONVOLUTIONS):
            with torch.no_grad():
                child.weight.fill_(1.0 / (child.weight.numel() / child.out_channels))
                if child.bias is not None:
                    child.bias.zero_()
        else:
            _positive(child)
    return module


def _on_single_pixels(module: nn.Module) -> bool:
    if isinstance(module, nn.LayerNorm):
        # Over the channels of one pixel, as ConvNeXt has it; its slope at equal values is 0.
        return len(module.normalized_shape) == 1
    return type(module).__module__ == nn.ReLU.__module__ and not isinstance(module, GLOBAL)


def _everywhere(network: nn.Module) -> bool:
    """Return whether a module's output depends on the whole picture, whatever its weights."""
    # Vision transformers of this package and of timm: their size is fixed, so a strip would not do.
    return any(
        isinstance(module, GLOBAL) or type(module).__name__ == "VisionTransformer"
        for module in network.modules()
    )


def rf_radius(network: nn.Module, *, in_channels: int, stride: int, limit: int = 640) -> int | None:
    """Return the halo that makes tiles exact, or None where no halo does.

    The network's filters are replaced by mean filters and its max pooling by average
    pooling, which keeps what depends on what; the gradient of the output then shows
    its receptive field exactly. Cores begin and end on multiples of the stride, so the
    field is measured from the edges of one ``stride`` x ``stride`` cell of pixels: 92
    for the U-Net of 2015, whose valid form turns 572 pixels into 388. Filters are
    products of rows and columns as far as this goes, so strips along each axis report.

    Args:
        network: Of pictures or volumes, in any mode; it is copied.
        in_channels: Bands.
        stride: Total down-sampling.
        limit: Reach beyond which a network counts as looking everywhere.
    """
    if _everywhere(network):
        return None
    dims = 3 if any(isinstance(module, nn.Conv3d) for module in network.modules()) else 2
    probe = _positive(copy.deepcopy(network)).double().eval()
    size = stride * -(-2 * (limit + stride) // stride)
    farthest = 0
    for axis in range(dims):
        found = None
        shape = [2 * stride] * dims
        shape[axis] = size
        with _Corners() as corners:
            try:
                found = _along(probe, axis, torch.ones(1, in_channels, *shape), stride)
            except RuntimeError:
                # Valid convolutions leave nothing of a strip.
                found = _along(probe, axis, torch.ones(1, in_channels, *[size] * dims), stride)
        if found is None or corners.met:
            return None
        farthest = max(farthest, found)
    return farthest


def _along(probe: nn.Module, axis: int, pixels: Tensor, stride: int) -> int | None:
    """Return the rf_radius along an axis, or None where it touches the end of ``pixels``."""
    pixels = pixels.double().requires_grad_()
    size = pixels.shape[2 + axis]
    logits = probe(pixels).movedim(2 + axis, 0).flatten(1).sum(dim=1)
    shift = (size - len(logits)) // 2
    first = len(logits) // 2 // stride * stride
    (gradient,) = torch.autograd.grad(logits[first : first + stride].sum(), pixels)
    lines = gradient.abs().movedim(2 + axis, 0).flatten(1).sum(dim=1).nonzero().flatten()
    low, high = int(lines.min()), int(lines.max())
    if low == 0 or high == size - 1:
        return None
    return int(max(first + shift - low, high - (first + shift + stride - 1)))
