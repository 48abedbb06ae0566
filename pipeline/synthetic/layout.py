"""The plan of a settlement: streets cut land into blocks, blocks are cut into lots.

All lengths are metres, x to the right and y down from the picture's upper left corner.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import LineString, Polygon

from pipeline.synthetic.character import CHARACTERS, Character, Style


@dataclass(frozen=True, slots=True, kw_only=True)
class Road:
    """A street, track or path."""

    line: LineString
    """Its middle."""
    width_m: float
    """From edge to edge."""
    paved: bool
    """Asphalt or concrete; else earth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lot:
    """A piece of land with one use."""

    polygon: Polygon
    """Its outline."""
    density: float
    """How thick the settlement is here, 0 to 1."""
    works: bool
    """Part of a works, school or market: large halls and open yards."""
    style: Style
    """What is built here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreetFrame:
    """The smallest rotated rectangle around a shape."""

    x: float
    """Its centre."""
    y: float
    """Its centre."""
    ux: float
    """Unit vector along the longer side."""
    uy: float
    """Unit vector along the longer side."""
    a: float
    """Half the longer side."""
    b: float
    """Half the shorter side."""

    def at(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (n, 2) points given along the sides as points in metres."""
        turn = np.array([[self.ux, self.uy], [-self.uy, self.ux]])
        return np.asarray(points @ turn + (self.x, self.y))


def frame(polygon: Polygon) -> StreetFrame:
    """Return the smallest rotated rectangle around ``polygon``."""
    corners = shapely.get_coordinates(shapely.minimum_rotated_rectangle(polygon))
    if len(corners) < 4:
        return StreetFrame(
            x=float(corners[0, 0]), y=float(corners[0, 1]), ux=1.0, uy=0.0, a=0.0, b=0.0
        )
    x, y = corners[:4].mean(axis=0)
    first, second = corners[1] - corners[0], corners[2] - corners[1]
    long, short = (first, second) if np.hypot(*first) >= np.hypot(*second) else (second, first)
    length, breadth = float(np.hypot(*long)), float(np.hypot(*short))
    ux, uy = long / max(length, 1e-9)
    return StreetFrame(
        x=float(x), y=float(y), ux=float(ux), uy=float(uy), a=length / 2, b=breadth / 2
    )


def split_land(shape: shapely.Geometry, least_m2: float) -> list[Polygon]:
    """Return the polygons of ``shape`` that measure at least ``least_m2``."""
    return [p for p in shapely.get_parts(shape) if isinstance(p, Polygon) and p.area >= least_m2]


def _cut(
    polygon: Polygon, rng: np.random.Generator, *, bend: float, middle: float
) -> tuple[Polygon, LineString]:
    """Return what lies left of a line across the longer side, and the line."""
    box = frame(polygon)
    along = rng.uniform(-middle, middle) * box.a
    reach, count = box.b * 1.3 + 5, 14 if bend else 2
    v = np.linspace(-reach, reach, count)
    u = np.full(count, along) + rng.normal(0, 0.05) * v * bool(bend)
    if bend:
        waves = rng.normal(0, bend, 3)
        for k, wave in enumerate(waves, start=1):
            u += wave / k * np.sin(v / max(reach, 40) * np.pi * k + rng.uniform(0, 6.3))
    line = np.stack([u, v], axis=1)
    far = np.array([[-4 * box.a - 50, reach], [-4 * box.a - 50, -reach]])
    return Polygon(box.at(np.vstack([line, far]))), LineString(box.at(line))


def streets(
    rng: np.random.Generator, land: Polygon, character: Character
) -> tuple[list[Road], list[Polygon]]:
    """Return the streets over ``land`` and the blocks between them."""
    roads: list[Road] = []
    blocks: list[Polygon] = []
    # A small picture need not lie on the main street.
    todo = [(land, int(rng.integers(0, 6)) if land.area < 150_000 else 0)]
    while todo:
        area, level = todo.pop()
        if area.area < character.block_m2 * rng.uniform(0.6, 1.5):
            blocks.append(area)
            continue
        side, line = _cut(area, rng, bend=rng.uniform(1, 9), middle=0.3)
        grade = min(max(0, (level + 1) // 2), len(character.street_m) - 1)
        width = character.street_m[grade] * rng.uniform(0.85, 1.2)
        paved = bool(grade == 0 or rng.random() < character.paved)
        for part in shapely.get_parts(shapely.intersection(line, area)):
            if isinstance(part, LineString):
                roads.append(Road(line=part, width_m=width, paved=paved))
        strip = line.buffer(width / 2 + rng.uniform(0, 0.12) * width)
        for rest in (area & side, area - side):
            todo += [(p, level + 1) for p in split_land(rest - strip, 60)]
    return roads, blocks


def lots(rng: np.random.Generator, block: Polygon, target_m2: float) -> list[Polygon]:
    """Cut a block into lots of about ``target_m2``, sharing their boundaries."""
    done: list[Polygon] = []
    todo = [block]
    while todo:
        area = todo.pop()
        if area.area < target_m2 * rng.uniform(0.75, 1.9):
            done.append(area)
            continue
        side, _ = _cut(area, rng, bend=0, middle=0.2)
        todo += [p for rest in (area & side, area - side) for p in split_land(rest, 8)]
    return done


def _tier(style: Style, density: float) -> Style:
    """Return what a settlement of ``style`` looks like where it has thinned out to ``density``."""
    if style == "village" or density < 0.16:
        return "village"
    return style if density > 0.4 else "suburb"


def parcels(
    rng: np.random.Generator, land: Polygon, view: Polygon, style: Style
) -> tuple[list[Road], list[Lot]]:
    """Return the streets over ``land`` and the lots that ``view`` touches.

    A settlement thins out away from its centres: town to suburb to fields.
    """
    roads, blocks = streets(rng, land, CHARACTERS[style])
    left, top, right, bottom = view.bounds
    rural = style == "village"
    count = max(2, round(view.area / 13000)) if rural else int(rng.integers(1, 4))
    centres = rng.uniform((left, top), (right, bottom), (count, 2))
    reach = 70.0 if rural else rng.uniform(210, 480)

    def density(shape: Polygon) -> float:
        spot = shape.representative_point()
        gap = np.hypot(centres[:, 0] - spot.x, centres[:, 1] - spot.y).min()
        return float(np.exp(-((gap / reach) ** 2)))

    found: list[Lot] = []
    for block in (b for b in blocks if view.intersects(b)):
        thick = density(block)
        tier = _tier(style, thick)
        near, far = CHARACTERS[tier].lot_m2
        works = bool(tier != "village" and rng.random() < 0.09 and block.area > 900)
        if tier == "village":
            for field in lots(rng, block, far):
                thin = density(field) if rural else 0.5 * thick
                plots = lots(rng, field, far + (near - far) * thin)
                found += [Lot(polygon=p, density=thin, works=False, style=tier) for p in plots]
            continue
        target = max(far + (near - far) * thick, rng.uniform(700, 1800) if works else 0)
        plots = lots(rng, block, target)
        thick = max(thick, 0.6)
        found += [Lot(polygon=p, density=thick, works=works, style=tier) for p in plots]
    return roads, [lot for lot in found if view.intersects(lot.polygon)]


def paths(rng: np.random.Generator, doors: list[shapely.Point], roads: list[Road]) -> list[Road]:
    """Return trodden paths, each from a door to the nearest road."""
    lines = [r.line for r in roads]
    if not lines or not doors:
        return []
    found: list[Road] = []
    nearest = shapely.STRtree(lines).nearest(doors)
    for door, road in zip(doors, nearest, strict=True):
        way = shapely.get_coordinates(shapely.shortest_line(door, lines[int(road)]))
        length = float(np.hypot(*(way[1] - way[0])))
        if 4 < length < 90:
            bends = way[0] + np.linspace(0, 1, 6)[:, None] * (way[1] - way[0])
            bends[1:-1] += rng.normal(0, 0.045 * length, (4, 2))
            found.append(Road(line=LineString(bends), width_m=rng.uniform(0.9, 2.2), paved=False))
    return found
