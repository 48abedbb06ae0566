"""Probabilities of a network's channels as whole numbers, by what the channels mean."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from pipeline.core.quantise import quantised, quantised_shares
from pipeline.models.card import Outputs


def quantised_channels(
    probability: Float32[np.ndarray, "channels ..."],
    valid: Bool[np.ndarray, ...],
    outputs: Outputs,
) -> UInt8[np.ndarray, "channels ..."]:
    """Quantise the classes, then the separating channels: 0..250, and 255 where not valid.

    Classes of a softmax are rounded so that they sum to 250 with the background.
    """
    if not outputs.shares:
        return quantised(probability, valid)
    classes = len(outputs.classes)
    shares = quantised_shares(probability[:classes], valid)
    if len(probability) == classes:
        return shares
    return np.concatenate([shares, quantised(probability[classes:], valid)])
