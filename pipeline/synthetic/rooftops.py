"""What stands on roofs: tanks, stair heads, solar panels, clutter, patches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.synthetic.houses import Building
from pipeline.synthetic.materials import METALS, Colour, tint
from pipeline.synthetic.things import STUFF, Thing, box

TANKS: tuple[Colour, ...] = (
    (0.08, 0.08, 0.09),
    (0.1, 0.1, 0.1),
    (0.12, 0.2, 0.36),
    (0.82, 0.83, 0.84),
    (0.13, 0.4, 0.3),
)


def _disc(x: float, y: float, radius: float) -> NDArray[np.float64]:
    turn = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    return np.stack([x + radius * np.cos(turn), y + radius * np.sin(turn)], axis=1)


def rooftop(rng: np.random.Generator, building: Building, owner: int) -> list[Thing]:
    """Return tanks, stair heads, panels and clutter; metal roofs carry patches and stones."""
    found: list[Thing] = []
    main = building.parts[0]
    site = main.frame

    def spot(share: float = 0.8) -> tuple[float, float]:
        return float(rng.uniform(-share, share) * site.a), float(
            rng.uniform(-share, share) * site.b
        )

    if main.material in METALS:
        for _ in range(int(rng.poisson(0.9))):
            u, v = spot()
            a, b = (
                min(site.a, rng.uniform(0.4, 1.6)),
                min(site.b, rng.uniform(0.35, 0.5)),
            )
            sheet = tint(
                rng,
                (
                    (0.75, 0.77, 0.78),
                    (0.5, 0.36, 0.28),
                    (0.4, 0.4, 0.4),
                    (0.2, 0.42, 0.66),
                ),
            )
            found.append(
                Thing(
                    corners=box(site, u, v, b, a),
                    height_m=0.02,
                    colour=sheet,
                    owner=owner,
                )
            )
        return found
    if main.shape != "flat":
        return found
    if building.outline.area > 45 and rng.random() < 0.5:
        a, b = rng.uniform(1.2, 2.2), rng.uniform(1.1, 1.6)
        u = float(rng.choice((-1, 1)) * max(site.a - a, 0))
        v = float(rng.choice((-1, 1)) * max(site.b - b, 0))
        shade = tint(rng, (main.colour, (0.66, 0.65, 0.62)), 0.06)
        found.append(Thing(corners=box(site, u, v, a, b), height_m=2.4, colour=shade, owner=owner))
    for _ in range(int(rng.poisson(1.1))):
        u, v = spot()
        x, y = site.at(np.array([[u, v]]))[0]
        radius = float(rng.uniform(0.45, 0.75))
        colour = tint(rng, TANKS)
        found.append(Thing(corners=_disc(x, y, radius), height_m=1.6, colour=colour, owner=owner))
        top = _disc(x, y, radius * 0.45)
        lid = (
            min(1, colour[0] * 1.3 + 0.05),
            min(1, colour[1] * 1.3 + 0.05),
            min(1, colour[2] * 1.3 + 0.05),
        )
        found.append(Thing(corners=top, height_m=1.75, colour=lid, owner=owner))
    if rng.random() < 0.22:
        u, v = spot(0.5)
        for k in range(int(rng.integers(1, 4))):
            panel = box(site, u + 1.15 * k, v, 0.52, min(site.b * 0.5, 0.95))
            found.append(
                Thing(
                    corners=panel,
                    height_m=0.5,
                    colour=tint(rng, ((0.07, 0.09, 0.2),)),
                    owner=owner,
                )
            )
    for _ in range(int(rng.poisson(building.outline.area / 22))):
        u, v = spot(0.92)
        size = rng.uniform(0.15, 0.85, 2)
        corners = box(site, u, v, float(size[0]), float(size[1]))
        height = float(rng.uniform(0.1, 0.7))
        found.append(Thing(corners=corners, height_m=height, colour=tint(rng, STUFF), owner=owner))
    return found
