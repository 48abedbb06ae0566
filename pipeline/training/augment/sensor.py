"""Other sensors: coarser ones, and ones whose values go beyond 8 bits."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

POINT_SPREAD = 0.5
"""Deviation of a sensor's point spread, in its own pixels."""
GAMMA = 2.2
"""Exponent that 8-bit pictures were coded with, at most: sensors count light itself."""
LEAST_SPAN = 0.25
"""Part of the range below which a stretch would make noise out of nothing."""


def degraded(
    image: NDArray[np.uint8], *, pixel_size_m: float, coarse_m: float, rng: Generator
) -> NDArray[np.uint8]:
    """Return the crop as a sensor with larger pixels sees it, enlarged to the same size.

    Blurred by the point spread, sampled at the coarse pixels' centres, interpolated
    between them. Nothing moves: the labels stay true. What is coarse already stays.

    Args:
        image: (bands, rows, cols).
        pixel_size_m: Edge of its pixels on the ground.
        coarse_m: Edge of the sensor's.
        rng: Where the coarse grid begins.
    """
    factor = coarse_m / pixel_size_m
    if factor <= 1:
        return image
    bands, rows, cols = image.shape
    # The coarse grid reaches a pixel past every edge, so that it need not be extended.
    begin = -factor * (1 + rng.random(2))
    many = [int(np.ceil((n - b) / factor)) + 1 for n, b in zip((rows, cols), begin, strict=True)]
    coarse = [b + factor * (np.arange(n) + 0.5) for n, b in zip(many, begin, strict=True)]
    fine = [
        (np.arange(n) + 0.5 - b) / factor - 0.5 for n, b in zip((rows, cols), begin, strict=True)
    ]
    out = np.empty_like(image)
    sigma = POINT_SPREAD * np.sqrt(factor**2 - 1)
    for band in range(bands):
        # The picture's own pixels have a point spread too: variances add up.
        light = ndimage.gaussian_filter(image[band].astype(np.float32), sigma, mode="reflect")
        few = _sampled(light, coarse[0] - 0.5, coarse[1] - 0.5)
        out[band] = np.clip(_sampled(few, fine[0], fine[1]) + 0.5, 0, 255)
    return out


def _sampled(
    values: NDArray[np.float32], rows: NDArray[np.float64], cols: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return bilinear values at all pairs of rows and columns; the edge goes on outside."""
    for axis, at in ((0, rows), (1, cols)):
        inside = np.clip(at, 0, values.shape[axis] - 1)
        low = np.minimum(inside.astype(np.intp), max(values.shape[axis] - 2, 0))
        high = np.minimum(low + 1, values.shape[axis] - 1)
        part = (inside - low).astype(np.float32)
        part = part[:, None] if axis == 0 else part[None, :]
        first, second = values.take(low, axis), values.take(high, axis)
        values = first + part * (second - first)
    return values


def rescaled(image: NDArray[np.uint8], rng: Generator) -> NDArray[np.uint8]:
    """Return the crop as a 16-bit product looks once mapping has brought it to 8 bits.

    Values go back to light by a drawn exponent, whole steps of 8 bits are filled evenly,
    and drawn percentiles, all bands together, become black and white. In mapping they are
    the 1st and 99th of the scene; a crop's own differ from those, hence the draw.

    Args:
        image: (bands, rows, cols).
        rng: Where chance comes from.
    """
    light = image.astype(np.float32) + rng.random(image.shape, np.float32)
    light = (light / np.float32(256)) ** np.float32(rng.uniform(1.0, GAMMA))
    low, high = np.percentile(light, [rng.uniform(0, 2), rng.uniform(97, 100)])
    spare = max(LEAST_SPAN - (high - low), 0.0) / 2
    low, high = low - spare, high + spare
    scaled = (light - np.float32(low)) * np.float32(255 / (high - low))
    return np.asarray(np.clip(scaled + 0.5, 0, 255), np.uint8)
