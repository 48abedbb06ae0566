"""Overlaps counted in pixels, on whole scenes or on chips of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, Shaped

from pipeline.core.compiled import compiled
from pipeline.core.metrics.overlaps import Overlaps, candidates
from pipeline.core.metrics.run_length import RunLengths


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipPieces:
    """Polygons cut at the borders of square chips, as if each chip were an image."""

    runs: RunLengths
    """The pixels of the pieces."""
    parent: Int64[np.ndarray, " pieces"]
    """The polygon that each is a piece of; polygons in order, their chips in order."""
    chip: Int64[np.ndarray, " pieces"]
    """The chip that each lies in."""


def cut_into_chips(runs: RunLengths, *, size: int, width: int) -> ChipPieces:
    """Return the pieces of polygons in chips of ``size`` x ``size`` pixels.

    Args:
        runs: The pixels of the polygons.
        size: Edge of a chip.
        width: Columns of the scene.
    """
    across = -(-width // size)
    first, last = runs.first // size, (runs.stop - 1) // size
    times = last - first + 1
    of = np.repeat(np.arange(len(first)), times)
    col = first[of] + np.arange(len(of)) - np.repeat(np.cumsum(times) - times, times)
    chip = runs.row[of] // size * across + col
    key = runs.owner[of] * np.int64(2**40) + chip
    order = np.lexsort((runs.first[of], runs.row[of], key))
    keys, owner = np.unique(key[order], return_inverse=True)
    of, col = of[order], col[order]
    return ChipPieces(
        runs=RunLengths(
            owner=owner.astype(np.int64),
            row=runs.row[of],
            first=np.maximum(runs.first[of], col * size),
            stop=np.minimum(runs.stop[of], (col + 1) * size),
            count=len(keys),
        ),
        parent=keys // 2**40,
        chip=keys % 2**40,
    )


def chip_overlaps(pairs: Overlaps, predicted: ChipPieces, reference: ChipPieces) -> Overlaps:
    """Return the pieces that share pixels, given which whole polygons may."""
    starts = np.searchsorted(predicted.parent, np.arange(len(pairs.predicted_area) + 1))
    times = starts[pairs.predicted + 1] - starts[pairs.predicted]
    of = np.repeat(np.arange(len(pairs)), times)
    left = starts[pairs.predicted[of]] + np.arange(len(of))
    left -= np.repeat(np.cumsum(times) - times, times)
    known = reference.parent * np.int64(2**40) + reference.chip
    wanted = pairs.reference[of] * np.int64(2**40) + predicted.chip[left]
    right = np.searchsorted(known, wanted)
    hit = np.flatnonzero(right < len(known))
    hit = hit[known[right[hit]] == wanted[hit]]
    piece, other = left[hit].astype(np.int64), right[hit].astype(np.int64)
    order = np.lexsort((other, piece))
    return shared_pixels(piece[order], other[order], (predicted.runs, reference.runs))


def pixel_overlaps(
    predicted: Shaped[np.ndarray, " predictions"],
    reference: Shaped[np.ndarray, " references"],
    runs: tuple[RunLengths, RunLengths],
) -> Overlaps:
    """Return every pair that shares pixels, areas counted in pixels.

    Args:
        predicted: Polygons in pixel coordinates.
        reference: Polygons in pixel coordinates.
        runs: The pixels of both.
    """
    left, right = candidates(predicted, reference)
    return shared_pixels(left, right, runs)


def shared_pixels(
    left: Int64[np.ndarray, " pairs"],
    right: Int64[np.ndarray, " pairs"],
    runs: tuple[RunLengths, RunLengths],
) -> Overlaps:
    """Return those of the pairs ``left``, ``right`` that share pixels.

    Args:
        left: Rows of predictions.
        right: Rows of references, one for each.
        runs: The pixels of predictions and references.
    """
    piece, other = runs
    shared = _count_shared(
        np.column_stack([left, right]),
        (piece.starts(), piece.row, piece.first, piece.stop),
        (other.starts(), other.row, other.first, other.stop),
    )
    found = Overlaps(
        predicted=left,
        reference=right,
        shared=shared.astype(np.float64),
        predicted_area=piece.pixels.astype(np.float64),
        reference_area=other.pixels.astype(np.float64),
    )
    return found.where(found.shared > 0)


@compiled
def _count_shared(
    pairs: Int64[np.ndarray, "pairs 2"],
    piece: tuple[
        Int64[np.ndarray, " m"],
        Int64[np.ndarray, " p"],
        Int64[np.ndarray, " p"],
        Int64[np.ndarray, " p"],
    ],
    other: tuple[
        Int64[np.ndarray, " n"],
        Int64[np.ndarray, " q"],
        Int64[np.ndarray, " q"],
        Int64[np.ndarray, " q"],
    ],
) -> Int64[np.ndarray, " pairs"]:
    """Return how many pixels the polygons of each pair share, by merging their runs."""
    starts_a, row_a, first_a, stop_a = piece
    starts_b, row_b, first_b, stop_b = other
    shared = np.zeros(pairs.shape[0], np.int64)
    for pair in range(pairs.shape[0]):
        a, end_a = starts_a[pairs[pair, 0]], starts_a[pairs[pair, 0] + 1]
        b, end_b = starts_b[pairs[pair, 1]], starts_b[pairs[pair, 1] + 1]
        while a < end_a and b < end_b:
            if row_a[a] == row_b[b]:
                shared[pair] += max(0, min(stop_a[a], stop_b[b]) - max(first_a[a], first_b[b]))
            if (row_a[a], stop_a[a]) <= (row_b[b], stop_b[b]):
                a += 1
            else:
                b += 1
    return shared
