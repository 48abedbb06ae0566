"""Colours that stand out from a picture and from each other."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

SAMPLE = 600
"""Pixels of the imagery that are looked at."""
CLOSEST = 5
"""Percentile of the distances to them that counts: a few pixels may be of any colour."""


def contrasting(images: Sequence[NDArray[np.uint8]], *, count: int = 3) -> list[str]:
    """Return colours as ``#rrggbb``: of 24 vivid ones those that are farthest from all else.

    The smallest of their distances in CIELAB is the largest possible, both to each other
    and to the imagery. The greenest comes first, the reddest last.

    Args:
        images: (rows, cols, 3) each.
        count: How many colours.
    """
    vivid = np.array(
        [colorsys.hsv_to_rgb(hue / 12, 1.0, value) for hue in range(12) for value in (1.0, 0.75)]
    )
    seen = np.concatenate([image.reshape(-1, 3) for image in images]) if images else vivid * 0
    sample = seen[:: max(1, len(seen) // SAMPLE)] / 255.0
    own, others = lab(vivid), lab(sample)
    apart = np.linalg.norm(own[:, None] - own[None], axis=2)
    off = np.percentile(np.linalg.norm(own[:, None] - others[None], axis=2), CLOSEST, axis=1)

    def worst(chosen: tuple[int, ...]) -> float:
        pairs = [apart[one, other] for one, other in combinations(chosen, 2)]
        return float(min(*pairs, *(off[one] for one in chosen)))

    best = max(combinations(range(len(vivid)), count), key=worst)
    ordered = sorted(best, key=lambda one: own[one, 1])
    return ["#" + "".join(f"{round(255 * part):02x}" for part in vivid[one]) for one in ordered]


def lab(colours: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return CIELAB values of sRGB colours from 0 to 1, (n, 3), under D65.

    Source: IEC 61966-2-1 and CIE 15.
    """
    linear = np.where(colours > 0.04045, ((colours + 0.055) / 1.055) ** 2.4, colours / 12.92)
    matrix = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    xyz = linear @ matrix.T / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = f.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)
