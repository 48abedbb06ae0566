"""Small things that stand about: cars, trucks, walls, footings, rubble."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from shapely import Polygon

from pipeline.synthetic.layout import Lot, Road, StreetFrame, frame
from pipeline.synthetic.materials import Colour, tint

PAINTS: tuple[Colour, ...] = (
    (0.86, 0.87, 0.87),
    (0.88, 0.88, 0.86),
    (0.72, 0.73, 0.74),
    (0.3, 0.31, 0.33),
    (0.12, 0.12, 0.13),
    (0.55, 0.13, 0.12),
    (0.16, 0.26, 0.5),
    (0.75, 0.62, 0.2),
    (0.45, 0.46, 0.44),
)
STUFF: tuple[Colour, ...] = (
    (0.45, 0.42, 0.38),
    (0.6, 0.57, 0.52),
    (0.35, 0.33, 0.31),
    (0.28, 0.36, 0.50),
    (0.3, 0.36, 0.24),
    (0.55, 0.36, 0.29),
    (0.75, 0.74, 0.7),
    (0.25, 0.35, 0.18),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """A prism of one colour."""

    corners: NDArray[np.float64]
    """Its outline, float64 (n, 2), metres."""
    height_m: float
    """Above what it stands on."""
    colour: Colour
    """Red, green, blue in 0 to 1."""
    owner: int
    """The building whose roof it stands on; 0 on the ground."""


def box(site: StreetFrame, u: float, v: float, a: float, b: float) -> NDArray[np.float64]:
    """Return the corners of a rectangle along the axes of ``site``, float64 (4, 2), metres."""
    return site.at(np.array([[u - a, v - b], [u + a, v - b], [u + a, v + b], [u - a, v + b]]))


def _axes(x: float, y: float, turn: float) -> StreetFrame:
    return StreetFrame(x=x, y=y, ux=float(np.cos(turn)), uy=float(np.sin(turn)), a=1.0, b=1.0)


def vehicle(rng: np.random.Generator, x: float, y: float, turn: float) -> list[Thing]:
    """Return a car, or now and then a truck, heading along ``turn`` radians."""
    site = _axes(x, y, turn)
    paint = tint(rng, PAINTS)
    if rng.random() < 0.2:
        length = rng.uniform(2.6, 4.2)
        bed = tint(
            rng,
            (
                (0.5, 0.33, 0.2),
                (0.25, 0.24, 0.23),
                (0.15, 0.3, 0.55),
                (0.6, 0.58, 0.53),
            ),
        )
        return [
            Thing(
                corners=box(site, 0, 0, length, 1.15),
                height_m=2.0,
                colour=paint,
                owner=0,
            ),
            Thing(
                corners=box(site, -0.9, 0, length - 1.1, 0.98),
                height_m=1.5,
                colour=bed,
                owner=0,
            ),
            Thing(
                corners=box(site, length - 0.5, 0, 0.25, 1.0),
                height_m=1.9,
                colour=(0.1, 0.11, 0.12),
                owner=0,
            ),
        ]
    length, glass = rng.uniform(1.8, 2.3), (0.1, 0.12, 0.14)
    return [
        Thing(corners=box(site, 0, 0, length, 0.85), height_m=0.9, colour=paint, owner=0),
        Thing(
            corners=box(site, -0.15, 0, length * 0.58, 0.75),
            height_m=1.2,
            colour=glass,
            owner=0,
        ),
        Thing(
            corners=box(site, -0.2, 0, length * 0.36, 0.72),
            height_m=1.45,
            colour=paint,
            owner=0,
        ),
    ]


def traffic(rng: np.random.Generator, roads: list[Road]) -> list[Thing]:
    """Return what drives and parks along the roads."""
    found: list[Thing] = []
    for road in roads:
        if road.width_m < 3.4:
            continue
        gap = 26.0 if road.width_m > 8 else 60.0
        for along in np.cumsum(rng.exponential(gap, int(road.line.length / gap) + 1)):
            if along >= road.line.length - 1:
                break
            here, there = road.line.interpolate(along), road.line.interpolate(along + 1)
            turn = float(np.arctan2(there.y - here.y, there.x - here.x))
            side = float(rng.choice((-1, 1))) * road.width_m * rng.choice((0.22, 0.43))
            x, y = here.x - np.sin(turn) * side, here.y + np.cos(turn) * side
            found += vehicle(rng, x, y, turn + rng.normal(0, 0.03) + (np.pi if side > 0 else 0))
        if road.paved and road.width_m > 9:
            for along in np.arange(0, road.line.length - 3, 7.0):
                here, there = (
                    road.line.interpolate(along),
                    road.line.interpolate(along + 1),
                )
                turn = float(np.arctan2(there.y - here.y, there.x - here.x))
                dash = box(_axes(here.x, here.y, turn), 1.5, 0, 1.5, 0.09)
                found.append(Thing(corners=dash, height_m=0.0, colour=(0.78, 0.78, 0.75), owner=0))
    return found


def yard(rng: np.random.Generator, lot: Lot, *, built: bool) -> list[Thing]:
    """Return walls, stores, parked trucks and the footings of houses never finished."""
    found: list[Thing] = []
    site = frame(lot.polygon)
    wall = tint(rng, ((0.6, 0.56, 0.5), (0.55, 0.38, 0.3), (0.7, 0.68, 0.64), (0.42, 0.4, 0.37)))
    if rng.random() < (0.4 if lot.density > 0.4 else 0.06):
        ring = lot.polygon.buffer(-0.3)
        if isinstance(ring, Polygon) and not ring.is_empty:
            ends = np.asarray(ring.exterior.coords)
            for start, end in pairwise(ends):
                mid, step = (start + end) / 2, end - start
                along = _axes(float(mid[0]), float(mid[1]), float(np.arctan2(step[1], step[0])))
                corners = box(along, 0, 0, float(np.hypot(*step)) / 2, 0.12)
                found.append(Thing(corners=corners, height_m=1.7, colour=wall, owner=0))
    if not built and site.b > 4 and rng.random() < 0.05 + 0.05 * lot.density:
        a, b = (
            min(site.a * 0.6, rng.uniform(3.5, 7)),
            min(site.b * 0.6, rng.uniform(2.8, 5)),
        )
        for v in (-b, 0, b):
            found.append(
                Thing(corners=box(site, 0, v, a, 0.14), height_m=0.9, colour=wall, owner=0)
            )
        for u in (-a, a * float(rng.uniform(-0.4, 0.4)), a):
            found.append(
                Thing(corners=box(site, u, 0, 0.14, b), height_m=0.9, colour=wall, owner=0)
            )
    if lot.works or rng.random() < 0.13 * lot.density:
        turn = float(np.arctan2(site.uy, site.ux)) + float(rng.choice((0, np.pi / 2)))
        x, y = site.at(rng.uniform(-0.6, 0.6, (1, 2)) * [[site.a, site.b]])[0]
        for k in range(int(rng.integers(1, 6 if lot.works else 3))):
            found += vehicle(
                rng,
                x - np.sin(turn) * 3 * k,
                y + np.cos(turn) * 3 * k,
                turn + rng.normal(0, 0.05),
            )
    for _ in range(int(rng.poisson(2.2 * lot.density))):
        x, y = site.at(rng.uniform(-0.9, 0.9, (1, 2)) * [[site.a, site.b]])[0]
        heap = _axes(float(x), float(y), float(rng.uniform(0, 6)))
        size = rng.uniform(0.3, 1.1, 2)
        corners = box(heap, 0, 0, float(size[0]), float(size[1]))
        found.append(
            Thing(
                corners=corners,
                height_m=float(rng.uniform(0.3, 1.2)),
                colour=tint(rng, STUFF),
                owner=0,
            )
        )
    return found


def stamp(things: list[Thing], *, shape: tuple[int, int], pixel_size_m: float) -> NDArray[np.int32]:
    """Return int32 (rows, cols): 1 + the index of the last thing on a pixel, 0 where none is."""
    canvas = Image.new("I", (shape[1], shape[0]), 0)
    pen = ImageDraw.Draw(canvas)
    for index, thing in enumerate(things, start=1):
        pixels = thing.corners / pixel_size_m - 0.5
        # The pen fills the pixels it ends on, which adds half a pixel all round; take it back.
        middle = pixels.mean(axis=0)
        reach = np.abs(pixels - middle).max() + 1e-9
        pixels = middle + (pixels - middle) * max(0.0, 1 - 0.4 / reach)
        pen.polygon([(float(x), float(y)) for x, y in pixels], fill=index)
    return np.asarray(canvas, np.int32)
