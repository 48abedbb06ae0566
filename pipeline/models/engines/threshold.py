"""The fake among the models: a pixel's own brightness is its probability.

It needs no torch and looks nowhere but at the pixel itself, so that everything around
a model can be tried on scenes of any size and kind.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32, Shaped

from pipeline.models.card import Class, Inputs, ModelCard, Network, Outputs, Terms
from pipeline.models.predictor import Predictor, Stretch

CARD = ModelCard(
    name="threshold",
    network=Network(architecture="threshold", stride=1, rf_radius=0),
    inputs=Inputs(bands=("any",), mean=(0.0,), std=(1.0,)),
    outputs=Outputs(classes=(Class(name="bright", colour="#e6550d"),), activation="none"),
    bytes_per_pixel=24.0,
    pixels_per_s=5e7,
    terms=Terms(license="Apache-2.0"),
    sha256="0" * 64,
)


class Threshold:
    """Probability = value of the first band, stretched to 0..1."""

    card = CARD
    engine = "threshold"

    def predict(
        self,
        pixels: Shaped[np.ndarray, "bands rows cols"],
        valid: Bool[np.ndarray, "rows cols"],
        stretch: Stretch,
    ) -> Float32[np.ndarray, "channels rows cols"]:
        """Return the first band between ``stretch.low`` and ``stretch.high`` as 0..1."""
        scale = np.float32(1 / (stretch.high - stretch.low))
        # What is not valid may be -3.4e38, and what is valid too large for single precision.
        with np.errstate(over="ignore", invalid="ignore"):
            share = (pixels[:1].astype(np.float32) - np.float32(stretch.low)) * scale
        return np.clip(np.where(valid, share, np.float32(0)), 0, 1)


_: type[Predictor] = Threshold
