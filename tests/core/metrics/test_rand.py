"""The Rand error: no error for the truth, more for what is merged or split."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.metrics.rand import rand_error


def _labels(seed: int, kinds: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, kinds, (12, 9))


@given(seed=st.integers(0, 2**32 - 1))
def test_the_truth_has_no_error_whatever_its_numbers(seed: int) -> None:
    reference = _labels(seed)
    renamed = np.where(reference > 0, 10 - reference, 0)
    assert rand_error(renamed, reference) == pytest.approx(0.0)


@given(seed=st.integers(0, 2**32 - 1), other=st.integers(0, 2**32 - 1))
def test_it_counts_the_pairs_of_pixels(seed: int, other: int) -> None:
    reference, found = _labels(seed), _labels(other)
    inside = reference > 0
    t, f = reference[inside], found[inside].copy()
    # A pixel that was found to be membrane is an object of its own.
    f[f == 0] = 100 + np.arange((f == 0).sum())
    together_t, together_f = t[:, None] == t[None, :], f[:, None] == f[None, :]
    both = (together_t & together_f).sum()
    precision, recall = both / together_f.sum(), both / together_t.sum()
    expected = 1 - 2 * precision * recall / (precision + recall)
    assert rand_error(found, reference) == pytest.approx(expected)


def test_merging_two_cells_is_an_error_and_no_cell_is_none() -> None:
    reference = np.array([[1, 1, 0, 2, 2]])
    assert rand_error(np.array([[1, 1, 1, 1, 1]]), reference) == pytest.approx(1 - 2 * 0.5 / 1.5)
    assert rand_error(reference, np.zeros_like(reference)) == 0.0
