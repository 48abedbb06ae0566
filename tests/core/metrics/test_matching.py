"""Matching of objects: laws, a brute-force matcher and cases worked by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.metrics import f1, match_objects, overlaps
from pipeline.core.metrics.matching import SWEEP, Ignored, match_pairs
from tests.strategies import examples


def boxes(*corners: tuple[float, float, float, float]) -> Any:
    return np.array([shapely.box(*corner) for corner in corners], dtype=object)


@st.composite
def polygons(draw: Any, most: int = 12) -> Any:
    """Rectangles, turned a little, on a small field: they overlap often."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(0, most))
    x, y = rng.uniform(0, 60, (2, count))
    width, height = rng.uniform(2, 20, (2, count))
    plain = shapely.box(x, y, x + width, y + height)
    turns = rng.uniform(0, 90, count)
    pairs = zip(plain, turns, strict=True)
    return np.array([shapely.affinity.rotate(box, turn) for box, turn in pairs], dtype=object)


@st.composite
def city(draw: Any) -> Any:
    """Rectangles that do not overlap one another: at most one in each cell of a grid."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    cells = np.argwhere(rng.random((5, 5)) < 0.6) * 20.0
    low = cells + rng.uniform(0, 9, cells.shape)
    high = cells + rng.uniform(11, 20, cells.shape)
    return np.asarray(shapely.box(*low.T, *high.T), dtype=object).reshape(-1)


def brute_force(predicted: Any, reference: Any, confidence: Any, iou: float) -> dict[int, int]:
    """Match with plain loops over all pairs, straight from the rule's wording."""
    free, found = set(range(len(reference))), {}
    for row in sorted(range(len(predicted)), key=lambda row: (-confidence[row], row)):
        scored = []
        for other in free:
            shared = predicted[row].intersection(reference[other]).area
            scored.append((shared / predicted[row].union(reference[other]).area, other))
        if scored and max(scored)[0] >= iou:
            found[row] = max(scored)[1]
            free.remove(found[row])
    return found


def test_a_case_worked_by_hand() -> None:
    reference = boxes((0, 0, 10, 10), (20, 0, 30, 10), (40, 0, 50, 10))
    # 1: 8/10 of the first; 2: a worse try at it; 3: exactly half of the union; 4: far away
    predicted = boxes((0, 0, 8, 10), (0, 0, 10, 6), (20, 0, 25, 10), (70, 0, 80, 10))
    confidence = np.array([0.9, 0.8, 0.7, 0.6])
    matching = match_objects(predicted, reference, confidence=confidence)
    assert matching.reference_of.tolist() == [0, -1, 1, -1]
    assert matching.prediction_of.tolist() == [0, 2, -1]
    assert (matching.tp, matching.fp, matching.fn) == (2, 2, 1)
    assert matching.precision == pytest.approx(0.5)
    assert matching.recall == pytest.approx(2 / 3)
    assert matching.f1 == pytest.approx(4 / 7)
    assert matching.iou.tolist() == [0.8, 0, 0.5, 0]


def test_confidence_decides_who_goes_first() -> None:
    reference = boxes((0, 0, 10, 10))
    predicted = boxes((0, 0, 10, 10), (0, 0, 10, 6))
    sure_of_the_worse = match_objects(predicted, reference, confidence=np.array([0.1, 0.9]))
    assert sure_of_the_worse.reference_of.tolist() == [-1, 0]
    assert match_objects(predicted, reference).reference_of.tolist() == [0, -1]


@pytest.mark.parametrize(
    ("n_predicted", "n_reference", "expected"),
    [(0, 0, (None, None, None)), (2, 0, (0.0, None, None)), (0, 2, (None, 0.0, None))],
)
def test_nothing_gives_none_and_never_a_flattering_one(
    n_predicted: int, n_reference: int, expected: tuple[float | None, ...]
) -> None:
    box = (0.0, 0.0, 1.0, 1.0)
    matching = match_objects(boxes(*[box] * n_predicted), boxes(*[box] * n_reference))
    assert (matching.precision, matching.recall, matching.f1) == expected


def test_f1_of_two_misses_is_zero() -> None:
    assert f1(tp=0, fp=1, fn=1) == 0.0


@settings(deadline=None, max_examples=examples(60))
@given(
    predicted=polygons(), reference=polygons(), iou=st.sampled_from(SWEEP), seed=st.integers(0, 99)
)
def test_matching_equals_brute_force(predicted: Any, reference: Any, iou: float, seed: int) -> None:
    confidence = np.random.default_rng(seed).random(len(predicted)).round(1)
    matching = match_objects(predicted, reference, confidence=confidence, iou=iou)
    found = {row: int(one) for row, one in enumerate(matching.reference_of) if one >= 0}
    assert found == brute_force(predicted, reference, confidence, iou)


@settings(deadline=None, max_examples=examples(60))
@given(predicted=polygons(), reference=polygons(), iou=st.sampled_from(SWEEP))
def test_counts_add_up(predicted: Any, reference: Any, iou: float) -> None:
    matching = match_objects(predicted, reference, iou=iou)
    assert matching.tp + matching.fn == len(reference)
    assert matching.tp + matching.fp == len(predicted)
    assert matching.found.sum() == matching.tp


@settings(deadline=None, max_examples=examples(40))
@given(predicted=city(), reference=city(), iou=st.sampled_from([0.51, 0.6, 0.75, 0.9]))
def test_f1_is_symmetric_where_nothing_overlaps_its_own_kind(
    predicted: Any, reference: Any, iou: float
) -> None:
    there = match_objects(predicted, reference, iou=iou)
    back = match_objects(reference, predicted, iou=iou)
    assert (there.tp, there.fp, there.fn) == (back.tp, back.fn, back.fp)
    assert there.f1 == back.f1


@settings(deadline=None, max_examples=examples(40))
@given(predicted=polygons(), reference=polygons(), dx=st.integers(-4096, 4096))
def test_moving_and_stretching_the_plane_changes_nothing(
    predicted: Any, reference: Any, dx: int
) -> None:
    def moved(shapes: Any) -> Any:
        return shapely.transform(shapes, lambda xy: xy @ [[2.0, 0.5], [0.0, 0.25]] + [dx, -dx])

    here, there = overlaps(predicted, reference), overlaps(moved(predicted), moved(reference))
    big_here, big_there = here.where(here.iou > 1e-6), there.where(there.iou > 1e-6)
    assert big_here.predicted.tolist() == big_there.predicted.tolist()
    np.testing.assert_allclose(big_here.iou, big_there.iou, rtol=1e-6)


def test_ignored_objects_count_neither_for_nor_against() -> None:
    reference = boxes((0, 0, 10, 10), (20, 0, 30, 10))
    predicted = boxes((20, 0, 30, 10), (50, 0, 60, 10), (0, 0, 10, 10), (70, 0, 80, 10))
    ignored = Ignored(predicted=np.array([0, 1, 1, 0], bool), reference=np.array([0, 1], bool))
    matching = match_pairs(overlaps(predicted, reference), ignored=ignored)
    assert (matching.tp, matching.fp, matching.fn) == (1, 1, 0)
    assert matching.right.tolist() == [False, False, True, False]
    assert matching.wrong.tolist() == [False, False, False, True]


@settings(deadline=None, max_examples=examples(40))
@given(predicted=polygons(), reference=polygons())
def test_exchanging_overlaps_twice_gives_them_back(predicted: Any, reference: Any) -> None:
    pairs = overlaps(predicted, reference)
    again = pairs.exchanged().exchanged()
    np.testing.assert_array_equal(pairs.predicted, again.predicted)
    np.testing.assert_array_equal(pairs.reference, again.reference)
    np.testing.assert_array_equal(pairs.shared, again.shared)
