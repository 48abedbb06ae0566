"""How far a network looks: the radius of its receptive field, computed from it."""

from __future__ import annotations

import copy

import torch
from torch import nn

GLOBAL = (
    nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d,
    nn.InstanceNorm2d,
    nn.GroupNorm,
    nn.MultiheadAttention,
)


def _positive(module: nn.Module) -> nn.Module:
    """Make every dependence visible: mean filters, average pooling, nothing that saturates."""
    for name, child in module.named_children():
        if isinstance(child, nn.MaxPool2d):
            average = nn.AvgPool2d(child.kernel_size, child.stride, child.padding)
            setattr(module, name, average)
        elif isinstance(child, nn.BatchNorm2d | nn.Dropout2d) or _on_single_pixels(child):
            setattr(module, name, nn.Identity())
        elif isinstance(child, nn.Conv2d | nn.ConvTranspose2d):
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


def reach(network: nn.Module, *, in_channels: int, stride: int, limit: int = 640) -> int | None:
    """Return the halo that makes tiles exact, or None where no halo does.

    The network's filters are replaced by mean filters and its max pooling by average
    pooling, which keeps what depends on what; the gradient of the output then shows
    its receptive field exactly. Cores begin and end on multiples of the stride, so the
    field is measured from the edges of one ``stride`` x ``stride`` cell of pixels: 92
    for the U-Net of 2015, whose valid form turns 572 pixels into 388.

    Args:
        network: In any mode; it is copied.
        in_channels: Bands.
        stride: Total down-sampling.
        limit: Reach beyond which a network counts as looking everywhere.
    """
    if any(isinstance(module, GLOBAL) for module in network.modules()):
        return None
    probe = _positive(copy.deepcopy(network)).double().eval()
    size = stride * -(-2 * (limit + stride) // stride)
    pixels = torch.ones(1, in_channels, size, size, dtype=torch.float64, requires_grad=True)
    logits = probe(pixels).sum(dim=(0, 1))
    shift = (size - logits.shape[0]) // 2
    first = logits.shape[0] // 2 // stride * stride
    cell = logits[first : first + stride, first : first + stride]
    (gradient,) = torch.autograd.grad(cell.sum(), pixels)
    rows = gradient.abs().sum(dim=(0, 1, 3)).nonzero().flatten()
    low, high = int(rows.min()), int(rows.max())
    if low == 0 or high == size - 1:
        return None
    return int(max(first + shift - low, high - (first + shift + stride - 1)))
