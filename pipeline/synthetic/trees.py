"""Trees and shrubs: crowns with lumps, gaps and a sunny side."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

from pipeline.synthetic.character import CHARACTERS
from pipeline.synthetic.layout import Lot
from pipeline.synthetic.noise import Field, cloud

SIZE = 72
WOODED = {
    "garden": 1.6,
    "meadow": 1.0,
    "verge": 0.4,
    "earth": 0.25,
    "yard": 0.15,
    "beds": 0.25,
    "crop": 0.12,
}


def crown(rng: np.random.Generator, *, palm: bool) -> Field:
    """Return a crown of unit height on a square of ``SIZE`` pixels, 0 outside it; float32."""
    y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    radius, turn = np.hypot(x, y), np.arctan2(y, x)
    if palm:
        fronds = int(rng.integers(7, 12))
        arms = np.abs(np.cos(turn * fronds / 2 + rng.uniform(0, 6) + radius * rng.normal(0, 0.8)))
        width = 0.55 - 0.35 * radius
        return np.asarray(
            np.where((arms > 1 - width) & (radius < 0.95), 1 - 0.6 * radius**2, 0),
            np.float32,
        )
    edge = 0.8 + sum(
        rng.normal(0, 0.07) * np.cos(k * turn + rng.uniform(0, 6.3)) for k in range(2, 8)
    )
    dome = np.sqrt(np.clip(1 - (radius / edge) ** 2, 0, 1))
    lumps = np.zeros_like(dome)
    for cx, cy, r in zip(
        *rng.uniform(-0.7, 0.7, (2, 26)), rng.uniform(0.16, 0.36, 26), strict=True
    ):
        lumps = np.maximum(
            lumps, np.clip(1 - ((x - cx) ** 2 + (y - cy) ** 2) / r**2, 0, 1) ** 0.5 * r
        )
    leaves = cloud(rng, dome.shape, 3.0) * 0.07 + cloud(rng, dome.shape, 6.0) * 0.05
    height = dome * (0.55 + 1.3 * lumps) + leaves * (dome > 0.25)
    return np.asarray(np.where(dome > 0.12, np.clip(height, 0.08, 1.2), 0), np.float32)


def forest(rng: np.random.Generator, plan: tuple[list[Lot], list[str]]) -> NDArray[np.float64]:
    """Return where trees stand, float64 (n, 3): x, y and crown radius in metres."""
    found: list[tuple[float, float, float]] = []
    mood = rng.uniform(0.35, 1.5)
    for lot, use in zip(*plan, strict=True):
        mean = (
            WOODED.get(use, 0.0)
            * mood
            * CHARACTERS[lot.style].trees_per_ha
            * lot.polygon.area
            / 1e4
        )
        if lot.density < 0.35 and use in ("garden", "meadow") and rng.random() < 0.3:
            mean *= 3.5
        left, top, right, bottom = lot.polygon.bounds
        if lot.style != "town" and rng.random() < 0.13:
            hedge = lot.polygon.exterior.segmentize(float(rng.uniform(1.8, 3.5)))
            ends = shapely.get_coordinates(hedge) + rng.normal(0, 0.5, (len(hedge.coords), 2))
            found += [(float(p[0]), float(p[1]), float(rng.uniform(0.7, 1.9))) for p in ends]
        orchard = lot.density < 0.5 and use in ("garden", "meadow", "beds") and rng.random() < 0.07
        if orchard:
            gap = rng.uniform(4.5, 7.5)
            x, y = np.meshgrid(np.arange(left, right, gap), np.arange(top, bottom, gap))
            grid = np.stack([x.ravel(), y.ravel()], axis=1) + rng.normal(0, 0.5, (x.size, 2))
            found += [(float(p[0]), float(p[1]), float(rng.normal(2.3, 0.3))) for p in grid]
            continue
        for _ in range(int(rng.poisson(mean))):
            x0, y0 = rng.uniform(left, right), rng.uniform(top, bottom)
            for _ in range(int(rng.integers(1, 4))):
                big = rng.random() < 0.45
                radius = float(
                    np.clip(rng.normal(3.0, 1.0) if big else rng.normal(1.2, 0.4), 0.5, 5.5)
                )
                found.append(
                    (
                        float(x0 + rng.normal(0, 2.5)),
                        float(y0 + rng.normal(0, 2.5)),
                        radius,
                    )
                )
    return np.array(found, np.float64).reshape(-1, 3)


def plant(
    rng: np.random.Generator,
    trees: NDArray[np.float64],
    canvas: tuple[Field, Field],
    *,
    blocked: Field,
    pixel_size_m: float,
) -> NDArray[np.bool_]:
    """Paint crowns onto albedo and height; trees whose trunk ``blocked`` forbids are left out.

    Args:
        rng: The source of chance.
        trees: float64 (n, 3), as from ``forest``.
        canvas: Albedo, float32 (rows, cols, 3), and height, float32 (rows, cols) in metres;
            both are changed in place.
        blocked: float32 (rows, cols): roof heights; a trunk cannot stand where it is over 0.
        pixel_size_m: Metres a pixel.

    Returns:
        bool (rows, cols), true under crowns.
    """
    albedo, height = canvas
    rows, cols = height.shape
    under = np.zeros(height.shape, np.bool_)
    tropical = rng.random() < 0.35
    stock = [crown(rng, palm=tropical and k >= 10) for k in range(14)]
    hue = np.array((0.31, 0.385, 0.21)) * rng.normal(1, 0.08, 3)
    for x, y, radius in trees[np.argsort(trees[:, 2], kind="stable")]:
        col, row, reach = x / pixel_size_m, y / pixel_size_m, radius / pixel_size_m
        if (
            not (0 <= col < cols and 0 <= row < rows)
            or blocked[int(row), int(col)] > 0
            or reach < 0.7
        ):
            continue
        top, bottom = max(0, int(row - reach)), min(rows, int(row + reach) + 1)
        left, right = max(0, int(col - reach)), min(cols, int(col + reach) + 1)
        at_row = ((np.arange(top, bottom) - row) / reach * 0.5 + 0.5) * (SIZE - 1)
        at_col = ((np.arange(left, right) - col) / reach * 0.5 + 0.5) * (SIZE - 1)
        shape = stock[int(rng.integers(len(stock)))]
        part = shape[
            np.ix_(
                at_row.clip(0, SIZE - 1).astype(int),
                at_col.clip(0, SIZE - 1).astype(int),
            )
        ]
        tall = np.float32(radius * rng.uniform(1.5, 2.3) + 0.4) * (
            np.float32(0.35) + np.float32(0.65) * part
        )
        place = (slice(top, bottom), slice(left, right))
        seen = (part > 0) & (tall > height[place])
        height[place][seen] = tall[seen]
        under[place][seen] = True
        colour = hue * rng.normal(1, 0.12) * rng.normal(1, 0.07, 3)
        albedo[place][seen] = (colour * (0.6 + 0.6 * part[seen])[:, None]).astype(np.float32)
    return under
