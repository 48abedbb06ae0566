"""Polygons from a mask."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.core.compiled import compiled
from pipeline.core.polygons.fragments import Fragments, Int32, Int64
from pipeline.core.polygons.link import edge_rings, group_rings, link_edges
from pipeline.core.union_find import unite

Labels = npt.NDArray[np.uint8] | Int32
Weights = npt.NDArray[np.uint8]

LIMIT = 2**30
"""Most pixels in one call: edges, two a run, are counted in 32 bits."""

ONE = np.uint64(1)
TOP = np.uint64(61)
LOWEST = np.uint64(sum(place << (61 - 8 * place) for place in range(8)))
"""Times ``2 ** (8 * place)``, its top three bits are ``place``: the lowest byte set."""


def trace(
    labels: npt.NDArray[Any], weights: npt.NDArray[Any], *, row: int = 0, col: int = 0
) -> Fragments:
    """Return each region of equal label as a polygon along its pixels' edges.

    A region is what steps to the four neighbours can reach. Rasterized, the
    polygons give ``labels`` back; each is valid by OGC's rules; GDAL's polygonize
    with 4 neighbours returns the same ones.

    Args:
        labels: (rows, cols), uint8 or int32; 0 is background.
        weights: (rows, cols), uint8, summed over each region.
        row: The scene's row of ``labels[0, 0]``.
        col: The scene's column of ``labels[0, 0]``.

    Returns:
        The polygons, in reading order of their anchors.

    Raises:
        ValueError: The arrays do not fit each other, or are too many pixels at once.
    """
    if labels.ndim != 2 or labels.dtype not in (np.uint8, np.int32):
        raise ValueError(f"labels are {labels.ndim}-d {labels.dtype}; give 2-d uint8 or int32")
    if weights.shape != labels.shape or weights.dtype != np.uint8:
        raise ValueError(
            f"weights are {weights.shape} {weights.dtype}; give uint8 of the labels' {labels.shape}"
        )
    if labels.size > LIMIT:
        raise ValueError(
            f"{labels.size} pixels, at most {LIMIT}; trace tile by tile and merge the fragments"
        )
    if not labels.size:
        return Fragments.empty()
    # One layout, writable, so that each kind of labels is compiled for once.
    labels, weights = (np.require(array, requirements=["C", "W"]) for array in (labels, weights))
    runs, keys, owners, run_offsets = _runs(labels)
    regions = _regions(runs, run_offsets, weights, owners)
    offsets = 2 * run_offsets
    tops = np.arange(row, row + labels.shape[0], dtype=np.int32)
    levels = np.stack([tops, tops + np.int32(1)], axis=1)
    keys += np.int32(2 * col)
    linked = link_edges(keys, owners, offsets, len(regions))
    traced = edge_rings(keys, owners, offsets, levels, linked)
    coords, ring_offsets, polygon_offsets = group_rings(*traced, len(regions))
    return Fragments(
        coords=coords,
        ring_offsets=ring_offsets,
        polygon_offsets=polygon_offsets,
        label=regions[:, 0].astype(np.int32),
        pixels=regions[:, 1].copy(),
        weight=regions[:, 2].copy(),
        row=(regions[:, 3] + row).astype(np.int32),
        col=(regions[:, 4] + col).astype(np.int32),
    )


@compiled
def _runs(labels: Labels) -> tuple[Int32, Int32, Int32, Int64]:
    """Cut each row into runs of equal label, background left out.

    Returns:
        Runs (n, 3) as label, start and end; the keys of their edges, as ``link``
        takes them; the run of each edge; offsets of the rows into the runs.
    """
    rows, cols = labels.shape
    words = cols // 8 + 1
    changes = np.zeros(words, np.uint64)
    changed = changes.view(np.uint8)
    capacity = cols + 1 + rows * cols // 32
    runs = np.empty((capacity, 3), np.int32)
    keys = np.empty(2 * capacity, np.int32)
    owners = np.empty(2 * capacity, np.int32)
    offsets = np.zeros(rows + 1, np.int64)
    count = 0
    used = 0
    for row in range(rows):
        if count + cols > capacity:
            capacity = 2 * capacity + cols
            runs = _grown(runs, capacity)
            keys = _longer(keys, 2 * capacity)
            owners = _longer(owners, 2 * capacity)
        line = labels[row]
        # One comparison a pixel, in vectors; then eight unchanged pixels are one look.
        changed[0] = line[0] != 0
        for col in range(1, cols):
            changed[col] = line[col] != line[col - 1]
        changed[cols] = line[cols - 1] != 0
        inside = 0
        for word in range(words):
            left = changes[word]
            while left != 0:
                at = 8 * word + np.int64(((left & (~left + ONE)) * LOWEST) >> TOP)
                left &= left - ONE
                label = line[at] if at < cols else 0
                # Left edges sort before right ones of the same column.
                if label != 0:
                    keys[used] = 2 * at
                    owners[used] = count
                    used += 1
                if inside != 0:
                    keys[used] = 2 * at + 1
                    owners[used] = count - 1
                    used += 1
                    runs[count - 1, 2] = at
                if label != 0:
                    runs[count, 0] = label
                    runs[count, 1] = at
                    count += 1
                inside = label
        offsets[row + 1] = count
    return runs[:count], keys[:used], owners[:used], offsets


@compiled
def _longer(array: Int32, length: int) -> Int32:
    """Return the array with room for ``length`` elements."""
    longer = np.empty(length, np.int32)
    for place in range(len(array)):
        longer[place] = array[place]
    return longer


@compiled
def _grown(array: Int32, length: int) -> Int32:
    """Return the table with room for ``length`` rows."""
    grown = np.empty((length, array.shape[1]), np.int32)
    # Element by element: assigning a slice of a table takes six seconds to compile.
    for place in range(len(array)):
        for column in range(array.shape[1]):
            grown[place, column] = array[place, column]
    return grown


@compiled
def _regions(runs: Int32, offsets: Int64, weights: Weights, owners: Int32) -> Int64:
    """Join runs of equal label that lie upon each other; number the regions in order.

    Args:
        runs: As ``_runs`` returns them.
        offsets: As ``_runs`` returns them.
        weights: Summed over each region.
        owners: The run of each edge, replaced by its region.

    Returns:
        Label, pixels, weight, and row and column of the first pixel, of each region.
    """
    parent = _parents(runs, offsets)
    count = 0
    for run in range(len(runs)):
        count += parent[run] == run
    regions = np.zeros((count, 5), np.int64)
    count = 0
    for row in range(len(offsets) - 1):
        for run in range(offsets[row], offsets[row + 1]):
            if parent[run] == run:
                region = count
                count += 1
                regions[region, 0] = runs[run, 0]
                regions[region, 3] = row
                regions[region, 4] = runs[run, 1]
            else:
                # A parent comes first, so it holds its region's number already.
                region = parent[parent[run]]
            parent[run] = region
            total = 0
            for col in range(runs[run, 1], runs[run, 2]):
                total += int(weights[row, col])
            regions[region, 1] += runs[run, 2] - runs[run, 1]
            regions[region, 2] += total
    for edge in range(len(owners)):
        owners[edge] = parent[owners[edge]]
    return regions


@compiled
def _parents(runs: Int32, offsets: Int64) -> Int32:
    """Return for each run an earlier run of its region, or itself where it is the first."""
    parent = np.arange(len(runs)).astype(np.int32)
    for row in range(1, len(offsets) - 1):
        upper = offsets[row - 1]
        lower = offsets[row]
        while upper < offsets[row] and lower < offsets[row + 1]:
            if (
                runs[upper, 0] == runs[lower, 0]
                and runs[upper, 1] < runs[lower, 2]
                and runs[lower, 1] < runs[upper, 2]
            ):
                unite(parent, upper, lower)
            if runs[upper, 2] <= runs[lower, 2]:
                upper += 1
            else:
                lower += 1
    return parent
