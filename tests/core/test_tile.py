"""Cutting: what lies past the scene's edges is what numpy pads there."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.tile import Edge, Pixels, cut_window, mirrored_positions
from pipeline.core.window import Window
from tests.strategies import windows


class Source:
    """A scene of noise, every fifth pixel of it invalid, that remembers what was read."""

    def __init__(self, *, height: int, width: int) -> None:
        rng = np.random.default_rng(height * 1000 + width)
        self.height, self.width = height, width
        self.pixels = rng.integers(0, 65536, (2, height, width), np.uint16)
        self.valid = rng.random((height, width)) > 0.2
        self.reads: list[Window] = []

    def read(self, window: Window) -> Pixels:
        part = window.within(Window(row=0, col=0, height=self.height, width=self.width))
        self.reads.append(window)
        return self.pixels[:, *part].copy(), self.valid[part].copy()

    def cut(self, window: Window, edge: Edge) -> Pixels:
        return cut_window(self.read, window, height=self.height, width=self.width, edge=edge)


sources = st.builds(
    lambda height, width: Source(height=height, width=width),
    st.integers(1, 40),
    st.integers(1, 40),
)


def _padded(source: Source, window: Window, mode: Literal["symmetric", "edge"]) -> Pixels:
    before = (max(-window.row, 0), max(-window.col, 0))
    after = (max(window.bottom - source.height, 0), max(window.right - source.width, 0))
    sides = list(zip(before, after, strict=True))
    rows = slice(window.row + before[0], window.row + before[0] + window.height)
    cols = slice(window.col + before[1], window.col + before[1] + window.width)
    pixels = np.pad(source.pixels, [(0, 0), *sides], mode=mode)
    valid = np.pad(source.valid, sides, mode=mode)
    return pixels[:, rows, cols], valid[rows, cols]


@given(source=sources, window=windows())
def test_mirror_is_numpys_symmetric_padding_many_times_over(source: Source, window: Window) -> None:
    pixels, valid = source.cut(window, "mirror")
    wanted, wanted_valid = _padded(source, window, "symmetric")
    np.testing.assert_array_equal(pixels, wanted)
    np.testing.assert_array_equal(valid, wanted_valid)


@given(source=sources, window=windows())
def test_replicate_is_numpys_edge_padding(source: Source, window: Window) -> None:
    pixels, valid = source.cut(window, "replicate")
    wanted, wanted_valid = _padded(source, window, "edge")
    np.testing.assert_array_equal(pixels, wanted)
    np.testing.assert_array_equal(valid, wanted_valid)


@given(source=sources, window=windows())
def test_constant_marks_all_that_lies_outside_invalid_and_nothing_else(
    source: Source, window: Window
) -> None:
    pixels, valid = source.cut(window, "constant")
    wanted, wanted_valid = _padded(source, window, "edge")
    rows = np.arange(window.row, window.bottom)[:, None]
    cols = np.arange(window.col, window.right)
    inside = (rows >= 0) & (rows < source.height) & (cols >= 0) & (cols < source.width)
    np.testing.assert_array_equal(valid, wanted_valid & inside)
    np.testing.assert_array_equal(pixels[:, inside], wanted[:, inside])


@given(source=sources, window=windows(), edge=st.sampled_from(["mirror", "replicate", "constant"]))
def test_one_read_inside_the_scene_and_no_larger_than_the_tile(
    source: Source, window: Window, edge: Edge
) -> None:
    pixels, valid = source.cut(window, edge)
    (read,) = source.reads
    assert read.clipped(height=source.height, width=source.width) == read
    assert read.height <= window.height
    assert read.width <= window.width
    assert pixels.dtype == np.uint16
    assert pixels.shape[1:] == valid.shape == (window.height, window.width)


@given(source=sources, window=windows(), data=st.data())
def test_what_a_pixel_is_does_not_depend_on_the_tile_that_shows_it(
    source: Source, window: Window, data: st.DataObject
) -> None:
    other = window.grown(data.draw(st.integers(1, 20)))
    for mine, theirs in zip(source.cut(window, "mirror"), source.cut(other, "mirror"), strict=True):
        np.testing.assert_array_equal(mine, theirs[..., *window.within(other)])


@pytest.mark.parametrize(
    ("edge", "wanted"),
    [
        ("mirror", [2, 1, 0, 0, 1, 2, 3, 4, 4, 3, 2]),
        ("replicate", [0, 0, 0, 0, 1, 2, 3, 4, 4, 4, 4]),
    ],
)
def test_the_drawing_of_the_edges(edge: Edge, wanted: list[int]) -> None:
    assert mirrored_positions(-3, 11, size=5, edge=edge).tolist() == wanted
