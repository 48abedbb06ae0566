"""Predictors: pixels in, probabilities out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Shaped

from pipeline.models.card import ModelCard


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Which values of a scene become 0 and 1; the same for every tile."""

    low: float
    """Value that becomes 0; lower ones too."""
    high: float
    """Value that becomes 1; higher ones too."""


@runtime_checkable
class Predictor(Protocol):
    """A model that is loaded and ready; used by one thread at a time."""

    @property
    def card(self) -> ModelCard:
        """What is known of the model."""
        ...

    @property
    def engine(self) -> str:
        """What else the last bits depend on: library, device, precision, threads."""
        ...

    def predict(
        self,
        pixels: Shaped[np.ndarray, "bands rows cols"],
        valid: Bool[np.ndarray, "rows cols"],
        stretch: Stretch,
    ) -> Float32[np.ndarray, "channels rows cols"]:
        """Return probabilities of the classes, then the separating channels.

        Args:
            pixels: A tile in the scene's dtype, bands in the card's order, both sides
                multiples of the network's stride.
            valid: Where they are valid; elsewhere the network sees its mean colour.
            stretch: Which values become 0 and 1.

        Returns:
            Probabilities in 0..1; those nearer than the network's rf_radius to the tile's
            edge depend on what lies outside and are not to be used.

        Raises:
            ModelError: The network's answer is not finite.
        """
        ...
