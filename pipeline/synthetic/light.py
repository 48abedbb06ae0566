"""Sun, shadow and camera: from what things are made of to what a picture shows."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from pipeline.synthetic.noise import Field, cloud, smooth_step


@dataclass(frozen=True, slots=True, kw_only=True)
class Sun:
    """Where the light comes from."""

    x: float
    """Part of the unit vector towards the sun, to the right."""
    y: float
    """Part of the unit vector towards the sun, downwards in the picture."""
    z: float
    """Part of the unit vector towards the sun, up."""
    veil: float
    """How much cloud softens the shadows, 0 to 1."""


def sunlight(rng: np.random.Generator) -> Sun:
    """Return a sun between 36 and 78 degrees over the horizon."""
    azimuth, height = rng.uniform(0, 2 * np.pi), np.radians(rng.triangular(36, 62, 78))
    flat = float(np.cos(height))
    veil = float(np.clip(rng.beta(1.2, 2.6), 0.02, 0.8))
    return Sun(
        x=flat * float(np.cos(azimuth)),
        y=flat * float(np.sin(azimuth)),
        z=float(np.sin(height)),
        veil=veil,
    )


def swept(height: Field, *, dx: float, dy: float, drop: float) -> Field:
    """Carry heights along (dx, dy), losing ``drop`` metres a pixel: the roof of the shadow.

    Args:
        height: float32 (rows, cols), metres.
        dx: Direction to the right; with ``dy`` not both 0.
        dy: Direction downwards.
        drop: Metres lost for each pixel of way.

    Returns:
        float32 (rows, cols): a pixel lies in shadow where this exceeds its own height.
    """
    if abs(dx) > abs(dy):
        return swept(height.T, dx=dy, dy=dx, drop=drop).T
    source = np.ascontiguousarray(height if dy > 0 else height[::-1])
    result = np.full(source.shape, -np.inf, np.float32)
    lean = dx / abs(dy)
    loss = np.float32(drop * np.hypot(1, lean))
    for row in range(1, len(source)):
        shift = round(row * lean) - round((row - 1) * lean)
        above = np.maximum(source[row - 1], result[row - 1]) - loss
        if shift > 0:
            result[row, shift:] = above[:-shift]
        elif shift < 0:
            result[row, :shift] = above[-shift:]
        else:
            result[row] = above
    return result if dy > 0 else result[::-1]


def walls(
    height: Field, labels: NDArray[np.int32], *, dx: float, dy: float, drop: float
) -> tuple[Field, NDArray[np.int32]]:
    """Return the walls that a camera looking aslant sees beside the roofs.

    Args:
        height: float32 (rows, cols), metres: roofs, 0 elsewhere.
        labels: int32 (rows, cols): the building of each pixel, 0 outside.
        dx: Direction to the right in which walls show; with ``dy`` not both 0.
        dy: Direction downwards.
        drop: Metres of wall in each pixel of way.

    Returns:
        Height of the wall seen, float32 (rows, cols), 0 where none is; and whose wall it is.
    """
    if abs(dx) > abs(dy):
        high, whose = walls(height.T, labels.T, dx=dy, dy=dx, drop=drop)
        return high.T, whose.T
    step = 1 if dy > 0 else -1
    source, names = np.ascontiguousarray(height[::step]), np.ascontiguousarray(labels[::step])
    high, whose = np.zeros_like(source), np.zeros_like(names)
    lean = dx / abs(dy)
    loss = np.float32(drop * np.hypot(1, lean))
    for row in range(1, len(source)):
        shift = round(row * lean) - round((row - 1) * lean)
        own = source[row - 1] >= high[row - 1]
        top = np.maximum(np.where(own, source[row - 1], high[row - 1]) - loss, 0)
        name = np.where(own, names[row - 1], whose[row - 1])
        if shift:
            top, name = np.roll(top, shift), np.roll(name, shift)
            edge = slice(0, shift) if shift > 0 else slice(shift, None)
            top[edge] = 0
        high[row], whose[row] = top, name
    return (high * (labels[::step] == 0))[::step], whose[::step]


def lit(albedo: Field, height: Field, facing: Field, *, sun: Sun, pixel_size_m: float) -> Field:
    """Return colours under sun and sky.

    Args:
        albedo: float32 (rows, cols, 3), 0 to 1; changed in place.
        height: float32 (rows, cols), metres over ground.
        facing: float32 (rows, cols): cosine between surface and sun over that of level ground.
        sun: The sun.
        pixel_size_m: Metres a pixel.

    Returns:
        ``albedo``, lit.
    """
    flat = float(np.hypot(sun.x, sun.y))
    drop = sun.z / flat * pixel_size_m
    roof = swept(height, dx=-sun.x, dy=-sun.y, drop=drop)
    bright = 1 - smooth_step(roof - height, 0.0, 0.25 + 1.2 * sun.veil)
    # A pixel holds a part of a shadow's edge: without this, edges are stairs.
    bright = ndimage.gaussian_filter(bright, 0.6, truncate=2)
    near = ndimage.uniform_filter(height, max(3, round(4.0 / pixel_size_m)))
    open_sky = 1 - np.float32(0.42) * smooth_step(near - height, 0.0, 5.0)
    direct = (1 - 0.55 * sun.veil) * 0.66
    beam = np.float32(direct) * bright * facing
    for band, sky in enumerate((0.93, 1.0, 1.13)):
        glow = np.float32((1 - direct) * sky)
        albedo[..., band] *= beam * np.float32(2 - sky if sky > 1 else 1.02) + glow * open_sky
    return albedo


def photograph(rng: np.random.Generator, colours: Field) -> NDArray[np.uint8]:
    """Return what a camera makes of it: haze, cast, contrast, blur, noise and compression.

    Args:
        rng: The source of chance.
        colours: float32 (rows, cols, 3), 0 to 1; changed in place.

    Returns:
        uint8 (rows, cols, 3).
    """
    shape = colours.shape[:2]
    haze = rng.uniform(0, 0.16) if rng.random() < 0.6 else rng.uniform(0, 0.03)
    patch = float(rng.choice((0.0, 0.0, 0.12)))
    veil = np.float32(haze) + np.float32(patch) * smooth_step(
        cloud(rng, shape, max(shape) / 2.5), 0.2, 1.8
    )
    exposure, contrast = rng.uniform(0.9, 1.14), rng.uniform(0.88, 1.14)
    gains = exposure * (1 + rng.normal(0, 0.03, 3))
    colour = rng.uniform(0.66, 1.05)
    grey = colours @ np.array([0.3, 0.59, 0.11], np.float32)
    sigma = rng.uniform(0.5, 0.9)
    for band, air in enumerate((0.78, 0.82, 0.86)):
        layer = grey + np.float32(colour) * (colours[..., band] - grey)
        layer = (layer * np.float32(gains[band]) - np.float32(0.42)) * np.float32(
            contrast
        ) + np.float32(0.42)
        layer += veil * (np.float32(air) - layer)
        colours[..., band] = ndimage.gaussian_filter(layer, sigma, truncate=2.5)
    grain = rng.uniform(0.0015, 0.009)
    luma = rng.standard_normal(shape, np.float32) * np.float32(grain)
    colours += luma[..., None]
    small = (shape[0] // 2 + 1, shape[1] // 2 + 1)
    for band in range(3):
        fleck = rng.standard_normal(small, np.float32) * np.float32(grain * 0.6)
        colours[..., band] += np.repeat(np.repeat(fleck, 2, 0), 2, 1)[: shape[0], : shape[1]]
    picture = (np.clip(colours, 0, 1) * 255 + 0.5).astype(np.uint8)
    if rng.random() < 0.75:
        tape = io.BytesIO()
        Image.fromarray(picture).save(
            tape,
            "JPEG",
            quality=int(rng.integers(68, 95)),
            subsampling=int(rng.choice((0, 2))),
        )
        picture = np.asarray(Image.open(tape))
    return picture
