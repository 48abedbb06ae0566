"""A settlement, from plan to picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import Polygon

from pipeline.synthetic import ground, houses, layout, light, roofs, rooftops, things, trees
from pipeline.synthetic.character import Style
from pipeline.synthetic.noise import Field


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SyntheticScene:
    """A picture of a settlement and the truth about its roofs."""

    image: NDArray[np.uint8]
    """(3, rows, cols): red, green, blue."""
    instances: NDArray[np.int32]
    """(rows, cols): 0 is ground, k is the roof of building k, also where a tree hangs over it."""
    polygons: tuple[Polygon, ...]
    """Roof outlines in pixels, x = col, y = row; the first is building 1. None overlaps another."""
    pixel_size_m: float
    """Metres a pixel."""


def _in_view(
    found: list[houses.Building], view: Polygon, pixel_size_m: float
) -> list[houses.Building]:
    """Return the buildings cut to the picture; scraps at its edge are left out."""
    least = max(houses.SMALLEST_M2, 20 * pixel_size_m**2)
    kept: list[houses.Building] = []
    for building in found:
        outline = building.outline
        if not view.contains(outline):
            seen = layout.split_land(outline & view, least)
            if len(seen) != 1:
                continue
            outline = seen[0]
        if houses.SMALLEST_M2 <= outline.area <= houses.LARGEST_M2:
            kept.append(houses.Building(outline=outline, parts=building.parts))
    return kept


def _facing(height: Field, sun: light.Sun, pixel_size_m: float) -> Field:
    """Return the cosine between a rough surface and the sun over that of level ground."""
    down, right = np.gradient(height, np.float32(pixel_size_m))
    cosine = (sun.z - right * sun.x - down * sun.y) / np.sqrt(1 + right**2 + down**2)
    return np.asarray(np.clip(cosine / np.float32(sun.z), 0.45, 1.32), np.float32)


def settlement(
    *,
    seed: int,
    height: int = 1536,
    width: int = 2048,
    pixel_size_m: float = 0.3,
    style: Style | None = None,
) -> SyntheticScene:
    """Return a settlement seen from above; the same arguments give the same bytes.

    Args:
        seed: Chooses everything that is not given.
        height: Rows.
        width: Columns.
        pixel_size_m: Metres a pixel, 0.1 to 0.6.
        style: Town, suburb or village; by default the seed chooses.

    Raises:
        ValueError: ``pixel_size_m`` is outside 0.05 to 1.
    """
    if not 0.05 <= pixel_size_m <= 1:
        raise ValueError(
            f"pixel_size_m is {pixel_size_m}; made scenes can be drawn at 0.05 to 1 metres a pixel"
        )
    rng = np.random.default_rng(seed)
    chosen: Style = ("suburb", "village", "town")[int(rng.integers(3))]
    shape = (height, width)
    view = shapely.box(0, 0, width * pixel_size_m, height * pixel_size_m)
    middle = view.centroid
    land = shapely.affinity.rotate(
        view.buffer(22, join_style="mitre"), rng.uniform(-40, 40), origin=middle
    )
    land = shapely.affinity.scale(land, 1.45, 1.45, origin=middle)
    roads, lots = layout.parcels(rng, land, view, style or chosen)
    per_lot = [houses.build_houses(rng, lot) for lot in lots]
    uses = ground.land_use(rng, lots, [bool(b) for b in per_lot])
    doors = [
        group[0].outline.centroid
        for lot, group in zip(lots, per_lot, strict=True)
        if group and lot.style != "town" and rng.random() < 0.75
    ]
    roads += layout.paths(rng, doors, roads)
    buildings = _in_view([b for group in per_lot for b in group], view, pixel_size_m)
    outlines = [b.outline for b in buildings]
    # Shared corners become the same number: overlays of corners 1e-16 apart go wrong.
    pixels = tuple(shapely.transform(p, lambda c: np.round(c / pixel_size_m, 9)) for p in outlines)
    labels = roofs.burn(
        [(p, k) for k, p in enumerate(pixels, start=1)], shape=shape, pixel_size_m=1.0
    )

    sun = light.sunlight(rng)
    albedo, plants = ground.paint_ground(
        rng, (roads, lots, uses), labels, pixel_size_m=pixel_size_m
    )
    tall = np.where(labels > 0, np.float32(0), plants)
    built = np.zeros(shape, np.float32)
    facing = np.ones(shape, np.float32)
    roofs.paint_roofs(
        rng, buildings, labels, (albedo, built, facing), sun=sun, pixel_size_m=pixel_size_m
    )
    objects = things.traffic(rng, roads)
    for lot, group in zip(lots, per_lot, strict=True):
        objects += things.yard(rng, lot, built=bool(group))
    for k, building in enumerate(buildings, start=1):
        objects += rooftops.rooftop(rng, building, k)
    _place(objects, labels, (albedo, built), pixel_size_m=pixel_size_m)
    tall = np.maximum(tall, built)
    _lean(rng, labels, (albedo, built, tall), sun=sun, pixel_size_m=pixel_size_m)
    under = trees.plant(
        rng,
        trees.forest(rng, (lots, uses)),
        (albedo, tall),
        blocked=built + ground.carriageways(roads, shape=shape, pixel_size_m=pixel_size_m),
        pixel_size_m=pixel_size_m,
    )
    rough = under | ((labels == 0) & (built == 0))
    facing = np.where(rough, _facing(tall, sun, pixel_size_m), facing)
    colours = light.lit(albedo, tall, facing, sun=sun, pixel_size_m=pixel_size_m)
    picture = light.photograph(rng, colours)
    return SyntheticScene(
        image=np.ascontiguousarray(picture.transpose(2, 0, 1)),
        instances=labels,
        polygons=pixels,
        pixel_size_m=pixel_size_m,
    )


def _place(
    objects: list[things.Thing],
    labels: roofs.Labels,
    canvas: tuple[Field, Field],
    *,
    pixel_size_m: float,
) -> None:
    """Paint things onto albedo and height where they stand on their own roof or on the ground."""
    albedo, height = canvas
    which = things.stamp(objects, shape=labels.shape, pixel_size_m=pixel_size_m)
    owners = np.array([-1] + [t.owner for t in objects], np.int32)
    spots = np.flatnonzero((which > 0) & (owners[which] == labels))
    number = which.ravel()[spots]
    colours = np.array([(0, 0, 0)] + [t.colour for t in objects], np.float32)
    heights = np.array([0] + [t.height_m for t in objects], np.float32)
    albedo.reshape(-1, 3)[spots] = colours[number]
    height.reshape(-1)[spots] += heights[number]


def _lean(
    rng: np.random.Generator,
    labels: roofs.Labels,
    canvas: tuple[Field, Field, Field],
    *,
    sun: light.Sun,
    pixel_size_m: float,
) -> None:
    """Paint the walls that show where the camera did not look straight down."""
    albedo, built, tall = canvas
    slant, way = max(1e-3, rng.normal(0.09, 0.07)), rng.uniform(0, 2 * np.pi)
    right, down = float(np.cos(way)), float(np.sin(way))
    roofed = built * (labels > 0)
    high, whose = light.walls(roofed, labels, dx=right, dy=down, drop=pixel_size_m / slant)
    row, col = np.nonzero(high)
    level, owner = high[row, col], whose[row, col]
    paint = np.array(
        ((0.62, 0.57, 0.5), (0.5, 0.36, 0.3), (0.68, 0.66, 0.62), (0.6, 0.5, 0.42)), np.float32
    )
    along = (col * down - row * right) * pixel_size_m
    window = (level % 3 > 1) & (level % 3 < 2.2) & ((along + owner) % 2.7 < 1.2)
    shade = np.float32(0.95 if right * sun.x + down * sun.y > 0 else 0.6)
    albedo[row, col] = paint[owner % 4] * np.where(window, 0.45, 1)[:, None] * shade
    tall[row, col] = np.maximum(level, tall[row, col])
    built[row, col] = level
