"""Activation of logits to activate_logits on the CPU, by the card."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from pipeline.errors import ModelError
from pipeline.models.card import ModelCard

Values = Float32[np.ndarray, "..."]


def activate_logits(logits: Values, card: ModelCard) -> Values:
    """Return the activate_logits of the classes, then the separating channels.

    Args:
        logits: (channels, ...) of pictures or volumes; may be overwritten.
        card: The model card.

    Returns:
        (classes and separating channels, ...), 0..1; softmax's background is left out.

    Raises:
        ModelError: There are other channels than the card states.
    """
    outputs = card.outputs
    if len(logits) != outputs.channels:
        raise ModelError(
            f"model {card.name!r} gives {len(logits)} channels, its card states {outputs.channels}"
        )
    if outputs.activation == "none":
        return np.asarray(np.clip(logits, 0, 1))
    if outputs.activation == "sigmoid":
        return _sigmoid(logits)
    classes = len(outputs.classes) + 1
    shares = logits[:classes]
    # A tile without numbers stays without: the predictor refuses it.
    with np.errstate(invalid="ignore"):
        shares = np.exp(shares - shares.max(axis=0))
    shares /= shares.sum(axis=0)
    return np.concatenate([shares[1:], _sigmoid(logits[classes:])])


def _sigmoid(logits: Values) -> Values:
    """Compute ``1 / (1 + exp(-x))``; exp overflows to infinity below -88, and gives 0."""
    with np.errstate(over="ignore"):
        found = np.exp(-logits)
    found += 1
    return np.asarray(np.reciprocal(found, out=found))
