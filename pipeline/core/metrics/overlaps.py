"""Which predictions and references overlap, and by how much."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import shapely
from jaxtyping import Bool, Float64, Int64, Shaped

_PIECE = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlaps:
    """The pairs that share area, ordered by prediction, then reference; all others have IoU 0."""

    predicted: Int64[np.ndarray, " pairs"]
    """Row of the prediction."""
    reference: Int64[np.ndarray, " pairs"]
    """Row of the reference."""
    shared: Float64[np.ndarray, " pairs"]
    """Area that both cover, in square units of the plane."""
    predicted_area: Float64[np.ndarray, " predictions"]
    """Area of every prediction."""
    reference_area: Float64[np.ndarray, " references"]
    """Area of every reference."""

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.predicted)

    @property
    def iou(self) -> Float64[np.ndarray, " pairs"]:
        """Intersection over union of each pair, in (0, 1]."""
        whole = (
            self.predicted_area[self.predicted] + self.reference_area[self.reference] - self.shared
        )
        return np.asarray(np.minimum(self.shared / whole, 1.0), np.float64)

    def where(self, keep: Bool[np.ndarray, " pairs"]) -> Overlaps:
        """Return the pairs for which ``keep`` is True; the areas stay as they are."""
        return Overlaps(
            predicted=self.predicted[keep],
            reference=self.reference[keep],
            shared=self.shared[keep],
            predicted_area=self.predicted_area,
            reference_area=self.reference_area,
        )

    def exchanged(self) -> Overlaps:
        """Return the same pairs with predictions and references in each other's place."""
        order = np.lexsort((self.predicted, self.reference))
        return Overlaps(
            predicted=self.reference[order],
            reference=self.predicted[order],
            shared=self.shared[order],
            predicted_area=self.reference_area,
            reference_area=self.predicted_area,
        )

    def reordered(self, order: Int64[np.ndarray, " predictions"]) -> Overlaps:
        """Return the same pairs with the predictions in another order."""
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        moved = place[self.predicted]
        rows = np.lexsort((self.reference, moved))
        return Overlaps(
            predicted=moved[rows],
            reference=self.reference[rows],
            shared=self.shared[rows],
            predicted_area=self.predicted_area[order],
            reference_area=self.reference_area,
        )

    def starts(self) -> Int64[np.ndarray, " ends"]:
        """Return where each prediction's pairs begin, and the number of pairs at the end."""
        rows = np.arange(len(self.predicted_area) + 1)
        return np.asarray(np.searchsorted(self.predicted, rows), np.int64)


def overlaps(
    predicted: Shaped[np.ndarray, " predictions"], reference: Shaped[np.ndarray, " references"]
) -> Overlaps:
    """Return every pair of a prediction and a reference that share area.

    Args:
        predicted: Valid shapely polygons in any plane: IoU survives affine maps.
        reference: Valid shapely polygons in the same plane.
    """
    left, right = candidates(predicted, reference)
    shared = in_threads(_shared, predicted[left], reference[right])
    found = Overlaps(
        predicted=left,
        reference=right,
        shared=shared,
        predicted_area=np.asarray(shapely.area(predicted), np.float64),
        reference_area=np.asarray(shapely.area(reference), np.float64),
    )
    return found.where(found.shared > 0)


def candidates(
    predicted: Shaped[np.ndarray, " predictions"], reference: Shaped[np.ndarray, " references"]
) -> tuple[Int64[np.ndarray, " pairs"], Int64[np.ndarray, " pairs"]]:
    """Return pairs whose boxes meet, ordered by prediction, then reference."""
    if not len(predicted) or not len(reference):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    left, right = shapely.STRtree(reference).query(predicted)
    order = np.lexsort((right, left))
    return left[order].astype(np.int64), right[order].astype(np.int64)


def in_threads(
    measure: Callable[..., Float64[np.ndarray, " n"]], *columns: Shaped[np.ndarray, " n"]
) -> Float64[np.ndarray, " n"]:
    """Return ``measure(*columns)`` computed piece by piece, since GEOS works without the GIL."""
    count = len(columns[0])
    if count < 4 * _PIECE:
        return np.asarray(measure(*columns), np.float64)
    pieces = [slice(at, at + _PIECE) for at in range(0, count, _PIECE)]
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        found = list(pool.map(lambda piece: measure(*(one[piece] for one in columns)), pieces))
    return np.concatenate(found).astype(np.float64)


def _shared(
    one: Shaped[np.ndarray, " n"], other: Shaped[np.ndarray, " n"]
) -> Float64[np.ndarray, " n"]:
    return np.asarray(shapely.area(shapely.intersection(one, other)), np.float64)
