"""Other light, other sensors: changes to a crop's image that leave its labels true."""

from __future__ import annotations

import io

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from pipeline.training.augment.sensor import degraded, rescaled
from pipeline.training.config import AugmentConfig

_GREY = np.array([0.299, 0.587, 0.114], np.float32)


def augmented(
    image: NDArray[np.uint8], config: AugmentConfig, rng: Generator, *, pixel_size_m: float
) -> NDArray[np.uint8]:
    """Return the crop under other light and from another sensor.

    A part that is switched on anew uses chance before all others, and none while it is
    off: a training without it sees the same crops as before there was such a part.

    Args:
        image: (3, rows, cols).
        config: How often and how far.
        rng: Where chance comes from.
        pixel_size_m: Edge of a pixel on the ground.
    """
    seen = image
    if config.degrade > 0 and rng.random() < config.degrade:
        low, high = config.degrade_m
        coarse_m = float(low * (high / low) ** rng.random())
        seen = degraded(seen, pixel_size_m=pixel_size_m, coarse_m=coarse_m, rng=rng)
    if config.sixteen_bit > 0 and rng.random() < config.sixteen_bit:
        seen = rescaled(seen, rng)
    seen = _toned(seen, _colour_matrix(config, rng), config, rng)
    if rng.random() < config.shadow:
        seen = _shadowed(seen, rng)
    if rng.random() < config.blur:
        # Often slight, at times as poor as imagery enlarged twofold.
        sigma = 0.4 + 1.2 * rng.random() ** 2
        seen = ndimage.gaussian_filter(seen, (0, sigma, sigma), truncate=2.5)
    if rng.random() < config.noise:
        level = 12.0 * rng.random() ** 2
        grain = rng.standard_normal(seen.shape, np.float32) * np.float32(level)
        seen = np.clip(seen + grain, 0, 255).astype(np.uint8)
    if rng.random() < config.jpeg:
        seen = _through_jpeg(seen, int(rng.integers(25, 85)))
    return np.ascontiguousarray(seen)


def _colour_matrix(config: AugmentConfig, rng: Generator) -> NDArray[np.float32]:
    """Return a 3 x 3 map of colours: hue turned, saturation and bands scaled."""
    angle = rng.uniform(-config.hue, config.hue)
    # A turn around the grey axis (Rodrigues), so that grey stays grey.
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3.0)
    turn = np.cos(angle) * np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) / 3.0
    saturation = rng.uniform(1 - 2 * config.tone, 1 + 2 * config.tone)
    if config.tone > 0 and rng.random() < 0.05:
        saturation = 0.0
    toward_grey = saturation * np.eye(3) + (1 - saturation) * np.tile(_GREY, (3, 1))
    bands = np.diag(1 + rng.uniform(-config.colour, config.colour, 3))
    return np.asarray(bands @ toward_grey @ turn, np.float32)


def _toned(
    image: NDArray[np.uint8],
    colours: NDArray[np.float32],
    config: AugmentConfig,
    rng: Generator,
) -> NDArray[np.uint8]:
    """Return the image in other colours, brightness, contrast and gamma."""
    brightness, contrast, gamma = rng.uniform(-config.tone, config.tone, 3)
    mixed = colours @ image.reshape(3, -1).astype(np.float32)
    values = np.arange(256, dtype=np.float32) / 255.0
    middle = float(image.mean()) / 255.0
    curve = (values - middle) * (1.0 + contrast) + middle * (1.0 + brightness)
    curve = np.clip(curve, 0.0, 1.0) ** np.exp(gamma)
    table = np.rint(curve * 255.0).astype(np.uint8)
    out = table[np.clip(np.rint(mixed), 0, 255).astype(np.uint8)]
    return np.asarray(out.reshape(image.shape), np.uint8)


def _shadowed(image: NDArray[np.uint8], rng: Generator) -> NDArray[np.uint8]:
    """Return the image with a dark band of random direction and width across it."""
    rows, cols = image.shape[1:]
    angle = rng.uniform(0, 2 * np.pi)
    along = (
        np.arange(rows, dtype=np.float32)[:, None] * np.float32(np.sin(angle))
        + np.arange(cols, dtype=np.float32)[None, :] * np.float32(np.cos(angle))
    )  # fmt: skip
    start = rng.uniform(along.min(), along.max())
    inside = (along > start) & (along < start + rng.uniform(0.05, 0.5) * cols)
    dark = np.where(inside, np.float32(rng.uniform(0.4, 0.8)), np.float32(1.0))
    return np.asarray(image * dark, np.uint8)


def _through_jpeg(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    buffer = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer), np.uint8).transpose(2, 0, 1)
