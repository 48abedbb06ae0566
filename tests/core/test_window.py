"""Windows: plain arithmetic that everything else rests on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.window import Window
from tests.strategies import windows


@given(window=windows(), margin=st.integers(0, 50))
def test_growing_adds_the_margin_on_every_side(window: Window, margin: int) -> None:
    grown = window.grown(margin)
    assert (window.row - grown.row, window.col - grown.col) == (margin, margin)
    assert (grown.bottom - window.bottom, grown.right - window.right) == (margin, margin)
    assert grown.pixels == (window.height + 2 * margin) * (window.width + 2 * margin)
    assert grown.grown(-margin) == window


@given(window=windows(reach=70), height=st.integers(1, 60), width=st.integers(1, 60))
def test_clipping_keeps_exactly_the_pixels_inside(window: Window, height: int, width: int) -> None:
    rows = set(range(window.row, window.bottom)) & set(range(height))
    cols = set(range(window.col, window.right)) & set(range(width))
    if not rows or not cols:
        with pytest.raises(ValueError, match=f"outside a scene of {height} x {width}"):
            window.clipped(height=height, width=width)
        return
    inside = window.clipped(height=height, width=width)
    assert set(range(inside.row, inside.bottom)) == rows
    assert set(range(inside.col, inside.right)) == cols


@given(outer=windows(), data=st.data())
def test_slices_within_a_window_find_the_same_pixels(outer: Window, data: st.DataObject) -> None:
    row = data.draw(st.integers(outer.row, outer.bottom - 1))
    col = data.draw(st.integers(outer.col, outer.right - 1))
    inner = Window(
        row=row,
        col=col,
        height=data.draw(st.integers(1, outer.bottom - row)),
        width=data.draw(st.integers(1, outer.right - col)),
    )
    rows, cols = np.mgrid[outer.row : outer.bottom, outer.col : outer.right]
    part = inner.within(outer)
    assert rows[part].shape == (inner.height, inner.width)
    assert (rows[part][0, 0], cols[part][0, 0]) == (inner.row, inner.col)


@given(outer=windows(), step=st.sampled_from([(-1, 0), (1, 0), (0, -1), (0, 1)]))
def test_a_window_that_sticks_out_is_refused(outer: Window, step: tuple[int, int]) -> None:
    moved = Window(
        row=outer.row + step[0], col=outer.col + step[1], height=outer.height, width=outer.width
    )
    with pytest.raises(ValueError, match="is not inside"):
        moved.within(outer)
