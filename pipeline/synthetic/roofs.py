"""Roofs on the pixel grid: height, slope and material of every roof pixel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize

from pipeline.synthetic.houses import SHAPES, Building, RoofPart
from pipeline.synthetic.light import Sun
from pipeline.synthetic.materials import MATERIALS, cover, wallpapers
from pipeline.synthetic.noise import Field

Labels = NDArray[np.int32]
Scale = tuple[float, ...]


def burn(
    shapes: Sequence[tuple[shapely.Geometry, int]],
    *,
    shape: tuple[int, int],
    pixel_size_m: float,
) -> Labels:
    """Return int32 (rows, cols): the number of the last shape over each pixel's middle, 0 outside.

    Shapes are in metres.
    """
    if not shapes:
        return np.zeros(shape, np.int32)
    away = (pixel_size_m, 0, 0, 0, pixel_size_m, 0)
    burnt: Labels = rasterize(shapes, out_shape=shape, transform=away, dtype="int32")
    return burnt


def _table(parts: list[RoofPart]) -> NDArray[np.float32]:
    """Return float32 (parts + 1, 14); row 0 stands for no roof."""
    rows = [(0.0,) * 14]
    for p in parts:
        f = p.frame
        rows.append(
            (
                f.x,
                f.y,
                f.ux,
                f.uy,
                f.a,
                f.b,
                p.eaves_m,
                p.slope,
                float(SHAPES.index(p.shape)),
                float(MATERIALS.index(p.material)),
                *p.colour,
                0.0,
            )
        )
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


def paint_roofs(
    rng: np.random.Generator,
    buildings: list[Building],
    labels: Labels,
    canvas: tuple[Field, Field, Field],
    *,
    sun: Sun,
    pixel_size_m: float,
) -> None:
    """Paint roofs onto albedo, height and facing, where ``labels`` gives each pixel's building.

    Building k of the list is number k + 1 in ``labels``; parts show inside their own building only.
    """
    albedo, height, facing = canvas
    shape = labels.shape
    papers = wallpapers(rng)
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
            pixel_size_m=pixel_size_m,
        )
        thick = max(0.28, 0.7 * pixel_size_m)
        inner = shapely.buffer(outlines, -thick, join_style="mitre")
        inside = burn(
            [(p, k) for k, p in enumerate(inner, start=1) if not p.is_empty],
            shape=shape,
            pixel_size_m=pixel_size_m,
        )
        spots = np.flatnonzero((which > 0) & (owners[which] == labels))
        if not len(spots):
            continue
        number = which.ravel()[spots]
        look = table[number]
        x = ((spots % shape[1]) + 0.5).astype(np.float32) * np.float32(pixel_size_m) - look[:, 0]
        y = ((spots // shape[1]) + 0.5).astype(np.float32) * np.float32(pixel_size_m) - look[:, 1]
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
        albedo.reshape(-1, 3)[spots] = cover(
            look, number, (u, v), rim, papers=papers, pixel_size_m=pixel_size_m
        )
