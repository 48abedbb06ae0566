"""Change detection between two layers of footprints."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from jaxtyping import Bool, Float64, Int64

from pipeline.core.conflation.observations import COVERED
from pipeline.core.conflation.pairs import Pairs
from pipeline.core.conflation.union import pair_one_to_one
from pipeline.core.union_find import component_numbers

_SLACK = 1e-6


class Fate(IntEnum):
    """What a footprint has become, or has come from."""

    SAME = 0
    """It is in both layers, but for noise."""
    CHANGED = 1
    """The other layer shows a building there, of another outline or size."""
    ALONE = 2
    """The other layer has mapped the place and shows no building there: added or removed."""
    UNSEEN = 3
    """Less than half of it lies on ground that both layers have mapped, or it was cut there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """How much two outlines of an unchanged building may differ."""

    iou: float
    """They overlap at least so much, intersection over union."""
    area: float
    """Their areas differ by at most this share of the larger."""

    def holds(
        self,
        a: Float64[np.ndarray, " n"],
        b: Float64[np.ndarray, " n"],
        shared: Float64[np.ndarray, " n"],
    ) -> Bool[np.ndarray, " n"]:
        """Return which outlines of areas ``a`` and ``b`` are the same but for noise."""
        alike = shared >= self.iou * (a + b - shared) * (1 - _SLACK)
        sized = np.abs(a - b) <= self.area * np.maximum(a, b) * (1 + _SLACK)
        return np.asarray(alike & sized)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonFootprints:
    """The footprints of two layers, the earlier ones first, on ground that both mapped."""

    before: int
    """Footprints of the earlier layer."""
    area: Float64[np.ndarray, " n"]
    """Area of each on common ground, in square degrees."""
    share: Float64[np.ndarray, " n"]
    """That over its whole area."""
    cut: Bool[np.ndarray, " n"]
    """True where the edge of its scene, or a failure, may have cut it."""

    @property
    def partial(self) -> Bool[np.ndarray, " n"]:
        """True where too little of a footprint lies on common ground to call it different."""
        return np.asarray((self.share < COVERED - _SLACK) | self.cut)


def fates(
    pairs: Pairs,
    footing: CommonFootprints,
    *,
    tolerance: Tolerance,
    precedence: Int64[np.ndarray, " pairs"],
) -> Int64[np.ndarray, " n"]:
    """Classify each footprint's change, as a `Fate`; symmetric in the order of the layers.

    Footprints that show one building are taken together, however many they are: one block
    drawn as three houses is the same ground. Where that differs by more than the tolerance,
    they are paired one to one, best overlap first; pairs within it are the same, and all
    others have changed. Where one of them was seen in part only, they are not judged.

    Args:
        pairs: Earlier and later footprints that show one building.
        footing: What of each lies on common ground.
        tolerance: How much unchanged ones may differ.
        precedence: Which of equally good pairs goes first, whichever layer is earlier.
    """
    count = len(footing.area)
    group = _groups(pairs, count)
    early = np.arange(count) < footing.before
    a = _sums(group, footing.area * early)
    b = _sums(group, footing.area * ~early)
    shared = _sums(group, np.bincount(pairs.left, pairs.shared, count).astype(np.float64))
    whole = tolerance.holds(a, b, shared)
    partial = _sums(group, footing.partial.astype(np.float64)) > 0

    same = whole[group]
    alike = tolerance.holds(footing.area[pairs.left], footing.area[pairs.right], pairs.shared)
    chosen = alike & pair_one_to_one(pairs, precedence=precedence)
    same[pairs.left[chosen]] = True
    same[pairs.right[chosen]] = True

    met = np.zeros(count, bool)
    met[pairs.left] = True
    met[pairs.right] = True
    fate = np.where(met, Fate.CHANGED, Fate.ALONE)
    fate[met & partial[group]] = Fate.UNSEEN
    fate[~met & (footing.share < COVERED - _SLACK)] = Fate.UNSEEN
    fate[met & same] = Fate.SAME
    return fate.astype(np.int64)


def _groups(pairs: Pairs, count: int) -> Int64[np.ndarray, " n"]:
    """Return a number for each footprint that all have in common that pairs connect."""
    return component_numbers(pairs.left, pairs.right, count)


def _sums(
    group: Int64[np.ndarray, " n"], values: Float64[np.ndarray, " n"]
) -> Float64[np.ndarray, " n"]:
    """Return the sum of each group, at the place of its number."""
    return np.asarray(np.bincount(group, values, len(group)), np.float64)
