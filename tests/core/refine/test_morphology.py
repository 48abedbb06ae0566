"""Opening and closing with disks: equal to scipy's, and what has no data has no say."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from pipeline.core.refine import Guided, Refinement, close_disk, open_and_close, open_disk
from pipeline.core.window import Window

Array = np.ndarray[Any, np.dtype[Any]]
radii = st.integers(0, 6)


@st.composite
def masks(draw: st.DrawFn, *, classes: int = 1) -> Array:
    """Labels with spots, gaps and no data."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.integers(1, 45)), draw(st.integers(1, 45))
    labels = rng.integers(0, classes + 1, (9, 9)).repeat(5, axis=0).repeat(5, axis=1)
    labels = labels[: shape[0], : shape[1]].astype(np.uint8)
    speckled = rng.random(shape) < 0.05
    labels[speckled] = rng.integers(0, classes + 1, shape)[speckled]
    labels[rng.random(shape) < draw(st.sampled_from([0, 0.05, 0.6]))] = 255
    return labels


def disk(radius: int) -> Array:
    rows, cols = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return np.asarray(rows**2 + cols**2 <= radius**2)


@given(labels=masks(), radius=radii)
def test_opening_and_closing_are_those_of_scipy(labels: Array, radius: int) -> None:
    mask, known = labels == 1, labels != 255
    eroded = ndimage.binary_erosion(mask | ~known, disk(radius), border_value=1) & known
    expected = ndimage.binary_dilation(eroded, disk(radius)) & known
    np.testing.assert_array_equal(open_disk(mask, known, radius=radius), expected)
    dilated = ndimage.binary_dilation(mask, disk(radius)) | ~known
    expected = ndimage.binary_erosion(dilated, disk(radius), border_value=1) & known
    np.testing.assert_array_equal(close_disk(mask, known, radius=radius), expected)


@given(labels=masks(classes=3), opening=radii, closing=radii, seed=st.integers(0, 2**32 - 1))
def test_a_window_with_its_margin_gives_the_labels_of_the_whole(
    labels: Array, opening: int, closing: int, seed: int
) -> None:
    height, width = labels.shape
    rng = np.random.default_rng(seed)
    row, col = int(rng.integers(height)), int(rng.integers(width))
    core = Window(
        row=row,
        col=col,
        height=int(rng.integers(1, height - row + 1)),
        width=int(rng.integers(1, width - col + 1)),
    )
    how = Refinement(opening=opening, closing=closing)
    around = core.grown(how.margin).clipped(height=height, width=width)
    everything = Window(row=0, col=0, height=height, width=width)
    part = open_and_close(
        labels[around.within(everything)], classes=3, opening=opening, closing=closing
    )
    whole = open_and_close(labels, classes=3, opening=opening, closing=closing)
    np.testing.assert_array_equal(part[core.within(around)], whole[core.within(everything)])


@given(labels=masks(classes=3), radius=radii)
def test_opening_only_takes_closing_only_fills_background(labels: Array, radius: int) -> None:
    less = open_and_close(labels, classes=3, opening=radius, closing=0)
    assert ((less == labels) | ((less == 0) & (labels != 255))).all()
    more = open_and_close(labels, classes=3, opening=0, closing=radius)
    assert ((more == labels) | ((labels == 0) & (more != 255))).all()
    np.testing.assert_array_equal(less, open_and_close(less, classes=3, opening=radius, closing=0))


@given(labels=masks(classes=3))
def test_nothing_asked_changes_nothing(labels: Array) -> None:
    np.testing.assert_array_equal(open_and_close(labels, classes=3, opening=0, closing=0), labels)


def test_a_strip_along_the_edge_stays_and_one_in_the_open_goes() -> None:
    labels = np.zeros((30, 30), np.uint8)
    labels[:3] = labels[10:13] = labels[20:23] = 1
    labels[23:] = 255
    found = open_and_close(labels, classes=1, opening=2, closing=0)
    # Half a disk of radius 2 is three rows high, a whole one five.
    assert (found[:3] == 1).all()
    assert not found[10:13].any()
    assert (found[20:23] == 1).all()


def test_a_gap_is_filled_by_the_first_class_that_would() -> None:
    labels = np.zeros((9, 9), np.uint8)
    labels[:4], labels[5:] = 2, 1
    labels[:4, :4], labels[5:, :4] = 1, 1
    assert (open_and_close(labels, classes=2, opening=0, closing=2)[4, :4] == 1).all()


def test_margins_add_up() -> None:
    how = Refinement(guided=Guided(radius=5, eps=0.1), opening=2, closing=3)
    assert how.margin == 20
    assert Refinement().margin == 0
