"""Quantising: what stands in the files decides."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.quantise import (
    NODATA,
    SCALE,
    STEPS,
    background_of,
    classified,
    quantised,
    quantised_shares,
    quantised_threshold,
)

chances = st.floats(0, 1, width=32)


def _one(probability: float) -> int:
    values = np.full((1, 1, 1), probability, np.float32)
    return int(quantised(values, np.ones((1, 1), bool))[0, 0, 0])


@given(probability=chances)
def test_a_probability_comes_back_within_half_a_step(probability: float) -> None:
    steps = _one(probability)
    assert 0 <= steps <= STEPS
    assert abs(steps * SCALE - probability) <= SCALE / 2 + 1e-6


def test_certainty_stays_certain_and_is_not_nodata() -> None:
    assert _one(1.0) == STEPS == 250
    assert _one(0.0) == 0
    assert NODATA == 255


@given(low=chances, high=chances)
def test_order_is_kept(low: float, high: float) -> None:
    assert _one(min(low, high)) <= _one(max(low, high))


@given(steps=st.integers(0, 250))
def test_every_step_comes_back_as_itself(steps: int) -> None:
    assert _one(steps * SCALE) == steps


@given(seed=st.integers(0, 2**32 - 1), classes=st.integers(1, 4))
def test_invalid_pixels_are_nodata_in_every_class(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    valid = rng.random((7, 9)) > 0.3
    steps = quantised(rng.random((classes, 7, 9), np.float32), valid)
    assert (steps[:, ~valid] == NODATA).all()
    assert (steps[:, valid] <= STEPS).all()
    mask = classified(steps, threshold=1)
    np.testing.assert_array_equal(mask == NODATA, ~valid)


@given(steps=st.integers(0, 250), threshold=st.floats(1e-6, 1))
def test_the_mask_is_what_the_file_of_probabilities_says(steps: int, threshold: float) -> None:
    least = quantised_threshold(threshold)
    inside = classified(np.full((1, 1, 1), steps, np.uint8), threshold=least)[0, 0]
    assert inside == (steps >= max(1, round(250 * threshold)))


@given(threshold=st.floats(1e-9, 1))
def test_a_probability_of_zero_is_never_inside_and_one_always_is(threshold: float) -> None:
    assert 1 <= quantised_threshold(threshold) <= STEPS


@pytest.mark.parametrize("threshold", [0.0, -0.1, 1.0000001, 255.0, float("nan")])
def test_thresholds_that_are_none_are_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="above 0 and at most at 1"):
        quantised_threshold(threshold)


@given(seed=st.integers(0, 2**32 - 1), classes=st.integers(1, 5), threshold=st.integers(1, 250))
def test_a_pixel_belongs_to_its_most_probable_class_the_first_of_equals(
    seed: int, classes: int, threshold: int
) -> None:
    # Few values, so that many are equal.
    steps = np.random.default_rng(seed).choice(
        np.array([0, 124, 125, 126, 250], np.uint8), (classes, 6, 6)
    )
    mask = classified(steps, threshold=threshold)
    for row in range(6):
        for col in range(6):
            values = steps[:, row, col].tolist()
            best = max(values)
            wanted = values.index(best) + 1 if best >= threshold else 0
            assert mask[row, col] == wanted


def softmax(seed: int, classes: int) -> np.ndarray:
    """Shares of the background and the classes, (classes + 1, 12, 12), some nearly equal."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=rng.choice([0.01, 1, 5]), size=(classes + 1, 12, 12))
    shares = np.exp(logits)
    return np.asarray(shares / shares.sum(axis=0), np.float32)


@given(seed=st.integers(0, 2**32 - 1), classes=st.integers(1, 20))
def test_shares_and_background_sum_to_one_and_none_moves_by_a_step(seed: int, classes: int) -> None:
    shares = softmax(seed, classes)
    steps = quantised_shares(shares[1:], np.ones((12, 12), bool))
    every = np.concatenate([background_of(steps)[None], steps.astype(np.int64)])
    assert (every.sum(axis=0) == STEPS).all()
    assert (np.abs(every - shares.astype(np.float64) * STEPS) < 1 + 1e-3).all()


@given(seed=st.integers(0, 2**32 - 1), classes=st.integers(1, 20))
def test_the_mask_of_shares_is_the_arg_max_with_the_background(seed: int, classes: int) -> None:
    shares = softmax(seed, classes)
    steps = quantised_shares(shares[1:], np.ones((12, 12), bool))
    mask = classified(steps, threshold=1, shares=True)
    first, second = -np.sort(-shares, axis=0)[:2]
    clear = first - second > 2 * SCALE
    np.testing.assert_array_equal(mask[clear], shares.argmax(axis=0)[clear])


@given(seed=st.integers(0, 2**32 - 1), threshold=st.floats(0.1, 0.9))
def test_a_threshold_is_applied_on_top_of_the_arg_max(seed: int, threshold: float) -> None:
    steps = quantised_shares(softmax(seed, 3)[1:], np.ones((12, 12), bool))
    least = quantised_threshold(threshold)
    plain = classified(steps, threshold=1, shares=True)
    reaches = steps.max(axis=0) >= least
    np.testing.assert_array_equal(
        classified(steps, threshold=least, shares=True), np.where(reaches, plain, 0)
    )


def test_shares_without_data_are_nodata() -> None:
    valid = np.ones((12, 12), bool)
    valid[3:5] = False
    steps = quantised_shares(softmax(7, 2)[1:], valid)
    assert (steps[:, ~valid] == NODATA).all()
    np.testing.assert_array_equal(classified(steps, threshold=1, shares=True) == NODATA, ~valid)


def test_equal_shares_of_class_and_background_are_background() -> None:
    steps = quantised_shares(np.full((1, 1, 1), 0.5, np.float32), np.ones((1, 1), bool))
    assert classified(steps, threshold=1, shares=True)[0, 0] == 0
