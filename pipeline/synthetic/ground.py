"""Open ground on the pixel grid: earth, grass, fields, roads, ponds and what grows there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.synthetic.character import CHARACTERS
from pipeline.synthetic.layout import Lot, Road, frame
from pipeline.synthetic.noise import Field, cloud, fractal, smooth_step
from pipeline.synthetic.roofs import Labels, burn

# name: red, green, blue of the bare ground; share that is overgrown;
#       metres between furrows; their strength; roughness
USES: dict[str, tuple[float, ...]] = {
    "verge": (0.62, 0.56, 0.47, 0.18, 0, 0, 1.0),
    "earth": (0.63, 0.55, 0.44, 0.08, 0, 0, 1.0),
    "yard": (0.60, 0.57, 0.52, 0.05, 0, 0, 0.6),
    "paving": (0.62, 0.60, 0.57, -0.4, 2.2, 0.012, 0.4),
    "garden": (0.47, 0.41, 0.31, 0.68, 0, 0, 1.2),
    "meadow": (0.56, 0.50, 0.36, 0.9, 0, 0, 0.9),
    "beds": (0.50, 0.41, 0.31, 0.42, 1.3, 0.55, 1.0),
    "crop": (0.46, 0.40, 0.29, 0.85, 0.8, 0.35, 0.8),
    "furrows": (0.52, 0.42, 0.32, -0.1, 1.0, 0.08, 0.8),
    "stubble": (0.66, 0.58, 0.42, 0.05, 0.9, 0.05, 0.7),
    "pond": (0.25, 0.28, 0.22, -3.0, 0, 0, 0.15),
}
NAMES = tuple(USES)


def _use(rng: np.random.Generator, lot: Lot, *, built: bool, green: float) -> str:
    if lot.works:
        return str(rng.choice(("earth", "yard", "paving", "earth")))
    choice: tuple[str, ...]
    if built and lot.style == "village":
        choice = ("verge", "earth", "garden", "meadow", "beds")
        weights = np.array((1.0, 0.6, 2.4, 1.6, 0.3))
    elif built:
        choice = ("yard", "earth", "garden", "paving", "meadow")
        weights = np.array((0.9, 1.3, 2.2 * green, 0.7, 1.2 * green))
    elif lot.density > 0.5:
        choice = ("earth", "garden", "meadow", "beds", "yard")
        weights = np.array((1.1, 2.4 * green, 1.6 * green, 0.9 * green, 0.4))
    else:
        choice = ("meadow", "beds", "crop", "furrows", "stubble", "garden", "pond")
        weights = np.array((2.0, 1.1, 1.3, 1.4, 1.2, 2.2, 0.12))
    return str(rng.choice(choice, p=weights / weights.sum()))


def land_use(rng: np.random.Generator, lots: list[Lot], built: list[bool]) -> list[str]:
    """Return the use of every lot, one of ``NAMES``."""
    season = rng.normal(0, 0.2)
    found: list[str] = []
    for lot, house in zip(lots, built, strict=True):
        green = float(np.clip(CHARACTERS[lot.style].green + season, 0.1, 1))
        found.append(_use(rng, lot, built=house, green=green))
    return found


def _looks(rng: np.random.Generator, lots: list[Lot], uses: list[str]) -> NDArray[np.float32]:
    """Return float32 (lots + 1, 9): a row of ``USES``, a little off, and the furrows' direction."""
    warm = rng.normal(0.02, 0.035)
    soil = np.array((1 + warm, 1.0, 1 - 1.2 * warm)) * rng.normal(1, 0.05)
    rows = [(*USES["verge"], 1.0, 0.0)]
    for lot, use in zip(lots, uses, strict=True):
        box = frame(lot.polygon)
        rows.append((*USES[use], box.ux, box.uy))
    table = np.array(rows, np.float32)
    table[:, :3] *= (
        soil * rng.normal(1, 0.09, (len(rows), 1)) + rng.normal(0, 0.015, (len(rows), 3))
    ).clip(0.5, 1.5)
    table[:, 3] += rng.normal(0, 0.16, len(rows)) + rng.normal(0, 0.1)
    table[:, 4] *= rng.uniform(0.8, 1.6, len(rows))
    return table


def _ragged(rng: np.random.Generator, labels: Labels, reach: float) -> Labels:
    """Return labels whose boundaries wander by about ``reach`` pixels."""
    rows, cols = np.arange(labels.shape[0])[:, None], np.arange(labels.shape[1])[None, :]
    down = rows + (fractal(rng, labels.shape, 8 * reach, octaves=3) * np.float32(reach)).astype(
        np.int32
    )
    right = cols + (fractal(rng, labels.shape, 8 * reach, octaves=3) * np.float32(reach)).astype(
        np.int32
    )
    return np.asarray(labels[down.clip(0, labels.shape[0] - 1), right.clip(0, labels.shape[1] - 1)])


def paint_ground(
    rng: np.random.Generator,
    plan: tuple[list[Road], list[Lot], list[str]],
    roofed: Labels,
    *,
    pixel_size_m: float,
) -> tuple[Field, Field]:
    """Return albedo, float32 (rows, cols, 3) in 0 to 1, and plants, float32 (rows, cols) in metres.

    Ground near a roof, where ``roofed`` is over 0, is trodden bare.
    """
    roads, lots, uses = plan
    shape = roofed.shape
    table = _looks(rng, lots, uses)
    labels = burn(
        [(lot.polygon, k) for k, lot in enumerate(lots, start=1)],
        shape=shape,
        pixel_size_m=pixel_size_m,
    )
    labels = _ragged(rng, labels, rng.uniform(0.3, 0.8) / pixel_size_m)
    broad = fractal(rng, shape, 45 / pixel_size_m, octaves=4)
    fine = fractal(rng, shape, 4.5 / pixel_size_m, octaves=5, gain=0.75)
    speck = cloud(rng, shape, max(1.0, 0.45 / pixel_size_m))
    y = np.arange(shape[0], dtype=np.float32)[:, None] * np.float32(pixel_size_m)
    x = np.arange(shape[1], dtype=np.float32)[None, :] * np.float32(pixel_size_m)
    look = [table[:, k][labels] for k in range(9)]
    across = y * look[7] - x * look[8] + np.float32(0.3) * broad
    wave = np.sin(across * (2 * np.pi / np.maximum(look[4], 0.3))) * (look[4] > 0)
    wave *= np.clip(1.6 - pixel_size_m / np.maximum(0.5 * look[4], 0.05), 0, 1)
    grown = look[3] + np.float32(0.22) * broad + np.float32(0.30) * fine + look[5] * wave
    paved, dirt = _ways(roads, fine, shape=shape, pixel_size_m=pixel_size_m)
    grown -= np.float32(1.1) * dirt + np.float32(3) * paved
    trodden = ndimage.uniform_filter(
        (roofed > 0).astype(np.float32), max(3, round(8 / pixel_size_m))
    )
    trodden = ndimage.uniform_filter(trodden, max(3, round(4 / pixel_size_m)))
    grown -= np.float32(rng.uniform(0.5, 1.2)) * smooth_step(trodden, 0.05, 0.5)
    plants = smooth_step(grown, 0.38, 0.62)
    rough = look[6]
    tone = 1 + rough * (
        np.float32(0.06) * fine + np.float32(0.05) * broad + np.float32(0.035) * speck
    )
    tone += np.where(look[3] < 0.3, look[5] * wave, 0) * rough
    tuft = fine * np.float32(0.7) + speck * np.float32(0.6)
    dry = smooth_step(broad + np.float32(0.5) * fine + np.float32(rng.normal(0, 0.7)), -1.2, 2.2)
    lush = np.array((0.24, 0.31, 0.15)) * rng.normal(1, 0.08, 3)
    straw = np.array((0.48, 0.45, 0.28)) * rng.normal(1, 0.06, 3)
    leaf = np.float32(1) + np.float32(0.13) * tuft
    track, tar = (
        np.array((0.70, 0.61, 0.49)) * rng.normal(1, 0.05),
        rng.uniform(0.36, 0.56),
    )
    wear = (
        np.float32(1)
        + np.float32(0.035) * fine
        + np.float32(0.03) * broad
        + np.float32(0.015) * speck
    )
    albedo = np.empty((*shape, 3), np.float32)
    for band in range(3):
        layer = look[band] * tone
        layer += dirt * (np.float32(track[band]) * tone - layer)
        green = (np.float32(lush[band]) + dry * np.float32(straw[band] - lush[band])) * leaf
        layer += plants * (green - layer)
        layer += paved * (np.float32(tar * (1.0, 0.985, 0.96)[band]) * wear - layer)
        albedo[..., band] = np.clip(layer, 0.02, 1)
    heaps = plants * np.clip(tuft - np.float32(0.5), 0, 2) * np.float32(0.2)
    bush = plants * np.clip(fine - np.float32(1.1), 0, 0.9) * np.float32(1.2) * (look[4] == 0)
    return albedo, np.maximum(heaps, bush).astype(np.float32)


def _ways(
    roads: list[Road],
    fine: Field,
    *,
    shape: tuple[int, int],
    pixel_size_m: float,
) -> tuple[Field, Field]:
    """Return how much of each pixel is paved, and how much is trodden earth."""
    paved = carriageways(roads, shape=shape, pixel_size_m=pixel_size_m)
    shoulders = [(r.line.buffer(r.width_m * (0.75 if r.paved else 0.42)), 1) for r in roads]
    dirt = burn(shoulders, shape=shape, pixel_size_m=pixel_size_m).astype(np.float32)
    soft = ndimage.uniform_filter(dirt, max(1, round(1.4 / pixel_size_m)))
    edge = ndimage.uniform_filter(paved, max(1, round(0.7 / pixel_size_m)))
    crumble = np.float32(0.16) * fine
    return smooth_step(edge + crumble * 0.7, 0.4, 0.6), smooth_step(soft + crumble, 0.3, 0.7)


def carriageways(roads: list[Road], *, shape: tuple[int, int], pixel_size_m: float) -> Field:
    """Return 1 on paved roads, 0 elsewhere; float32 (rows, cols)."""
    lines = [(r.line.buffer(r.width_m / 2), 1) for r in roads if r.paved]
    return burn(lines, shape=shape, pixel_size_m=pixel_size_m).astype(np.float32)
