"""A network's forward pass, whose faults are the model's, not the scene's."""

from __future__ import annotations

from collections.abc import Callable

import torch

from pipeline.errors import ModelError
from pipeline.models.card import ModelCard

FAULTS = (RuntimeError, ValueError, TypeError, IndexError, AssertionError)
"""What networks raise for inputs that they do not take."""


def forward(
    network: Callable[[torch.Tensor], torch.Tensor], values: torch.Tensor, card: ModelCard
) -> torch.Tensor:
    """Return a network's logits.

    Raises:
        ModelError: It does not take the inputs that its card states: as many bands, or sizes
            that are multiples of the stride.
        torch.OutOfMemoryError, RuntimeError: The device's memory is full.
    """
    try:
        return network(values).float()
    except FAULTS as error:
        if isinstance(error, torch.OutOfMemoryError) or "memory" in str(error).lower():
            raise
        shape = " x ".join(map(str, values.shape[2:]))
        reason = " ".join(str(error).split())[:300]
        raise ModelError(
            f"model {card.name!r} cannot predict {values.shape[1]} bands of {shape} px, which its "
            f"card states (bands, stride, size): {reason}"
        ) from error
