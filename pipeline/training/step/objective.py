"""Losses by name, for networks of any kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.training.config import LossConfig
from pipeline.training.step.losses import (
    bce_dice,
    dice,
    focal,
    lovasz_hinge,
    lovasz_softmax,
    overlap,
    tversky,
    weighted_bce,
    weighted_mean,
)

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def loss_of(config: LossConfig, *, classes: int = 1) -> Loss:
    """Return the loss of logits, target and weight that a config names.

    ::

        logits  (batch, [background,] classes..., [interior,] rows, cols)
        target  (batch,               classes..., [interior,] rows, cols), 0 or 1
        weight  (batch, rows, cols), 0 where nothing is known

    Background is a channel of its own with ``config.softmax`` alone. Volumes have an axis more.

    Args:
        config: Which loss, and what its parts count.
        classes: How many channels of the target are classes.

    Raises:
        ValueError: There are class weights, but not one a class.
    """
    if len(config.class_weights) not in (0, classes):
        raise ValueError(
            f"loss.class_weights has {len(config.class_weights)} numbers for {classes} classes: "
            "give one a class, or none"
        )
    shares = config.class_weights or (1.0,) * classes
    one = _of_channel(config)

    def channels(logits: Tensor, target: Tensor, weight: Tensor, counts: Sequence[float]) -> Tensor:
        parts = [
            share * one(logits[:, channel], target[:, channel], weight)
            for channel, share in enumerate(counts)
        ]
        return torch.stack(parts).sum() if parts else logits.new_zeros(())

    def whole(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        interiors = (config.interior_weight,) * (target.shape[1] - classes)
        if not config.softmax:
            return channels(logits, target, weight, (*shares, *interiors))
        first = classes + 1
        kinds = _of_classes(config, shares, logits[:, :first], target[:, :classes], weight)
        return kinds + channels(logits[:, first:], target[:, classes:], weight, interiors)

    return whole


def _of_channel(config: LossConfig) -> Loss:
    """Return the loss of one channel with a sigmoid of its own."""
    losses: dict[str, Loss] = {
        "bce": weighted_bce,
        "dice": dice,
        "bce_dice": bce_dice,
        "focal": partial(focal, gamma=config.focal_gamma, alpha=config.focal_alpha),
        "tversky": partial(tversky, false=config.tversky_false, missed=config.tversky_missed),
        "lovasz": partial(lovasz_hinge, soft=config.lovasz_soft),
    }
    return losses[config.name]


def _of_classes(
    config: LossConfig, shares: Sequence[float], logits: Tensor, target: Tensor, weight: Tensor
) -> Tensor:
    """Return the loss of classes that exclude each other; the background's logits come first.

    Entropies weigh each pixel by its class, as the U-Net paper's class weights do; areas
    are compared class by class, and their losses averaged by the same weights. Background
    is no class of `dice` and `tversky`.
    """
    truth = torch.cat([(target.sum(dim=1, keepdim=True) == 0).to(target.dtype), target], dim=1)
    counts = torch.tensor((1.0, *shares), dtype=logits.dtype, device=logits.device)
    each = weight * (truth * counts.reshape(-1, *[1] * (truth.ndim - 2))).sum(dim=1)
    log_p = functional.log_softmax(logits, dim=1)
    entropy = -(truth * log_p).sum(dim=1)
    if config.name == "bce":
        return weighted_mean(entropy, each)
    if config.name == "focal":
        sure = (truth * log_p).sum(dim=1).exp()
        return weighted_mean(entropy * (1.0 - sure).pow(config.focal_gamma), each)
    p = log_p.exp()
    if config.name == "lovasz":
        # A class that is nowhere has no Jaccard index: any p would count as all wrong.
        there = (truth * (weight > 0)[:, None]).flatten(2).sum(dim=(0, 2)) > 0
        parts = [lovasz_softmax(p[:, k], truth[:, k], weight) for k in range(len(counts))]
        used = counts * there
        found: Tensor = (torch.stack(parts) * used).sum() / used.sum().clamp_min(1e-12)
        return found
    false, missed = (
        (config.tversky_false, config.tversky_missed) if config.name == "tversky" else (0.5, 0.5)
    )
    areas = torch.stack(
        [
            overlap(p[:, k], truth[:, k], weight, false=false, missed=missed)
            for k in range(1, len(counts))
        ]
    )
    area: Tensor = (areas * counts[1:]).sum() / counts[1:].sum()
    if config.name == "bce_dice":
        area = area + weighted_mean(entropy, each)
    return area


def loss_at(config: LossConfig, *, step: int, steps: int, classes: int = 1) -> Loss:
    """Return the loss of a step: the last ones may have another."""
    late = config.finish is not None and step >= steps - config.finish_steps
    named = config.model_copy(update={"name": config.finish}) if late else config
    return loss_of(named, classes=classes)


def loss_of_outputs(
    loss: Loss,
    outputs: Tensor | Sequence[Tensor],
    target: Tensor,
    weight: Tensor,
    *,
    coarse: Sequence[float] = (),
) -> Tensor:
    """Return the loss of an output, or of all outputs of a network with deep supervision.

    The first one counts 1, the k-th coarser one ``coarse[k - 1]``, or ``2 ** -k``.

    Args:
        loss: Of logits, target and weight.
        outputs: (batch, channels, ...) logits; one, or the finest first. Valid
            convolutions answer for the middle only.
        target: (batch, channels, ...), 0 or 1.
        weight: (batch, ...), 0 where nothing is known.
        coarse: See above.

    Raises:
        ValueError: It has not as many numbers as there are coarser outputs.
    """
    if isinstance(outputs, Tensor):
        outputs = [outputs]
    parts = [
        loss(output.float(), central_part(target, output), central_part(weight, output))
        for output in outputs
    ]
    if len(parts) == 1:
        return parts[0]
    if coarse and len(coarse) != len(parts) - 1:
        raise ValueError(
            f"loss.coarse has {len(coarse)} numbers for {len(parts) - 1} coarser outputs: "
            "give one each, or none"
        )
    shares = (1.0, *(coarse or (2.0**-k for k in range(1, len(parts)))))
    weighed = [part * share for part, share in zip(parts, shares, strict=True)]
    total: Tensor = torch.stack(weighed).sum() / sum(shares)
    return total


def central_part(truth: Tensor, output: Tensor) -> Tensor:
    """Return the part of a truth that an answer (batch, channels, ...) is about."""
    for axis in range(1, output.ndim - 1):
        edge = output.shape[-axis]
        truth = truth.narrow(-axis, (truth.shape[-axis] - edge) // 2, edge)
    return truth


def probabilities(logits: Tensor, config: LossConfig, *, classes: int) -> Tensor:
    """Return a probability a class, then a channel the rest; background has none.

    Args:
        logits: (batch, channels, ...), see `loss_of`.
        config: Whether classes exclude each other.
        classes: How many there are.
    """
    if not config.softmax:
        return torch.sigmoid(logits)
    shares = logits[:, : classes + 1].softmax(dim=1)[:, 1:]
    return torch.cat([shares, logits[:, classes + 1 :].sigmoid()], dim=1)
