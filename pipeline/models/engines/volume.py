"""Predicting volumes with torch: blocks of voxels in, probabilities out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float32

from pipeline.errors import ModelError
from pipeline.models.card import ModelCard
from pipeline.models.engines.forward import forward
from pipeline.models.engines.torch_activation import activate
from pipeline.models.predictor import Stretch
from pipeline.models.restore import restore_network


class VolumePredictor:
    """A network of volumes on a device, with its card's normalisation around it.

    Computes in float32 with TF32 off, so that blocks of any size agree within 1e-5.
    """

    def __init__(
        self, card: ModelCard, tensors: Mapping[str, torch.Tensor], *, device: str = "cpu"
    ) -> None:
        """Build the network and put it on the device: ``cpu`` or ``cuda``.

        Raises:
            ModelError: The weights do not fit the network that the card names.
        """
        self.card = card
        self._device = torch.device(device)
        self._network = restore_network(card, tensors).to(self._device)
        shape = (1, -1, 1, 1, 1)
        self._mean = torch.tensor(card.inputs.mean, device=self._device).reshape(shape)
        self._std = torch.tensor(card.inputs.std, device=self._device).reshape(shape)
        if self._device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = False
            torch.backends.cudnn.allow_tf32 = False

    @property
    def engine(self) -> str:
        """Library, device, precision and threads."""
        if self._device.type == "cuda":
            return f"torch {torch.__version__} {torch.cuda.get_device_name(self._device)} float32"
        return f"torch {torch.__version__} cpu float32 threads {torch.get_num_threads()}"

    def predict(
        self, voxels: Float32[np.ndarray, "inlines crosslines samples"], stretch: Stretch
    ) -> Float32[np.ndarray, "classes inlines crosslines samples"]:
        """Return the probabilities of the classes.

        Args:
            voxels: Amplitudes of a block, its sides multiples of the stride; those that are
                not finite are no data: the network sees its mean there.
            stretch: Which amplitudes become 0 and 1.

        Raises:
            ModelError: The prediction is not finite, has other channels than the card states, or
                the block is too large for the device.
        """
        try:
            with torch.inference_mode():
                logits = forward(self._network, self._normalised(voxels, stretch), self.card)
                probability = activate(logits, self.card).cpu().numpy()
        except torch.OutOfMemoryError as error:
            raise ModelError(
                f"a block of {voxels.shape} voxels is too large for the device; give a smaller "
                "--tile"
            ) from error
        if not np.isfinite(probability).all():
            raise ModelError(f"model {self.card.name!r} gives values that are not finite")
        return np.ascontiguousarray(probability, np.float32)

    def _normalised(
        self, voxels: Float32[np.ndarray, "inlines crosslines samples"], stretch: Stretch
    ) -> torch.Tensor:
        values = torch.from_numpy(np.ascontiguousarray(voxels)).to(self._device)[None, None]
        values = values.expand(-1, len(self.card.inputs.bands), -1, -1, -1)
        return normalise_amplitudes(values, stretch, self._mean, self._std)


def normalise_amplitudes(
    values: torch.Tensor, stretch: Stretch, mean: torch.Tensor | float, std: torch.Tensor | float
) -> torch.Tensor:
    """Return amplitudes as a network sees them, when it is trained and when it maps.

    ::

        (clip((v - low) / (high - low), 0, 1) - mean) / std

    Args:
        values: Amplitudes, of any shape; those that are not finite become 0: the mean.
        stretch: Which of them become 0 and 1.
        mean: Subtracted from each channel once it lies in 0..1.
        std: Then divided by.
    """
    scaled = ((values - stretch.low) / (stretch.high - stretch.low)).clamp_(0, 1)
    return torch.where(values.isfinite(), (scaled - mean) / std, 0.0)
