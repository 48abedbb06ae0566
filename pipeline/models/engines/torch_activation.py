"""Activation of logits to probabilities, by the card."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.errors import ModelError
from pipeline.models.card import ModelCard


def activate(logits: Tensor, card: ModelCard) -> Tensor:
    """Return the probabilities of the classes, then the separating channels.

    Args:
        logits: (1, channels, ...), of pictures or volumes.
        card: The model card.

    Returns:
        (classes and separating channels, ...), 0..1; softmax's background is left out.

    Raises:
        ModelError: There are other channels than the card states.
    """
    outputs = card.outputs
    if logits.shape[1] != outputs.channels:
        raise ModelError(
            f"model {card.name!r} gives {logits.shape[1]} channels, "
            f"its card states {outputs.channels}"
        )
    if outputs.activation == "none":
        return logits[0].clamp(0, 1)
    if outputs.activation == "sigmoid":
        return logits[0].sigmoid()
    classes = len(outputs.classes) + 1
    shares = logits[0, :classes].softmax(dim=0)[1:]
    return torch.cat([shares, logits[0, classes:].sigmoid()])
