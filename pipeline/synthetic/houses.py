"""Buildings on their lots: outlines, roof parts and what stands on the roofs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from shapely import Polygon

from pipeline.synthetic.character import CHARACTERS, Character
from pipeline.synthetic.layout import Lot, StreetFrame, frame, split_land
from pipeline.synthetic.materials import METALS, ROOF_COLOURS, Colour, pick, tint

SMALLEST_M2, LARGEST_M2 = 15.0, 600.0
SHAPES = ("flat", "shed", "gable", "hip")


@dataclass(frozen=True, slots=True, kw_only=True)
class RoofPart:
    """One plane, gable or hip of a roof."""

    outline: Polygon
    """What it covers, in metres."""
    frame: StreetFrame
    """Its axes: a ridge runs along the longer one."""
    eaves_m: float
    """Height of its lowest edge over ground."""
    slope: float
    """Rise over run."""
    shape: str
    """One of ``SHAPES``."""
    material: str
    """One of ``MATERIALS``."""
    colour: Colour
    """Red, green, blue in 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Building:
    """One roof outline with its parts."""

    outline: Polygon
    """What is seen of it from above, in metres."""
    parts: tuple[RoofPart, ...]
    """Roof parts; where two cover a spot the higher one is seen."""


def _part(
    rng: np.random.Generator,
    outline: Polygon,
    box: StreetFrame,
    *,
    eaves_m: float,
    material: str,
    colour: Colour,
) -> RoofPart:
    shape, slope = "flat", 0.0
    if material in METALS:
        shape = ("shed", "gable", "hip")[int(rng.choice(3, p=(0.4, 0.47, 0.13)))]
        slope = rng.uniform(0.06, 0.2) if shape == "shed" else rng.uniform(0.16, 0.42)
    elif material == "tile":
        shape, slope = ("gable", "hip")[int(rng.integers(2))], rng.uniform(0.4, 0.75)
    elif material == "thatch":
        shape, slope = (
            ("gable", "hip", "hip")[int(rng.integers(3))],
            rng.uniform(0.6, 1.0),
        )
    return RoofPart(
        outline=outline,
        frame=box,
        eaves_m=eaves_m,
        slope=float(slope),
        shape=shape,
        material=material,
        colour=colour,
    )


def _rect(box: StreetFrame, u: float, v: float, a: float, b: float) -> tuple[Polygon, StreetFrame]:
    """Return a rectangle given along the sides of ``box``: centre and half sides."""
    corners = np.array([[u - a, v - b], [u + a, v - b], [u + a, v + b], [u - a, v + b]], float)
    x, y = box.at(np.array([[u, v]], float))[0]
    axes = StreetFrame(x=float(x), y=float(y), ux=box.ux, uy=box.uy, a=a, b=b)
    if b > a:
        axes = StreetFrame(x=float(x), y=float(y), ux=-box.uy, uy=box.ux, a=b, b=a)
    return Polygon(box.at(corners)), axes


def _attached(rng: np.random.Generator, lot: Lot, character: Character) -> Building | None:
    """Build from wall to wall, leaving a yard at one end."""
    box = frame(lot.polygon)
    keep = rng.uniform(0.62, 1.0) if rng.random() < 0.6 else 1.0
    front = 1 if rng.random() < 0.5 else -1
    shell, _ = _rect(box, front * box.a * (1 - keep), 0, box.a * keep + 0.01, box.b * 1.1 + 1)
    rooms = split_land(lot.polygon & shell if keep < 1 else lot.polygon, SMALLEST_M2)
    if not rooms:
        return None
    outline = max(rooms, key=lambda p: float(p.area))
    box = frame(outline)
    if box.b < 1.8 or outline.area < 0.62 * 4 * box.a * box.b:
        return None
    material = pick(rng, character.roofs)
    low, high = character.storeys
    eaves = 3.0 * float(np.floor(low + (high - low) * rng.beta(1.3, 2.4))) + rng.uniform(0, 0.6)
    colour = tint(rng, ROOF_COLOURS[material])
    parts = [_part(rng, outline, box, eaves_m=eaves, material=material, colour=colour)]
    for _ in range(int(rng.choice(4, p=(0.28, 0.37, 0.25, 0.1)))):
        # Upper rooms, lean-tos and roofs over half the terrace: the patchwork of an old town.
        a, b = (
            box.a * rng.uniform(0.25, 0.6),
            box.b * rng.choice((rng.uniform(0.35, 0.7), 1.05)),
        )
        u, v = (
            rng.choice((-1, 1)) * (box.a - a),
            rng.choice((-1, 1)) * max(box.b - b, 0),
        )
        patch, axes = _rect(box, float(u), float(v), float(a), float(b))
        shape = split_land(outline & patch, 4)
        if len(shape) == 1:
            other = material if rng.random() < 0.35 else pick(rng, character.roofs)
            other = "concrete" if other in ("tile", "thatch") else other
            top = (
                eaves
                + max((p.slope * p.frame.b for p in parts), default=0)
                + rng.choice((0.5, 1.2, 2.6))
            )
            look = tint(rng, ROOF_COLOURS[other])
            parts.append(
                _part(rng, shape[0], axes, eaves_m=float(top), material=other, colour=look)
            )
    return Building(outline=outline, parts=tuple(parts))


def _rooms(rng: np.random.Generator, a: float, b: float) -> list[tuple[float, float, float, float]]:
    """Return rectangles (u, v, a, b) that make up a house of half sides ``a``, ``b``."""
    kind = int(rng.choice(5, p=(0.5, 0.2, 0.1, 0.08, 0.12)))
    if (kind in (1, 2) and b < 4.2) or (kind == 3 and b < 6.5) or b < 2.5:
        kind = 0
    wing = float(rng.uniform(0.38, 0.5))
    side = float(rng.choice((-1, 1)))
    if kind == 1:  # L
        return [
            (0, -b * (1 - wing), a, b * wing),
            (side * (a - b * wing), 0, b * wing, b),
        ]
    if kind == 2:  # T
        return [(0, -b * (1 - wing), a, b * wing), (side * a * 0.2, 0, b * wing, b)]
    if kind == 3:  # U
        thick = b * 0.32
        return [
            (0, -b + thick, a, thick),
            (-a + thick, 0, thick, b),
            (a - thick, 0, thick, b),
        ]
    if kind == 4:  # a house and its lower annexe
        return [
            (0, -b * 0.2, a, b * 0.8),
            (side * a * 0.35, b * 0.75, a * 0.5, b * 0.25),
        ]
    return [(0, 0, a, b)]


def _detached(
    rng: np.random.Generator, lot: Lot, character: Character, taken: list[Polygon]
) -> Building | None:
    """Set a house of one or more wings somewhere on the lot."""
    box = frame(lot.polygon)
    land = lot.polygon.buffer(-rng.uniform(0.5, 1.6))
    area = rng.uniform(260, 590) if lot.works else float(np.clip(rng.lognormal(4.45, 0.5), 22, 260))
    if taken:
        area = rng.uniform(16, 40)
    ratio = rng.uniform(1.0, 1.9) if not lot.works else rng.uniform(1.6, 4.0)
    b = float(np.sqrt(area / ratio)) / 2
    a = b * ratio
    turn = float(rng.normal(0, 0.06)) + float(rng.choice((0, np.pi / 2), p=(0.8, 0.2)))
    material = pick(rng, character.roofs)
    eaves = 2.7 * float(np.floor(rng.uniform(*character.storeys))) + rng.uniform(0, 0.8)
    if taken:
        eaves, material = rng.uniform(2.0, 2.7), ("rust", "zinc")[int(rng.integers(2))]
    colour = tint(rng, ROOF_COLOURS[material])
    cos, sin = np.cos(turn), np.sin(turn)
    for _ in range(5):
        spot = box.at(rng.uniform(-0.45, 0.45, (1, 2)) * [[box.a, box.b]])[0]
        site = StreetFrame(
            x=float(spot[0]),
            y=float(spot[1]),
            ux=float(box.ux * cos - box.uy * sin),
            uy=float(box.ux * sin + box.uy * cos),
            a=a,
            b=b,
        )
        rects = [_rect(site, *room) for room in _rooms(rng, a, b)]
        outline = shapely.union_all([r for r, _ in rects])
        if not isinstance(outline, Polygon):
            continue
        fits = land.contains(outline)
        if (
            fits
            and outline.area >= SMALLEST_M2
            and not any(outline.distance(t) < 0.8 for t in taken)
        ):
            parts = [
                _part(
                    rng,
                    rects[0][0],
                    rects[0][1],
                    eaves_m=eaves,
                    material=material,
                    colour=colour,
                )
            ]
            for rect, axes in rects[1:]:
                like = parts[0]
                parts.append(
                    RoofPart(
                        outline=rect,
                        frame=axes,
                        eaves_m=eaves - (0.0 if axes.b > 2 else 0.3),
                        slope=like.slope,
                        shape=like.shape,
                        material=material,
                        colour=colour,
                    )
                )
            return Building(outline=outline, parts=tuple(parts))
        a, b = a * 0.84, b * 0.84
    return None


def build_houses(rng: np.random.Generator, lot: Lot) -> list[Building]:
    """Return the buildings of one lot: often one, sometimes with a shed, sometimes none."""
    character = CHARACTERS[lot.style]
    thin = 0.1 + 0.9 * lot.density if lot.style == "village" else 1.0
    if rng.random() > character.built * thin:
        return []
    if not lot.works and lot.polygon.area < LARGEST_M2 and rng.random() < character.attached:
        house = _attached(rng, lot, character)
        return [house] if house else []
    found: list[Building] = []
    for _ in range(1 + int(rng.random() < 0.35) + int(rng.random() < 0.12)):
        house = _detached(rng, lot, character, [b.outline for b in found])
        if house:
            found.append(house)
    return found
