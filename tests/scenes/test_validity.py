"""Nodata: decided pixel by pixel; what lies in the open is told from black roofs for warnings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.scenes.validity import (
    MARGIN,
    OPEN,
    equals,
    fits,
    is_sentinel,
    open_nodata,
)
from tests.strategies import examples


def _missing(nodata: np.ndarray) -> np.ndarray:
    """Return missing ground of a whole scene."""
    return open_nodata(np.pad(nodata, MARGIN, constant_values=True))


@st.composite
def _scenes(draw: st.DrawFn) -> np.ndarray:
    height, width = draw(st.integers(1, 260)), draw(st.integers(1, 260))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    nodata = np.zeros((height, width), bool)
    for _ in range(draw(st.integers(0, 8))):
        top, left = rng.integers(0, height), rng.integers(0, width)
        nodata[top : top + rng.integers(1, 150), left : left + rng.integers(1, 150)] ^= True
    return nodata


@given(nodata=_scenes(), data=st.data())
@settings(deadline=None, max_examples=examples(60))
def test_a_window_decides_as_the_whole_scene_does(nodata: np.ndarray, data: st.DataObject) -> None:
    whole = _missing(nodata)
    padded = np.pad(nodata, MARGIN, constant_values=True)
    top = data.draw(st.integers(0, nodata.shape[0] - 1))
    left = data.draw(st.integers(0, nodata.shape[1] - 1))
    bottom = data.draw(st.integers(top + 1, nodata.shape[0]))
    right = data.draw(st.integers(left + 1, nodata.shape[1]))
    around = padded[top : bottom + 2 * MARGIN, left : right + 2 * MARGIN]
    np.testing.assert_array_equal(open_nodata(around), whole[top:bottom, left:right])


@given(nodata=_scenes())
@settings(deadline=None, max_examples=examples(40))
def test_only_nodata_pixels_are_ever_missing(nodata: np.ndarray) -> None:
    assert not (_missing(nodata) & ~nodata).any()


@pytest.mark.parametrize("place", [(100, 100), (0, 100), (200, 0)])
def test_a_black_roof_stays_wherever_it_stands(place: tuple[int, int]) -> None:
    nodata = np.zeros((300, 300), bool)
    row, col = place
    nodata[row : row + OPEN - 20, col : col + OPEN - 20] = True
    assert not _missing(nodata)[100:].any() or place != (100, 100)
    assert not _missing(nodata).all()
    inland = np.zeros((300, 300), bool)
    inland[100 : 100 + OPEN - 1, 100 : 100 + OPEN - 1] = True
    assert not _missing(inland).any()


def test_a_collar_of_any_thickness_is_missing() -> None:
    for thickness in (1, 7, 90):
        nodata = np.ones((400, 400), bool)
        nodata[thickness:-thickness, thickness:-thickness] = False
        np.testing.assert_array_equal(_missing(nodata), nodata)


def test_the_slanted_edge_of_a_turned_mosaic_is_missing_to_the_pixel() -> None:
    rows, cols = np.mgrid[:300, :300]
    nodata = rows * 3 + cols > 700
    np.testing.assert_array_equal(_missing(nodata), nodata)


def test_a_scene_of_nothing_is_all_missing() -> None:
    assert _missing(np.ones((20, 5), bool)).all()


def test_values_no_camera_gives_are_sentinels() -> None:
    assert is_sentinel(-9999.0, "int16")
    assert is_sentinel(float("nan"), "float32")
    assert is_sentinel(-3.4028234663852886e38, "float32")
    assert not is_sentinel(0.0, "float32")
    assert not is_sentinel(255.0, "uint8")


def test_nodata_as_text_equals_the_float_it_stands_for() -> None:
    lowest = np.float32(np.finfo(np.float32).min)
    pixels = np.array([[[lowest, 0, np.nan]]], np.float32)
    np.testing.assert_array_equal(equals(pixels, -3.4e38)[0, 0], [False, False, False])
    for text in (-3.4028234663852886e38, -3.40282347e38, -3.4028235e38):
        np.testing.assert_array_equal(equals(pixels, text)[0, 0], [True, False, False])
    np.testing.assert_array_equal(equals(pixels, float("nan"))[0, 0], [False, False, True])


def test_nodata_must_fit_the_pixels() -> None:
    assert fits(255.0, "uint8")
    assert not fits(-9999.0, "uint8")
    assert not fits(0.5, "uint8")
    assert not fits(float("nan"), "uint8")
    assert fits(-9999.0, "float32")
