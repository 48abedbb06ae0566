"""Pixel, calibration, interval, outline and group scores beside independent ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    confusion_matrix,
    f1_score,
    jaccard_score,
    precision_recall_curve,
    precision_score,
    recall_score,
)

from pipeline.core.metrics import match_objects, overlaps
from pipeline.core.metrics.bootstrap import (
    blocks_over,
    percentile_interval,
    resample_blocks,
    share,
    totals,
)
from pipeline.core.metrics.calibration import (
    at_precision,
    best_f1,
    level_curve,
    object_curve,
    reliability,
)
from pipeline.core.metrics.groups import group_scores, merged, near_seams
from pipeline.core.metrics.outline_metrics import area_error, boundary_iou, polis, rotation_error
from pipeline.core.metrics.pixels import class_scores, confusion, foreground_scores, levels
from pipeline.core.metrics.salt import salt_scores
from tests.strategies import examples


def boxes(*corners: tuple[float, float, float, float]) -> Any:
    return np.array([shapely.box(*corner) for corner in corners], dtype=object)


@settings(deadline=None, max_examples=examples(30))
@given(seed=st.integers(0, 2**32 - 1), classes=st.integers(1, 4))
def test_pixel_scores_equal_scikit_learn(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    predicted, reference = rng.integers(0, classes + 1, (2, 40, 30)).astype(np.uint8)
    valid = rng.random((40, 30)) < 0.8
    counts = confusion(predicted, reference, valid, classes=classes)
    labels = list(range(classes + 1))
    np.testing.assert_array_equal(
        counts, confusion_matrix(reference[valid], predicted[valid], labels=labels)
    )
    for label in range(1, classes + 1):
        ours, told = (
            class_scores(counts, label),
            (reference[valid] == label, predicted[valid] == label),
        )
        assert ours.precision == pytest.approx(precision_score(*told, zero_division=np.nan))
        assert ours.recall == pytest.approx(recall_score(*told, zero_division=np.nan))
        assert ours.f1 == pytest.approx(f1_score(*told))
        assert ours.iou == pytest.approx(jaccard_score(*told))
    assert foreground_scores(counts).tp == ((predicted > 0) & (reference > 0) & valid).sum()


def test_pixel_counts_of_windows_add_up() -> None:
    rng = np.random.default_rng(0)
    predicted, reference = rng.integers(0, 3, (2, 64, 64)).astype(np.uint8)
    valid = rng.random((64, 64)) < 0.5
    whole = confusion(predicted, reference, valid, classes=2)
    parts = [
        confusion(
            predicted[row : row + 16], reference[row : row + 16], valid[row : row + 16], classes=2
        )
        for row in range(0, 64, 16)
    ]
    np.testing.assert_array_equal(sum(parts), whole)


def test_no_pixels_give_none() -> None:
    nothing = np.zeros((4, 4), np.uint8)
    scores = foreground_scores(confusion(nothing, nothing, nothing == 0, classes=1))
    assert (scores.precision, scores.recall, scores.f1, scores.iou) == (None,) * 4
    assert scores.reason == "neither reference objects nor predictions"


@settings(deadline=None, max_examples=examples(30))
@given(seed=st.integers(0, 2**32 - 1))
def test_curves_equal_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    probability = rng.integers(0, 251, (20, 20)).astype(np.uint8)
    reference = rng.random((20, 20)) < probability / 250
    reference[0, 0] = True
    curve = level_curve(levels(probability, reference, np.ones((20, 20), bool)))
    precision, recall, threshold = precision_recall_curve(
        reference.ravel(), probability.ravel() / 250
    )
    np.testing.assert_allclose(curve.threshold[::-1], threshold)
    np.testing.assert_allclose(curve.precision[::-1], precision[:-1])
    np.testing.assert_allclose(curve.recall[::-1], recall[:-1])
    objects = object_curve(probability.ravel() / 250, reference.ravel(), int(reference.sum()))
    np.testing.assert_allclose(objects.precision, curve.precision)


def test_operating_points_by_hand() -> None:
    curve = object_curve(
        np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, True, False, True]), n_reference=4
    )
    assert curve.precision.tolist() == [1, 1, 2 / 3, 3 / 4]
    best = best_f1(curve)
    assert best is not None
    assert (best.threshold, best.recall) == (0.6, 0.75)
    strict = at_precision(curve, 0.9)
    assert strict is not None
    assert (strict.threshold, strict.recall) == (0.8, 0.5)
    assert at_precision(object_curve(np.array([0.5]), np.array([False]), 1), 0.5) is None
    assert best_f1(object_curve(np.empty(0), np.empty(0, bool), 3)) is None


def test_reliability_by_hand() -> None:
    found = reliability(np.array([0.95, 1.0, 0.55, 0.3]), np.array([1.0, 1.0, 0.0, 0.0]))
    assert found.count.tolist() == [0, 0, 0, 1, 0, 1, 0, 0, 0, 2]
    assert found.error == pytest.approx((2 * 0.025 + 0.55 + 0.3) / 4)
    assert reliability(np.empty(0), np.empty(0)).error is None


@settings(deadline=None, max_examples=examples(20))
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 60))
def test_draws_keep_the_number_of_blocks(seed: int, count: int) -> None:
    drawn = resample_blocks(count, rounds=50, seed=seed)
    assert (drawn.sum(axis=1) == count).all()
    np.testing.assert_array_equal(drawn, resample_blocks(count, rounds=50, seed=seed))


def test_an_interval_covers_the_truth_about_95_times_in_100() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for seed in range(200):
        trials = rng.integers(5, 15, 60)
        wins = rng.binomial(trials, 0.7)
        counts = np.stack([wins, trials], axis=1).astype(np.float64)
        sums = totals(counts, resample_blocks(60, rounds=400, seed=seed))
        found = percentile_interval(share(sums[:, 0], sums[:, 1]))
        assert found is not None
        covered += found.low <= 0.7 <= found.high
    assert 180 <= covered <= 199


def test_blocks_hold_every_point() -> None:
    blocks = blocks_over((0.0, 0.0, 1000.0, 300.0))
    assert 40 <= len(blocks) <= 110
    points = np.array([[0.0, 0.0], [999.9, 299.9], [1000.0, 300.0], [-5.0, 50.0]])
    assert (blocks.of(points) >= 0).all()
    assert (blocks.of(points) < len(blocks)).all()


def test_outlines_by_hand() -> None:
    reference, moved = boxes((0, 0, 10, 10)), boxes((1, 0, 11, 10))
    # Each corner is 1 off or on the other's outline: all four are 1 away from a long side
    # or on it, in both directions.
    assert polis(moved, reference)[0] == pytest.approx(0.5)
    assert polis(reference, reference)[0] == 0
    assert area_error(boxes((0, 0, 12, 10)), reference)[0] == pytest.approx(0.2)
    turned = np.array([shapely.affinity.rotate(reference[0], 93)], object)
    assert rotation_error(turned, reference)[0] == pytest.approx(3)
    assert boundary_iou(reference, reference, width=1.0)[0] == pytest.approx(1)
    # Bands 1 wide: 36 each; moved by 1 they share 2 x 9 along the long sides and cross twice.
    shared = shapely.box(0, 0, 10, 10) - shapely.box(1, 1, 9, 9)
    other = shapely.affinity.translate(shared, 1, 0)
    expected = (shared & other).area / (shared | other).area
    assert boundary_iou(moved, reference, width=1.0)[0] == pytest.approx(expected)


def test_polis_equals_a_plain_loop() -> None:
    rng = np.random.default_rng(2)
    one, other = (
        np.array(
            [shapely.convex_hull(shapely.multipoints(rng.uniform(0, 9, (6, 2)))) for _ in range(8)]
        )
        for _ in range(2)
    )

    def mean(points: Any, outline: Any) -> float:
        return float(np.mean([outline.distance(shapely.Point(p)) for p in points]))

    for row, value in enumerate(polis(one, other)):
        there = mean(one[row].exterior.coords[:-1], other[row].exterior)
        back = mean(other[row].exterior.coords[:-1], one[row].exterior)
        assert value == pytest.approx((there + back) / 2)


def test_merged_and_split_are_counted() -> None:
    reference = boxes((0, 0, 10, 10), (10, 0, 20, 10), (40, 0, 60, 10))
    predicted = boxes((0, 0, 20, 10), (40, 0, 49, 10), (51, 0, 60, 10))
    pairs = overlaps(predicted, reference)
    assert merged(pairs).tolist() == [2, 0, 0]
    assert merged(pairs.exchanged()).tolist() == [1, 1, 2]


def test_groups_add_up_to_the_whole() -> None:
    reference, predicted = (
        boxes((0, 0, 10, 10), (20, 0, 22, 2)),
        boxes((0, 0, 10, 10), (50, 0, 52, 2)),
    )
    matching = match_objects(predicted, reference)
    big = group_scores(matching, np.array([True, False]), np.array([True, False]))
    small = group_scores(matching, np.array([False, True]), np.array([False, True]))
    assert (big.f1, small.f1) == (1.0, 0.0)
    assert big.references + small.references == 2
    nothing = group_scores(matching, np.zeros(2, bool), np.zeros(2, bool))
    assert (nothing.precision, nothing.recall, nothing.f1) == (None, None, None)


def test_objects_near_seams_are_told() -> None:
    shapes = boxes((0, 0, 10, 10), (90, 0, 99, 5), (100, 40, 101, 41), (50, 60, 130, 70))
    near = near_seams(shapes, row_cuts=(0, 200), col_cuts=(0, 100, 200), margin=4.0)
    assert near.tolist() == [False, True, True, True]


def test_the_salt_metric_by_hand() -> None:
    # IoU 0.72 exceeds five of the ten thresholds; exactly 0.55 only the first.
    shared, predicted, reference = np.array(
        [[72.0, 72.0, 100.0], [55, 55, 100], [0, 0, 0], [0, 5, 0], [0, 0, 5], [9, 9, 9]]
    ).T
    assert salt_scores(shared, predicted, reference).tolist() == [0.5, 0.1, 1.0, 0.0, 0.0, 1.0]
