"""Polygons as text that a page decodes: quarter pixels, differences, variable-length numbers."""

from __future__ import annotations

import base64

import numpy as np
import shapely
from jaxtyping import Int64, Shaped, UInt8, UInt64

STEPS = 4
"""Steps of a pixel that coordinates are rounded to."""


def encode_polygons(polygons: Shaped[np.ndarray, " n"]) -> dict[str, str | int]:
    """Return polygons as two texts of numbers in base64.

    ``counts``: for each polygon its number of rings, then their numbers of points, the
    repeated last one not counted. ``points``: for each point the difference in x and y
    to the one before it, whatever ring that is in, zigzag-coded (0, -1, 1, -2, ...).

    Args:
        polygons: Shapely Polygons in pixels.
    """
    rings, ring_of = shapely.get_rings(polygons, return_index=True)
    points, point_of = shapely.get_coordinates(rings, return_index=True)
    last = np.append(point_of[1:] != point_of[:-1], [True])[: len(point_of)]
    points, point_of = points[~last], point_of[~last]
    sizes = np.bincount(point_of, minlength=len(rings)).astype(np.int64)
    many = np.bincount(ring_of, minlength=len(polygons)).astype(np.int64)
    # A polygon's number of rings stands before the sizes of its rings.
    first = np.searchsorted(ring_of, np.arange(len(polygons)))
    counts = np.insert(sizes, first, many) if len(polygons) else sizes
    whole = np.rint(points * STEPS).astype(np.int64)
    steps = np.diff(whole, axis=0, prepend=np.zeros((1, 2), np.int64)).ravel()
    return {
        "n": len(polygons),
        "counts": base64.b64encode(_varints(counts)).decode(),
        "points": base64.b64encode(_varints((steps << 1) ^ (steps >> 63))).decode(),
    }


def bytes_text(values: UInt8[np.ndarray, " n"]) -> str:
    """Return bytes in base64."""
    return base64.b64encode(np.ascontiguousarray(values, np.uint8).tobytes()).decode()


def floats_text(values: Shaped[np.ndarray, " n"]) -> str:
    """Return numbers in base64, four bytes each, low ones first."""
    return base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode()


def _varints(values: Int64[np.ndarray, " n"]) -> bytes:
    """Return numbers in groups of seven bits, low ones first; the eighth bit: more follow."""
    rest: UInt64[np.ndarray, " n"] = values.astype(np.uint64)
    length = np.ones(len(rest), np.int64)
    for bits in range(7, 63, 7):
        length += rest >= np.uint64(1) << np.uint64(bits)
    ends = np.cumsum(length)
    found = np.zeros(int(ends[-1]) if len(ends) else 0, np.uint8)
    for group in range(int(length.max(initial=0))):
        here = length > group
        value = (rest[here] >> np.uint64(7 * group)) & np.uint64(127)
        more = (length[here] > group + 1).astype(np.uint64) << np.uint64(7)
        found[(ends - length)[here] + group] = (value | more).astype(np.uint8)
    return found.tobytes()
