"""Probabilities as whole numbers, so that sums never depend on their order.

``q = round(250 p)``, one byte: 0..250, and 255 where there is no data. The mask is
``q >= round(250 t)``: what stands in the files decides, not what was before.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32, UInt8

STEPS = 250
"""Quantised value of probability 1."""
SCALE = 1 / STEPS
"""Probability of one step: 0.004."""
NODATA = 255
"""Marks pixels without data, in the probability raster and in the mask."""


def quantised(
    probability: Float32[np.ndarray, "... rows cols"], valid: Bool[np.ndarray, "rows cols"]
) -> UInt8[np.ndarray, "... rows cols"]:
    """Return probabilities in 0..1 as 0..250, and 255 where not valid."""
    steps = np.rint(probability * np.float32(STEPS)).astype(np.uint8)
    steps[..., ~valid] = NODATA
    return steps


def quantised_threshold(threshold: float) -> int:
    """Return the least quantised value that counts as inside.

    Raises:
        ValueError: The threshold is not above 0 and at most 1.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"a threshold lies above 0 and at most at 1, not at {threshold}")
    return max(1, round(threshold * STEPS))


def classified(
    probability: UInt8[np.ndarray, "classes rows cols"], *, threshold: int
) -> UInt8[np.ndarray, "rows cols"]:
    """Return the mask: 0 background, ``k`` the k-th class, 255 no data.

    A pixel belongs to its most probable class (the first of equals) where that
    reaches ``threshold``, in quantised steps.
    """
    best = probability.max(axis=0)
    label: UInt8[np.ndarray, "rows cols"] = probability.argmax(axis=0).astype(np.uint8)
    label += np.uint8(1)
    label[best < threshold] = 0
    label[best == NODATA] = NODATA
    return label
