"""The grey image whose edges guide probabilities."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int32, Shaped, UInt8

LUMA = {"red": 299, "green": 587, "blue": 114}
"""Thousandths of each colour in the luminance; source: ITU-R BT.601."""


def luminance(
    pixels: Shaped[np.ndarray, "bands rows cols"],
    colours: tuple[str, ...],
    *,
    low: float,
    high: float,
) -> UInt8[np.ndarray, "rows cols"]:
    """Return how bright pixels are, 0 at ``low`` and 255 at ``high``.

    Red, green and blue are weighted as the eye sees them, where all three are there;
    otherwise all bands count alike. What is not a number is ``low``, or 0.
    """
    weights = [LUMA.get(colour, 0) for colour in colours]
    if len(colours) != len(pixels) or sum(weights) != sum(LUMA.values()):
        weights = [1] * len(pixels)
    total: Int32[np.ndarray, "rows cols"] = np.zeros(pixels.shape[1:], np.int32)
    for band, weight in zip(pixels, weights, strict=True):
        if weight:
            total += weight * _stretched(band, low=low, high=high)
    half = sum(weights) // 2
    return np.asarray((total + half) // sum(weights), np.uint8)


def _stretched(
    band: Shaped[np.ndarray, "rows cols"], *, low: float, high: float
) -> Int32[np.ndarray, "rows cols"]:
    with np.errstate(over="ignore"):
        share = (np.nan_to_num(band.astype(np.float32)) - np.float32(low)) / np.float32(high - low)
    return np.asarray(np.rint(np.clip(share, 0, 1) * np.float32(255)), np.int32)
