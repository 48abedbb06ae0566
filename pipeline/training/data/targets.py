"""Training targets of a crop's building instances.

Instances are int arrays: 0 is ground, every other number one building.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.core.compiled import compiled

CONTACT_SCALE = 250
"""A contact map of 250 weighs w0 times, one of 0 nothing extra."""


def buildings(instances: NDArray[np.int32], *, gap: bool) -> NDArray[np.uint8]:
    """Return 1 on buildings; with ``gap``, 0 where a pixel's edge touches another building."""
    inside = (instances > 0).astype(np.uint8)
    if gap:
        across = (instances[:, 1:] != instances[:, :-1]) & (inside[:, 1:] & inside[:, :-1] > 0)
        down = (instances[1:] != instances[:-1]) & (inside[1:] & inside[:-1] > 0)
        inside[:, 1:][across] = 0
        inside[:, :-1][across] = 0
        inside[1:][down] = 0
        inside[:-1][down] = 0
    return inside


def interiors(instances: NDArray[np.int32], *, radius: float) -> NDArray[np.uint8]:
    """Return 1 where everything within ``radius`` pixels is the same building.

    Beyond the crop nothing is known: a building is not eroded from the crop's edge.
    """
    reach = int(radius)
    offsets = np.array(
        [
            (row, col)
            for row in range(-reach, reach + 1)
            for col in range(-reach, reach + 1)
            if 0 < row * row + col * col <= radius * radius
        ],
        np.int64,
    ).reshape(-1, 2)
    return _same_around(instances, offsets)


@compiled
def _same_around(
    instances: NDArray[np.int32], offsets: NDArray[np.int64]
) -> NDArray[np.uint8]:  # pragma: no cover - compiled
    height, width = instances.shape
    out = np.zeros((height, width), np.uint8)
    for row in range(height):
        for col in range(width):
            own = instances[row, col]
            if own == 0:
                continue
            same = 1
            for k in range(offsets.shape[0]):
                r = row + offsets[k, 0]
                c = col + offsets[k, 1]
                if 0 <= r < height and 0 <= c < width and instances[r, c] != own:
                    same = 0
                    break
            out[row, col] = same
    return out


def contact_map(instances: NDArray[np.int32], *, sigma: float) -> NDArray[np.uint8]:
    """Return ``exp(-(d1 + d2)^2 / (2 sigma^2))`` times `CONTACT_SCALE`.

    d1 and d2 are the distances to the nearest and second nearest building, in
    pixels; on a building d1 is 0, so that both sides of a shared wall count too.

    Source: Ronneberger et al. 2015, equation 2, there on the background only.
    """
    reach = 3.0 * sigma
    margin = int(reach) + 1
    first = np.full(instances.shape, reach, np.float32)
    second = first.copy()
    for number, box in enumerate(ndimage.find_objects(instances), start=1):
        if box is None:
            continue
        grown = tuple(
            slice(max(side.start - margin, 0), min(side.stop + margin, length))
            for side, length in zip(box, instances.shape, strict=True)
        )
        here = ndimage.distance_transform_edt(instances[grown] != number).astype(np.float32)
        nearest = np.minimum(first[grown], here)
        second[grown] = np.minimum(second[grown], np.maximum(first[grown], here))
        first[grown] = nearest
    weight = np.exp(-np.square(first + second) / (2.0 * sigma * sigma))
    weight[second >= reach] = 0.0
    return np.asarray(np.rint(weight * CONTACT_SCALE), np.uint8)
