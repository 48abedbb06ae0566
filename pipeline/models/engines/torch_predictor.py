"""Prediction with torch, on the CPU or on a CUDA device."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Bool, Float32, Shaped
from torch import nn

from pipeline.errors import ModelError
from pipeline.models.card import ModelCard
from pipeline.models.engines.forward import forward
from pipeline.models.engines.torch_activation import activate
from pipeline.models.predictor import Predictor, Stretch
from pipeline.models.restore import restore_network
from pipeline.models.sizes import remainder


class TorchPredictor:
    """A network on a device, with its card's normalisation around it.

    Raw pixels are sent to the device in their own dtype and normalised there. All is
    float32 and TF32 is off, so that devices and tile sizes agree within 1e-5. In bfloat16
    probabilities of the shipped buildings model move by up to 0.56 (an H100, 7 Mpx).
    """

    def __init__(
        self,
        card: ModelCard,
        tensors: Mapping[str, torch.Tensor],
        *,
        device: str = "cpu",
    ) -> None:
        """Build the network and put it on the device: ``cpu`` or ``cuda``.

        Raises:
            ModelError: The weights do not fit the network that the card names.
        """
        network = restore_network(card, tensors)
        if any(isinstance(module, nn.Conv3d) for module in network.modules()):
            raise ModelError(f"model {card.name!r} sees volumes, not pictures")
        self._card = card
        self._device = torch.device(device)
        self._network = network.to(self._device).to(memory_format=torch.channels_last)
        shape = (1, -1, 1, 1)
        self._mean = torch.tensor(card.inputs.mean, device=self._device).reshape(shape)
        self._std = torch.tensor(card.inputs.std, device=self._device).reshape(shape)
        if self._device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = False
            torch.backends.cudnn.allow_tf32 = False

    @property
    def card(self) -> ModelCard:
        """What is known of the model."""
        return self._card

    @property
    def engine(self) -> str:
        """Library, device, precision and threads."""
        name = self._device.type
        if name == "cuda":
            name = torch.cuda.get_device_name(self._device)
        threads = torch.get_num_threads() if self._device.type == "cpu" else 0
        return f"torch {torch.__version__} {name} float32 threads {threads}"

    def predict(
        self,
        pixels: Shaped[np.ndarray, "bands rows cols"],
        valid: Bool[np.ndarray, "rows cols"],
        stretch: Stretch,
    ) -> Float32[np.ndarray, "channels rows cols"]:
        """Return probabilities of the classes, then the separating channels."""
        with torch.inference_mode():
            network_input = self._normalised(pixels, valid, stretch)
            predictions = activate(self._logits(network_input), self._card)
            if self._card.flip:
                turned = activate(self._logits(network_input.flip(3)), self._card)
                predictions = (predictions + turned.flip(2)) / 2
            probability = predictions.cpu().numpy()
        if not np.isfinite(probability).all():
            raise ModelError(f"model {self._card.name!r} gives values that are not finite")
        return np.ascontiguousarray(probability, np.float32)

    def _normalised(
        self,
        pixels: Shaped[np.ndarray, "bands rows cols"],
        valid: Bool[np.ndarray, "rows cols"],
        stretch: Stretch,
    ) -> torch.Tensor:
        if pixels.dtype.name not in {"uint8", "int16", "float32"}:
            with np.errstate(over="ignore"):  # 1e300 is infinite, and clamped below
                pixels = pixels.astype(np.float32)
        sent = torch.from_numpy(np.ascontiguousarray(pixels))
        if self._device.type == "cuda":
            sent = sent.pin_memory()
        values = sent.to(self._device, non_blocking=True).float()[None]
        values = ((values - stretch.low) / (stretch.high - stretch.low)).clamp_(0, 1)
        values = (values - self._mean) / self._std
        if not valid.all():
            here = torch.from_numpy(valid).to(self._device)
            values = torch.where(here, values, torch.zeros((), device=self._device))
        return values.contiguous(memory_format=torch.channels_last)

    def _logits(self, values: torch.Tensor) -> torch.Tensor:
        cut = self._cut(values)
        try:
            return self._forward(values)
        except torch.OutOfMemoryError:
            if cut is None:
                raise
        # Only here, past the except clause, are the layers of the failed attempt let go of.
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        return self._halves(values, *cut)

    def _cut(self, values: torch.Tensor) -> tuple[int, int, int] | None:
        """Return axis, middle and halo where two halves are smaller than the whole."""
        network = self._card.network
        if network.rf_radius is None:
            return None
        axis = 2 if values.shape[2] >= values.shape[3] else 3
        halo = -(-network.rf_radius // network.stride) * network.stride
        middle = values.shape[axis] // 2 // network.stride * network.stride
        return None if middle <= halo else (axis, middle, halo)

    def _halves(self, values: torch.Tensor, axis: int, middle: int, halo: int) -> torch.Tensor:
        """Predict two overlapping halves of a tile that is too large for the device.

        ::

            |---------- tile ----------|
            |--- first ---|halo|             each half sees the halo beyond the cut,
                   |halo|--- second ---|     so that its own side of it is exact
        """
        rest = values.shape[axis] - middle
        first = self._logits(values.narrow(axis, 0, middle + halo))
        second = self._logits(values.narrow(axis, middle - halo, rest + halo))
        return torch.cat([first.narrow(axis, 0, middle), second.narrow(axis, halo, rest)], dim=axis)

    def _forward(self, values: torch.Tensor) -> torch.Tensor:
        # Valid convolutions answer for the middle only, and take legal sizes only: without the
        # first rows and columns, as many as are lacking, the tile is legal.
        skipped = -remainder(self._card) % self._card.network.stride
        values = values[:, :, skipped:, skipped:]
        rows, cols = values.shape[2:]
        size = self._card.network.size
        if size is not None:
            if max(rows, cols) > size:
                raise ModelError(
                    f"model {self._card.name!r} takes tiles of {size} px, not {rows} x {cols}"
                )
            # Smaller tiles lie in the corner of the only size it takes, beside the mean colour.
            values = nn.functional.pad(values, (0, size - cols, 0, size - rows))
        logits = forward(self._network, values, self._card)
        if size is not None:
            return logits[:, :, :rows, :cols]
        margin = (values.shape[2] - logits.shape[2]) // 2
        if not margin:
            return logits
        return nn.functional.pad(logits, (margin + skipped, margin, margin + skipped, margin))


_: type[Predictor] = TorchPredictor
