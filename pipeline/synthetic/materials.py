"""What roofs are made of: their colours, sheets, courses, rust and stains."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.synthetic.noise import Field, fractal

Colour = tuple[float, float, float]

ROOF_COLOURS: dict[str, tuple[Colour, ...]] = {
    "concrete": (
        (0.60, 0.58, 0.54),
        (0.55, 0.53, 0.50),
        (0.69, 0.67, 0.63),
        (0.58, 0.55, 0.49),
        (0.48, 0.47, 0.45),
        (0.64, 0.61, 0.56),
    ),
    "terrace": ((0.62, 0.50, 0.44), (0.57, 0.44, 0.39), (0.74, 0.68, 0.60), (0.55, 0.49, 0.46)),
    "zinc": (
        (0.62, 0.66, 0.69),
        (0.70, 0.73, 0.75),
        (0.53, 0.57, 0.60),
        (0.82, 0.85, 0.87),
        (0.48, 0.49, 0.49),
    ),
    "blue": ((0.20, 0.40, 0.60), (0.25, 0.46, 0.64), (0.17, 0.33, 0.54), (0.36, 0.52, 0.65)),
    "red": ((0.58, 0.25, 0.24), (0.52, 0.26, 0.24), (0.64, 0.37, 0.34)),
    "rust": ((0.50, 0.37, 0.30), (0.54, 0.43, 0.36), (0.43, 0.33, 0.29), (0.57, 0.50, 0.45)),
    "tile": ((0.55, 0.35, 0.26), (0.49, 0.32, 0.26), (0.60, 0.42, 0.32), (0.43, 0.31, 0.27)),
    "thatch": ((0.52, 0.45, 0.34), (0.43, 0.38, 0.30), (0.58, 0.51, 0.39)),
}
METALS = ("zinc", "blue", "red", "rust")
MATERIALS = tuple(ROOF_COLOURS)
TONES, PAPER = 8192, 512


def tint(rng: np.random.Generator, colours: tuple[Colour, ...], spread: float = 0.04) -> Colour:
    """Return one of the colours, a little off."""
    base = np.array(colours[int(rng.integers(len(colours)))])
    red, green, blue = np.clip(
        base * rng.normal(1, spread * 1.5) + rng.normal(0, spread / 3, 3), 0.03, 0.97
    )
    return float(red), float(green), float(blue)


def pick(rng: np.random.Generator, weights: dict[str, float]) -> str:
    """Draw one of the names by its weight."""
    names, share = list(weights), np.array(list(weights.values()))
    return names[int(rng.choice(len(names), p=share / share.sum()))]


def wallpapers(rng: np.random.Generator) -> tuple[Field, Field]:
    """Return chance tones, float32 (TONES,), and a square of stains, float32 (PAPER, PAPER)."""
    tones = rng.standard_normal(TONES).astype(np.float32)
    square = fractal(rng, (PAPER, PAPER), 26, octaves=5, gain=0.72)
    return tones, (square + square[::-1] + square[:, ::-1] + square[::-1, ::-1])[
        :PAPER
    ] / np.float32(2)


def cover(
    look: NDArray[np.float32],
    number: NDArray[np.int32],
    uv: tuple[Field, Field],
    rim: NDArray[np.bool_],
    *,
    papers: tuple[Field, Field],
    pixel_size_m: float,
) -> Field:
    """Return the colour of n roof pixels.

    Args:
        look: float32 (n, 14): the row of the roof part that each pixel lies on.
        number: int32 (n,): which part that is.
        uv: float32 (n,) each: metres along and across the ridge.
        rim: bool (n,): true on a parapet.
        papers: As from ``wallpapers``.
        pixel_size_m: Metres a pixel: ribs finer than that are left out.

    Returns:
        float32 (n, 3), about 0 to 1.
    """
    (u, v), (tones, square) = uv, papers
    kind = look[:, 9].astype(np.int32)
    names = np.array(MATERIALS)
    metal, tile, thatch, rusty = (
        np.isin(names, group)[kind] for group in (METALS, ("tile",), ("thatch",), ("rust",))
    )
    flat = ~(metal | tile | thatch)
    mood = tones[(number * 37) % TONES]
    wild = np.clip(0.6 + 0.5 * tones[(number * 61) % TONES], 0.1, 1.8)
    # Rain runs down the slope, across the ridge: stains on pitched roofs are longer that way.
    at_u = (u / 0.13).astype(np.int32) + number * 57
    at_v = (v / np.where(flat, 0.13, 0.42)).astype(np.int32) + number * 113
    stain = square[at_u % PAPER, at_v % PAPER]
    long_u = np.where(flat, 2.6, np.where(metal, 0.86, 0.6))
    long_v = np.where(flat, 2.9, np.where(metal, 2.7 + 0.6 * mood, 0.35))
    sheet_u, sheet_v = np.floor(u / long_u).astype(np.int32), np.floor(v / long_v).astype(np.int32)
    sheet = tones[(sheet_u * 73 + sheet_v * 151 + number * 31) % TONES]
    tone = 1 + np.select([metal, tile, flat], [0.065 * wild, 0.05, 0.022], 0.03) * sheet
    tone += np.select([flat, thatch, tile], [0.06 * wild, 0.12, 0.08], 0.045) * stain
    # Ribs and courses vanish once a pixel holds a whole one.
    rib = np.where(metal, 0.43, np.where(tile, 0.33, 9.0))
    fade = np.clip(1.3 - pixel_size_m / rib, 0, 1) * np.where(metal | tile, 0.09, 0)
    tone += fade * np.sin(np.where(tile, v, u) * (2 * np.pi / rib))
    tone -= 0.06 * (
        metal & (np.abs(v / long_v - np.round(v / long_v)) * long_v < 0.5 * max(pixel_size_m, 0.08))
    )
    ridge = (look[:, 8] >= 2) & (np.abs(v) < max(0.13, 0.5 * pixel_size_m))
    tone += 0.1 * ridge - 0.09 * (tile & ~ridge & (np.abs(u) > look[:, 4] - 0.3))
    colour = look[:, 10:13] * tone.astype(np.float32)[:, None]
    level = np.where(rusty, -0.1, 2.1) + 0.7 * mood
    rust = np.clip((stain + 0.9 * sheet - level) * 0.45, 0, 0.75) * metal
    colour += rust.astype(np.float32)[:, None] * (np.array([0.40, 0.27, 0.21], np.float32) - colour)
    damp = np.clip((stain - 0.2 + 0.6 * mood) * 0.2, 0, 0.36) * flat
    colour *= 1 - damp.astype(np.float32)[:, None] * np.array([0.95, 0.98, 1.06], np.float32)
    edge = np.where(mood > 0.4, 1.16, np.where(mood < -0.9, 0.8, 1.05)).astype(np.float32)
    return np.asarray(np.where(rim[:, None], colour * edge[:, None] + 0.015, colour), np.float32)
