"""Prediction on the CPU with a network that takes and returns arrays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float32, Shaped

from pipeline.errors import ModelError
from pipeline.models.card import ModelCard
from pipeline.models.engines.activation import activate_logits
from pipeline.models.predictor import Predictor, Stretch
from pipeline.models.sizes import remainder

Batch = Float32[np.ndarray, "1 channels rows cols"]
Network = Callable[[Batch], Batch]
"""Normalised pixels in, logits out; raises ModelError for inputs that it does not take."""


class NetworkPredictor:
    """A network with its card's normalisation around it, in float32 on the CPU."""

    def __init__(self, card: ModelCard, network: Network, *, engine: str) -> None:
        """Wrap a network.

        Args:
            card: Its card.
            network: Runs it.
            engine: Library, version, device, precision and threads.
        """
        if card.network.dims == 3:
            raise ModelError(f"model {card.name!r} sees volumes, not pictures")
        self._card, self._network, self._engine = card, network, engine
        shape = (-1, 1, 1)
        self._mean = np.array(card.inputs.mean, np.float32).reshape(shape)
        self._std = np.array(card.inputs.std, np.float32).reshape(shape)

    @property
    def card(self) -> ModelCard:
        """The model card."""
        return self._card

    @property
    def engine(self) -> str:
        """Library, device, precision and threads."""
        return self._engine

    def predict(
        self,
        pixels: Shaped[np.ndarray, "bands rows cols"],
        valid: Bool[np.ndarray, "rows cols"],
        stretch: Stretch,
    ) -> Float32[np.ndarray, "channels rows cols"]:
        """Return probabilities of the classes, then the separating channels."""
        values = self._normalised(pixels, valid, stretch)
        found = activate_logits(self._logits(values), self._card)
        if self._card.flip:
            turned = self._logits(np.ascontiguousarray(values[:, :, ::-1]))
            found = (found + activate_logits(turned, self._card)[:, :, ::-1]) / 2
        if not np.isfinite(found).all():
            raise ModelError(f"model {self._card.name!r} gives values that are not finite")
        return np.ascontiguousarray(found, np.float32)

    def _normalised(
        self,
        pixels: Shaped[np.ndarray, "bands rows cols"],
        valid: Bool[np.ndarray, "rows cols"],
        stretch: Stretch,
    ) -> Float32[np.ndarray, "bands rows cols"]:
        """Compute ``(clip((v - low) / (high - low), 0, 1) - mean) / std``; 0 where not valid."""
        low, high = np.float32(stretch.low), np.float32(stretch.high)
        # 1e300 is infinite in float32, and clamped.
        with np.errstate(over="ignore", invalid="ignore"):
            values = pixels.astype(np.float32)
            values -= low
            values /= np.float32(stretch.high - stretch.low) if high > low else high - low
        np.clip(values, 0, 1, out=values)
        values -= self._mean
        values /= self._std
        if not valid.all():
            values[:, ~valid] = 0
        return values

    def _logits(
        self, values: Float32[np.ndarray, "bands rows cols"]
    ) -> Float32[np.ndarray, "channels rows cols"]:
        # Valid convolutions predict the middle only, and take legal sizes only: without the
        # first rows and columns, as many as are lacking, the tile is legal.
        card = self._card
        skipped = -remainder(card) % card.network.stride
        values = values[:, skipped:, skipped:]
        rows, cols = values.shape[1:]
        size = card.network.size
        if size is not None:
            if max(rows, cols) > size:
                raise ModelError(
                    f"model {card.name!r} takes tiles of {size} px, not {rows} x {cols}"
                )
            # Smaller tiles lie in the corner of the only size it takes, beside the mean colour.
            values = np.pad(values, ((0, 0), (0, size - rows), (0, size - cols)))
        logits: Float32[np.ndarray, "channels rows cols"]
        logits = self._network(np.ascontiguousarray(values[None]))[0]
        if size is not None:
            return logits[:, :rows, :cols]
        margin = (values.shape[1] - logits.shape[1]) // 2
        if not margin:
            return logits
        edge = (margin + skipped, margin)
        padded: Float32[np.ndarray, "channels rows cols"] = np.pad(logits, ((0, 0), edge, edge))
        return padded


_: type[Predictor] = NetworkPredictor
