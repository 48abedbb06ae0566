"""Random fields that look like soil, grass and weather rather than like static."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Field = NDArray[np.float32]
Shape = tuple[int, int]


def cloud(rng: np.random.Generator, shape: Shape, scale: float) -> Field:
    """Return smooth noise whose bumps are about ``scale`` pixels wide.

    Returns:
        float32 (rows, cols), mean near 0, standard deviation near 1.
    """
    if scale <= 1.0:
        return rng.standard_normal(shape, np.float32)
    rows, cols = int(shape[0] / scale) + 3, int(shape[1] / scale) + 3
    grid = rng.standard_normal((rows, cols), np.float32)
    box = (1.0, 1.0, 1.0 + shape[1] / scale, 1.0 + shape[0] / scale)
    size = (shape[1], shape[0])
    fine = Image.fromarray(grid).resize(size, Image.Resampling.BICUBIC, box=box)
    return np.asarray(fine, np.float32) * np.float32(1.4)


def fractal(
    rng: np.random.Generator,
    shape: Shape,
    scale: float,
    *,
    octaves: int = 4,
    gain: float = 0.6,
) -> Field:
    """Return a sum of clouds, each half as wide as the one before and ``gain`` as strong.

    Returns:
        float32 (rows, cols), mean near 0, standard deviation near 1.
    """
    total: Field = np.zeros(shape, np.float32)
    power = 0.0
    for octave in range(octaves):
        weight = gain**octave
        total += np.float32(weight) * cloud(rng, shape, scale / 2**octave)
        power += weight**2
        if scale / 2**octave <= 1.0:
            break
    return np.asarray(total / np.float32(np.sqrt(power)), np.float32)


def smooth_step(field: Field, low: float, high: float) -> Field:
    """Return 0 below ``low``, 1 above ``high`` and a straight line in between."""
    part = (field - np.float32(low)) / np.float32(high - low)
    return np.asarray(np.clip(part, 0.0, 1.0), np.float32)
