"""The metric of the TGS Salt Identification Challenge."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""IoU thresholds 0.50, 0.55, ... 0.95."""


def salt_scores(
    shared: Float64[np.ndarray, " images"],
    predicted: Float64[np.ndarray, " images"],
    reference: Float64[np.ndarray, " images"],
) -> Float64[np.ndarray, " images"]:
    """Return the score of each image: the share of thresholds that its IoU exceeds.

    By the challenge's rule an image without salt scores 1 where none was
    predicted and 0 otherwise.

    Args:
        shared: Pixels of salt in both masks.
        predicted: Pixels of salt predicted.
        reference: Pixels of salt in reference.
    """
    whole = predicted + reference - shared
    iou = np.divide(shared, whole, out=np.ones_like(whole), where=whole > 0)
    # A hair of slack: 0.55 of 0.5:0.05:0.95 is not exactly 11/20.
    return np.asarray((iou[:, None] > THRESHOLDS[None, :] + 1e-9).mean(axis=1))
