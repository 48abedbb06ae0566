"""How wrong a prediction is, where pixels carry weights."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def weighted_bce(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return the mean binary cross-entropy, each pixel counted ``weight`` times.

    Args:
        logits: Any shape, before the sigmoid.
        target: 0 or 1, the same shape.
        weight: 0 where nothing is known, the same shape.
    """
    loss = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (loss * weight).sum() / weight.sum().clamp_min(1.0)


def dice(logits: Tensor, target: Tensor, known: Tensor, *, smooth: float = 1.0) -> Tensor:
    """Return ``1 - (2 sum(p g) + s) / (sum p + sum g + s)`` over the known pixels.

    Summed over the whole batch: a crop without buildings has no Dice of its own.
    """
    probability = logits.sigmoid() * known
    truth = target * known
    both = (probability * truth).sum()
    return 1.0 - (2.0 * both + smooth) / (probability.sum() + truth.sum() + smooth)


def bce_dice(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return BCE + Dice, added up over the channels.

    Args:
        logits: (batch, channels, rows, cols).
        target: The same shape, 0 or 1.
        weight: (batch, rows, cols), 0 where nothing is known.
    """
    known = (weight > 0).to(logits.dtype)
    parts = [
        weighted_bce(logits[:, channel], target[:, channel], weight)
        + dice(logits[:, channel], target[:, channel], known)
        for channel in range(logits.shape[1])
    ]
    return torch.stack(parts).sum()
