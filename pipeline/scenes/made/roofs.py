"""Roofs on the pixel grid: height, slope and material of every roof pixel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize

from pipeline.scenes.made.houses import MATERIALS, METALS, SHAPES, Building, Part
from pipeline.scenes.made.light import Sun
from pipeline.scenes.made.noise import Field, fractal

Labels = NDArray[np.int32]
Scale = tuple[float, ...]


def burn(
    shapes: Sequence[tuple[shapely.Geometry, int]],
    *,
    shape: tuple[int, int],
    pixel_m: float,
) -> Labels:
    """Return int32 (rows, cols): the number of the last shape over each pixel's middle, 0 outside.

    Shapes are in metres.
    """
    if not shapes:
        return np.zeros(shape, np.int32)
    away = (pixel_m, 0, 0, 0, pixel_m, 0)
    burnt: Labels = rasterize(shapes, out_shape=shape, transform=away, dtype="int32")
    return burnt


def _table(parts: list[Part]) -> NDArray[np.float32]:
    """Return float32 (parts + 1, 14); row 0 stands for no roof."""
    rows = [(0.0,) * 14]
    for p in parts:
        f = p.frame
        rows.append(
            (f.x, f.y, f.ux, f.uy, f.a, f.b, p.eaves_m, p.slope, float(SHAPES.index(p.shape)),
             float(MATERIALS.index(p.material)), *p.colour, 0.0)
        )  # fmt: skip
    return np.array(rows, np.float32)


def _surface(look: NDArray[np.float32], u: Field, v: Field) -> tuple[Field, Field, Field]:
    """Return height in metres and its slopes along u and v for roof pixels."""
    a, b, eaves, slope, shape = (look[:, k] for k in (4, 5, 6, 7, 8))
    to_side, to_end = b - np.abs(v), a - np.abs(u)
    hipped = (shape == 3) & (to_end < to_side)
    rise = np.where(hipped, to_end, to_side)
    rise = np.where(shape == 1, v + b, rise)
    along_v = np.where(shape == 1, slope, -np.sign(v) * slope)
    along_v = np.where(hipped | (shape == 0), 0, along_v)
    along_u = np.where(hipped, -np.sign(u) * slope, 0)
    height = eaves + np.where(shape == 0, 0, np.maximum(rise, 0) * slope)
    return (
        height.astype(np.float32),
        along_u.astype(np.float32),
        along_v.astype(np.float32),
    )


def paint(
    rng: np.random.Generator,
    buildings: list[Building],
    labels: Labels,
    canvas: tuple[Field, Field, Field],
    *,
    sun: Sun,
    pixel_m: float,
) -> None:
    """Paint roofs onto albedo, height and facing, where ``labels`` gives each pixel's building.

    Building k of the list is number k + 1 in ``labels``; parts show inside their own building only.
    """
    albedo, height, facing = canvas
    shape = labels.shape
    blotch = fractal(rng, shape, 3.5 / pixel_m, octaves=4, gain=0.7)
    tones = rng.standard_normal(8192).astype(np.float32)
    for layer in range(max((len(b.parts) for b in buildings), default=0)):
        parts = [
            (b.parts[layer], k) for k, b in enumerate(buildings, start=1) if len(b.parts) > layer
        ]
        table = _table([p for p, _ in parts])
        owners = np.array([0] + [k for _, k in parts], np.int32)
        outlines = np.array([p.outline for p, _ in parts], object)
        which = burn(
            [(p, k) for k, p in enumerate(outlines, start=1)],
            shape=shape,
            pixel_m=pixel_m,
        )
        thick = max(0.28, 0.7 * pixel_m)
        inner = shapely.buffer(outlines, -thick, join_style="mitre")
        inside = burn(
            [(p, k) for k, p in enumerate(inner, start=1) if not p.is_empty],
            shape=shape,
            pixel_m=pixel_m,
        )
        spots = np.flatnonzero((which > 0) & (owners[which] == labels))
        if not len(spots):
            continue
        number = which.ravel()[spots]
        look = table[number]
        x = ((spots % shape[1]) + 0.5).astype(np.float32) * np.float32(pixel_m) - look[:, 0]
        y = ((spots // shape[1]) + 0.5).astype(np.float32) * np.float32(pixel_m) - look[:, 1]
        u, v = x * look[:, 2] + y * look[:, 3], y * look[:, 2] - x * look[:, 3]
        top, along_u, along_v = _surface(look, u, v)
        rim = (inside.ravel()[spots] != number) & (look[:, 8] == 0)
        top = top + np.float32(0.75) * rim
        seen = top > height.ravel()[spots]
        spots, number, look, u, v, rim = (
            spots[seen],
            number[seen],
            look[seen],
            u[seen],
            v[seen],
            rim[seen],
        )
        along_u, along_v = along_u[seen], along_v[seen]
        height.reshape(-1)[spots] = top[seen]
        dx, dy = (
            along_u * look[:, 2] - along_v * look[:, 3],
            along_u * look[:, 3] + along_v * look[:, 2],
        )
        cosine = (sun.z - dx * sun.x - dy * sun.y) / np.sqrt(1 + dx * dx + dy * dy)
        facing.reshape(-1)[spots] = np.clip(cosine / sun.z, 0.0, 1.55)
        paper = blotch.ravel()[spots]
        albedo.reshape(-1, 3)[spots] = _cover(
            look, number, (u, v), (paper, rim), tones=tones, pixel_m=pixel_m
        )


def _cover(
    look: NDArray[np.float32],
    number: Labels,
    uv: tuple[Field, Field],
    marks: tuple[Field, NDArray[np.bool_]],
    *,
    tones: Field,
    pixel_m: float,
) -> Field:
    """Return the colour of roof pixels, float32 (n, 3): base, sheets or tiles, rust, stains, rim."""
    (u, v), (paper, rim) = uv, marks
    material = look[:, 9].astype(np.int32)
    names = np.array(MATERIALS)
    metal, tile = np.isin(names, METALS)[material], (names == "tile")[material]
    flat, thatch = (
        np.isin(names, ("concrete", "terrace"))[material],
        (names == "thatch")[material],
    )
    mood = tones[(number * 37) % 8192]
    wild = np.clip(0.6 + 0.5 * tones[(number * 61) % 8192], 0.1, 1.8)
    sheet_u = np.where(flat, 2.6, np.where(metal, 0.86, 0.6))
    sheet_v = np.where(flat, 2.9, np.where(metal, 2.7 + 0.6 * mood, 0.35))
    cell = (
        np.floor(u / sheet_u).astype(np.int32) * 73
        + np.floor(v / sheet_v).astype(np.int32) * 151
        + number * 31
    )
    sheet = tones[cell % 8192]
    amount = np.select([metal, tile, flat], [0.07 * wild, 0.05, 0.022], 0.03).astype(np.float32)
    tone = (
        1
        + amount * sheet
        + np.select([flat, thatch], [0.085 * wild, 0.12], 0.05).astype(np.float32) * paper
    )
    # Ribs and courses vanish once a pixel holds a whole one.
    rib = np.where(metal, 0.43, np.where(tile, 0.33, 9.0))
    along = np.where(tile, v, u)
    fade = np.clip(1.3 - pixel_m / rib, 0, 1) * np.where(metal | tile, 0.1, 0)
    tone = tone + fade * np.sin(along * (2 * np.pi / rib))
    seam = metal & (
        np.abs(v / sheet_v - np.round(v / sheet_v)) * sheet_v < 0.5 * max(pixel_m, 0.08)
    )
    tone = tone - 0.08 * seam
    ridge = (look[:, 8] >= 2) & (np.abs(v) < max(0.13, 0.5 * pixel_m))
    tone = tone + 0.1 * ridge - 0.09 * (tile & ~ridge & (np.abs(u) > look[:, 4] - 0.3))
    colour = look[:, 10:13] * tone.astype(np.float32)[:, None]
    rusty = (names == "rust")[material]
    level = np.where(rusty, -0.3, 1.5) + 0.5 * mood
    rust = np.clip((paper + 0.75 * sheet - level) * 1.4, 0, 1) * metal * 0.8
    colour += rust.astype(np.float32)[:, None] * (np.array([0.42, 0.25, 0.18], np.float32) - colour)
    stain = np.clip((paper - 0.55 + 0.4 * mood) * 0.45, 0, 0.42) * flat
    colour *= (1 - stain.astype(np.float32))[:, None]
    edge = np.where(mood > 0.4, 1.18, np.where(mood < -0.9, 0.78, 1.06)).astype(np.float32)
    return np.asarray(np.where(rim[:, None], colour * edge[:, None] + 0.015, colour), np.float32)
