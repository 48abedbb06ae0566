"""Holes of traced polygons: area and removal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from pipeline.core.outlines.corners import Float64
from pipeline.core.outlines.touching import Int64
from pipeline.core.polygons.fragments import Fragments


def holes(fragments: Fragments) -> tuple[Int64, Float64, Float64]:
    """Return each hole's ring, its area in pixels, and the middle of its box as x, y."""
    places = np.setdiff1d(np.arange(len(fragments.ring_offsets) - 1), fragments.polygon_offsets)
    if not len(places):
        return places, np.empty(0), np.empty((0, 2))
    coords = fragments.coords.astype(np.int64)
    after = np.roll(coords, -1, axis=0)
    # What leads from one ring to the next is no edge.
    cross = coords[:, 0] * after[:, 1] - coords[:, 1] * after[:, 0]
    cross[fragments.ring_offsets[1:] - 1] = 0
    begins = fragments.ring_offsets[:-1]
    areas = np.abs(np.add.reduceat(cross, begins))[places] / 2
    low, high = np.minimum.reduceat(coords, begins), np.maximum.reduceat(coords, begins)
    return places, areas, (low + high)[places] / 2


def without_rings(fragments: Fragments, removed: npt.NDArray[np.integer]) -> Fragments:
    """Return the polygons less some rings, which are holes; pixels and weights stay.

    So a mean over a polygon goes on being one over its own pixels.
    """
    stays = np.ones(len(fragments.ring_offsets) - 1, bool)
    stays[removed] = False
    lengths = np.diff(fragments.ring_offsets)
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(stays)])
    return replace(
        fragments,
        coords=fragments.coords[np.repeat(stays, lengths)],
        ring_offsets=np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths[stays])]),
        polygon_offsets=before[fragments.polygon_offsets],
    )
