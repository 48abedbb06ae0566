"""How wrong a prediction is, where pixels carry weights and each class has its own sigmoid.

All take logits and targets of 0 or 1 of one shape, and a weight a pixel: 0 where nothing is
known. Those that compare areas (Dice, Tversky, Lovász) ask only whether it is 0. Pixels may be
voxels: sums go over whatever axes there are.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SMOOTH = 1.0
"""Pixels added to both areas, so that nothing on nothing is right."""


def weighted_bce(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return the mean binary cross-entropy, each pixel counted ``weight`` times.

    Args:
        logits: Any shape, before the sigmoid.
        target: 0 or 1, the same shape.
        weight: 0 where nothing is known, the same shape.
    """
    loss = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return weighted_mean(loss, weight)


def focal(
    logits: Tensor,
    target: Tensor,
    weight: Tensor,
    *,
    gamma: float = 2.0,
    alpha: float | None = None,
) -> Tensor:
    """Return the mean of ``a (1 - p)^gamma (-log p)``, p the probability of what is true.

    Args:
        logits: Any shape, before the sigmoid.
        target: 0 or 1, the same shape.
        weight: 0 where nothing is known, the same shape.
        gamma: How fast what is nearly right is forgotten.
        alpha: ``a`` where the target is 1, and 1 less it where it is 0; 1 for both without.

    Source: Lin et al. 2017, equation 5.
    """
    loss = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    # 1 - p is the sigmoid of the margin turned round: exact where p is nearly 1.
    loss = loss * torch.sigmoid(logits * (1.0 - 2.0 * target)).pow(gamma)
    if alpha is not None:
        loss = loss * (alpha * target + (1.0 - alpha) * (1.0 - target))
    return weighted_mean(loss, weight)


def weighted_mean(loss: Tensor, weight: Tensor) -> Tensor:
    """Return the mean over the weights; 0 where all are."""
    return (loss * weight).sum() / weight.sum().clamp_min(1.0)


def overlap(
    probability: Tensor, target: Tensor, weight: Tensor, *, false: float, missed: float
) -> Tensor:
    """Return ``1 - (tp + s) / (tp + false fp + missed fn + s)``, summed over known pixels.

    Over the whole batch: a crop without objects has no such number of its own.

    Args:
        probability: Any shape, 0 to 1.
        target: 0 or 1, the same shape.
        weight: 0 where nothing is known, the same shape.
        false: What false positives count.
        missed: What false negatives count.

    Source: Salehi et al. 2017, equation 4; 1/2 and 1/2 is Dice.
    """
    known = (weight > 0).to(probability.dtype)
    own, truth = probability * known, target * known
    both = (own * truth).sum()
    other = false * (own.sum() - both) + missed * (truth.sum() - both)
    spare = SMOOTH * (false + missed) / 2
    return 1.0 - (both + spare) / (both + other + spare).clamp_min(1e-12)


def dice(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return ``1 - (2 sum(p g) + 1) / (sum p + sum g + 1)`` over the known pixels."""
    return overlap(logits.sigmoid(), target, weight, false=0.5, missed=0.5)


def tversky(
    logits: Tensor, target: Tensor, weight: Tensor, *, false: float, missed: float
) -> Tensor:
    """Return `overlap` of the sigmoid: Dice where false and missed pixels count differently."""
    return overlap(logits.sigmoid(), target, weight, false=false, missed=missed)


def bce_dice(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return BCE + Dice."""
    return weighted_bce(logits, target, weight) + dice(logits, target, weight)


def lovasz_hinge(logits: Tensor, target: Tensor, weight: Tensor, *, soft: bool = True) -> Tensor:
    """Return the Lovász hinge of each image or volume, averaged over them.

    It is the convex extension of ``1 - IoU``: errors sorted downwards, each weighed by what
    it adds to the Jaccard loss.

    Args:
        logits: (batch, ...), before the sigmoid.
        target: The same shape, 0 or 1.
        weight: The same shape, 0 where nothing is known.
        soft: ``elu + 1`` instead of the hinge: keeps a slope where a pixel is right.

    Source: Berman et al. 2018, algorithm 1 and section 3.1.
    """
    margin = 1.0 - logits.flatten(1) * (2.0 * target.flatten(1) - 1.0)
    errors = functional.elu(margin) + 1.0 if soft else functional.relu(margin)
    return _extended(errors, target.flatten(1), weight.flatten(1) > 0).mean()


def lovasz_softmax(probability: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return the Lovász extension of the Jaccard loss of one class, over the whole batch.

    Args:
        probability: (batch, ...), 0 to 1.
        target: The same shape, 1 where the class is.
        weight: The same shape, 0 where nothing is known.

    Source: Berman et al. 2018, equation 11.
    """
    errors = (target - probability).abs().reshape(1, -1)
    return _extended(errors, target.reshape(1, -1), weight.reshape(1, -1) > 0).sum()


def _extended(errors: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """Return the Lovász extension of the Jaccard loss of each row, (rows, pixels) to (rows,)."""
    # What is unknown comes last and weighs nothing.
    errors = torch.where(known, errors, torch.zeros_like(errors))
    ordered, order = errors.masked_fill(~known, -1.0).sort(dim=1, descending=True)
    truth = torch.gather(target * known, 1, order)
    counted = torch.gather(known.to(truth.dtype), 1, order)
    total = truth.sum(dim=1, keepdim=True)
    both = total - truth.cumsum(dim=1)
    either = total + ((1.0 - truth) * counted).cumsum(dim=1)
    jaccard = 1.0 - both / either.clamp_min(1.0)
    steps = torch.cat([jaccard[:, :1], jaccard[:, 1:] - jaccard[:, :-1]], dim=1)
    return (ordered * steps * counted).sum(dim=1)
