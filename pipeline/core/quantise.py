"""Probabilities as whole numbers, so that sums never depend on their order.

``q = round(250 p)``, one byte: 0..250, and 255 where there is no data. The mask is
``q >= round(250 t)``: what stands in the files decides, not what was before.

Classes of a softmax share the probability with the background, which has no channel in the
files: they are rounded by largest remainders, so that the background is ``250 - sum(q)``, and
the mask is the arg max over both.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8

STEPS = 250
"""Quantised value of probability 1."""
SCALE = 1 / STEPS
"""Probability of one step: 0.004."""
NODATA = 255
"""Marks pixels without data, in the probability raster and in the mask."""


def quantised(
    probability: Float32[np.ndarray, "channels ..."], valid: Bool[np.ndarray, ...]
) -> UInt8[np.ndarray, "channels ..."]:
    """Return probabilities in 0..1 as 0..250, and 255 where not valid."""
    steps = np.rint(probability * np.float32(STEPS)).astype(np.uint8)
    steps[:, ~valid] = NODATA
    return steps


def quantised_shares(
    probability: Float32[np.ndarray, "classes ..."], valid: Bool[np.ndarray, ...]
) -> UInt8[np.ndarray, "classes ..."]:
    """Quantise the class probabilities of a softmax so that they sum to 250 with the background.

    Largest-remainder rounding: every value is rounded down, and the steps that are missing to
    250 go to the largest remainders, of equal ones to the background first, then to the first
    class. No value, the background's included, moves by a whole step or more.

    Returns:
        0..250, and 255 where not valid. The background is 250 less their sum.
    """
    scaled = np.clip(probability.astype(np.float64), 0, 1) * STEPS
    background = np.maximum(STEPS - scaled.sum(axis=0, keepdims=True), 0)
    shares = np.concatenate([background, scaled])
    shares *= STEPS / shares.sum(axis=0)
    steps = np.floor(shares)
    missing = STEPS - steps.sum(axis=0)
    order = np.argsort(steps - shares, axis=0, kind="stable")
    rank = np.argsort(order, axis=0, kind="stable")
    found: UInt8[np.ndarray, "classes ..."] = (steps + (rank < missing))[1:].astype(np.uint8)
    found[:, ~valid] = NODATA
    return found


def background_of(
    probability: UInt8[np.ndarray, "classes ..."],
) -> Int64[np.ndarray, ...]:
    """Compute the quantised probability of the background from those of a softmax's classes."""
    return np.asarray(np.maximum(STEPS - probability.sum(axis=0, dtype=np.int64), 0), np.int64)


def quantised_threshold(threshold: float) -> int:
    """Return the least quantised value that counts as inside.

    Raises:
        ValueError: The threshold is not above 0 and at most 1.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"a threshold lies above 0 and at most at 1, not at {threshold}")
    return max(1, round(threshold * STEPS))


def classified(
    probability: UInt8[np.ndarray, "classes rows cols"], *, threshold: int, shares: bool = False
) -> UInt8[np.ndarray, "rows cols"]:
    """Return the mask: 0 background, ``k`` the k-th class, 255 no data.

    A pixel belongs to its most probable class (the first of equals) where that
    reaches ``threshold``, in quantised steps, and is more probable than the background where
    the classes share the probability with it (``shares``, of a softmax).
    """
    best = probability.max(axis=0)
    label: UInt8[np.ndarray, "rows cols"] = probability.argmax(axis=0).astype(np.uint8)
    label += np.uint8(1)
    label[best < threshold] = 0
    if shares:
        label[best <= background_of(probability)] = 0
    label[best == NODATA] = NODATA
    return label
