"""Merging: whatever the tiling, the polygons of the whole mosaic and nothing kept back."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.polygons.fragments import Fragments
from pipeline.core.polygons.merge import Merger
from pipeline.core.polygons.trace import trace
from pipeline.core.window import Window
from tests.strategies import examples

Mask = npt.NDArray[Any]


@st.composite
def masks(draw: st.DrawFn) -> Mask:
    """Noise, thin to solid, of one to three labels."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    height, width = draw(st.integers(1, 32)), draw(st.integers(1, 32))
    share = draw(st.sampled_from([0.2, 0.5, 0.65, 0.8, 0.95, 1.0]))
    labels = rng.integers(1, draw(st.integers(1, 3)) + 1, (height, width))
    labels *= rng.random((height, width)) < share
    return labels.astype(draw(st.sampled_from([np.uint8, np.int32])))


def grid(rows: list[int], cols: list[int]) -> list[Window]:
    """Windows between the cuts, row by row."""
    return [
        Window(row=top, col=left, height=bottom - top, width=right - left)
        for top, bottom in pairwise(rows)
        for left, right in pairwise(cols)
    ]


def cuts(data: st.DataObject, length: int) -> list[int]:
    inner = st.sets(st.integers(1, length - 1), max_size=6) if length > 1 else st.just(set[int]())
    return [0, *sorted(data.draw(inner)), length]


def tile(labels: Mask, weights: Mask, window: Window) -> Fragments:
    cut = slice(window.row, window.bottom), slice(window.col, window.right)
    return trace(labels[cut], weights[cut], row=window.row, col=window.col)


def weights_for(labels: Mask) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(7).integers(0, 251, labels.shape, np.uint8)


def assert_same(got: Fragments, wanted: Fragments) -> None:
    got_arrays = got.by_anchor().to_arrays()
    for name, array in wanted.to_arrays().items():
        np.testing.assert_array_equal(got_arrays[name], array, err_msg=name)
        assert got_arrays[name].dtype == array.dtype


@settings(deadline=None, max_examples=examples(200))
@given(labels=masks(), data=st.data())
def test_merged_tiles_are_the_trace_of_the_whole(labels: Mask, data: st.DataObject) -> None:
    height, width = labels.shape
    windows = grid(cuts(data, height), cuts(data, width))
    skipped = data.draw(st.sets(st.integers(0, 3 * len(windows)), max_size=3))
    weights = weights_for(labels)
    merger = Merger(height=height, width=width)
    parts = []
    for number, window in enumerate(windows):
        if number in skipped:
            labels[window.row : window.bottom, window.col : window.right] = 0
            parts.append(merger.skip(window))
        else:
            parts.append(merger.add(window, tile(labels, weights, window)))
    parts.append(merger.finish())
    assert_same(Fragments.concatenate(parts), trace(labels, weights))


@settings(deadline=None)
@given(labels=masks(), data=st.data())
def test_a_polygon_comes_with_the_window_that_completes_it(
    labels: Mask, data: st.DataObject
) -> None:
    height, width = labels.shape
    windows = grid(cuts(data, height), cuts(data, width))
    weights = weights_for(labels)
    merger = Merger(height=height, width=width)
    seen = np.zeros(labels.shape, bool)
    given_back = 0
    for window in windows:
        given_back += len(merger.add(window, tile(labels, weights, window)))
        seen[window.row : window.bottom, window.col : window.right] = True
        # Beside a pixel that has not been seen, one and the same colour may go on.
        blocked = np.where(seen, labels, 0)
        whole = trace(blocked.astype(np.int32), weights)
        unseen = np.pad(~seen, 1)
        near = unseen[:-2, 1:-1] | unseen[2:, 1:-1] | unseen[1:-1, :-2] | unseen[1:-1, 2:]
        waiting = trace(blocked.astype(np.int32), near.astype(np.uint8)).weight > 0
        assert given_back == len(whole) - waiting.sum()


def test_a_spiral_over_many_tiles_is_one_polygon() -> None:
    labels = np.zeros((61, 61), np.uint8)
    low, high = 0, 60
    labels[0, :] = 1
    while low < high:
        labels[low, max(low - 2, 0) : high + 1] = 1
        labels[low : high + 1, high] = 1
        labels[high, low : high + 1] = 1
        labels[low + 2 : high + 1, low] = 1
        low, high = low + 2, high - 2
    weights = weights_for(labels)
    merger = Merger(height=61, width=61)
    cut = [*range(0, 61, 4), 61]
    parts = [merger.add(window, tile(labels, weights, window)) for window in grid(cut, cut)]
    assert len(Fragments.concatenate(parts)) == 1
    assert_same(Fragments.concatenate(parts), trace(labels, weights))


def test_a_ring_of_tiles_around_a_failed_one_keeps_its_hole() -> None:
    labels = np.ones((9, 9), np.uint8)
    merger = Merger(height=9, width=9)
    parts = []
    for number, window in enumerate(grid([0, 3, 6, 9], [0, 3, 6, 9])):
        tiles = tile(labels, labels, window)
        parts.append(merger.skip(window) if number == 4 else merger.add(window, tiles))
    polygon = Fragments.concatenate(parts).to_shapely()[0]
    assert polygon.interiors[0].bounds == (3, 3, 6, 6)
    assert polygon.area == 72


def test_what_is_kept_does_not_grow_with_what_was_finished() -> None:
    stripe = np.zeros((8, 8), np.uint8)
    stripe[::2] = 1
    sizes = []
    merger = Merger(height=8 * 400, width=16)
    for row in range(0, 8 * 400, 8):
        for col in (0, 8):
            window = Window(row=row, col=col, height=8, width=8)
            merger.add(window, trace(stripe, stripe, row=row, col=col))
        sizes.append(merger.waiting)
    assert max(sizes) == 0
    assert merger.room < 1000


@pytest.mark.parametrize(
    "window",
    [
        Window(row=0, col=4, height=4, width=4),
        Window(row=4, col=0, height=4, width=4),
        Window(row=0, col=0, height=4, width=9),
        Window(row=0, col=0, height=9, width=4),
    ],
)
def test_a_window_out_of_turn_is_refused(window: Window) -> None:
    with pytest.raises(ValueError, match="in order"):
        Merger(height=8, width=8).skip(window)


def test_a_row_of_windows_has_one_height() -> None:
    merger = Merger(height=8, width=8)
    merger.skip(Window(row=0, col=0, height=4, width=4))
    with pytest.raises(ValueError, match="in order"):
        merger.skip(Window(row=0, col=4, height=5, width=4))


def test_polygons_of_another_window_are_refused() -> None:
    merger = Merger(height=8, width=8)
    ones = np.ones((4, 4), np.uint8)
    with pytest.raises(ValueError, match="past"):
        merger.add(Window(row=0, col=0, height=4, width=4), trace(ones, ones, row=4))


def test_an_unfinished_scene_is_refused() -> None:
    merger = Merger(height=8, width=8)
    merger.skip(Window(row=0, col=0, height=4, width=8))
    with pytest.raises(ValueError, match="row 4, col 0"):
        merger.finish()
