"""The guided filter: its formula, its radius, and what has no part in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from pipeline.core.refine import Guided, guided_filter, luminance
from pipeline.core.window import Window
from tests.strategies import examples

Array = np.ndarray[Any, np.dtype[Any]]


@st.composite
def scenes(draw: st.DrawFn) -> tuple[Array, Array]:
    """Quantised probabilities with holes, and a guide with edges."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    coarse = rng.integers(0, 256, (5, 5))
    guide = coarse.repeat(8, axis=0).repeat(8, axis=1)[: shape[0], : shape[1]]
    guide = np.clip(guide + rng.integers(-9, 10, shape), 0, 255).astype(np.uint8)
    steps = rng.integers(0, 251, shape).astype(np.uint8)
    steps[rng.random(shape) < draw(st.sampled_from([0, 0.2, 0.9]))] = 255
    return steps, guide


radii = st.integers(1, 6)
smoothings = st.sampled_from([1e-6, 1e-3, 0.1, 1.0])


def slowly(steps: Array, guide: Array, how: Guided) -> Array:
    """Return the filter as its paper says it, every square summed by itself, in 0..250."""
    p, grey, known = steps / 250, guide / 255, steps != 255

    def square(row: int, col: int) -> tuple[slice, slice]:
        return (
            slice(max(0, row - how.radius), row + how.radius + 1),
            slice(max(0, col - how.radius), col + how.radius + 1),
        )

    slope, offset = np.zeros(p.shape), np.zeros(p.shape)
    answer = np.full(p.shape, np.nan)
    for row, col in np.argwhere(known):
        here = square(row, col)
        one, two = p[here][known[here]], grey[here][known[here]]
        covariance = (one * two).mean() - one.mean() * two.mean()
        slope[row, col] = covariance / (two.var() + how.eps)
        offset[row, col] = one.mean() - slope[row, col] * two.mean()
    for row, col in np.argwhere(known):
        here = square(row, col)
        a, b = slope[here][known[here]].mean(), offset[here][known[here]].mean()
        answer[row, col] = np.clip(a * grey[row, col] + b, 0, 1) * 250
    return answer


@settings(max_examples=examples(8))
@given(scene=scenes(), radius=radii, eps=smoothings)
def test_the_filter_is_the_one_of_its_paper(
    scene: tuple[Array, Array], radius: int, eps: float
) -> None:
    how = Guided(radius=radius, eps=eps)
    found, expected = guided_filter(*scene, how), slowly(*scene, how)
    known = scene[0] != 255
    assert (np.abs(found[known] - expected[known]) <= 0.5 + 1e-4).all()
    assert (found[~known] == 255).all()
    assert (found[known] <= 250).all()


@given(scene=scenes(), radius=radii, eps=smoothings, seed=st.integers(0, 2**32 - 1))
def test_a_window_with_its_margin_gives_the_bytes_of_the_whole(
    scene: tuple[Array, Array], radius: int, eps: float, seed: int
) -> None:
    steps, guide = scene
    how = Guided(radius=radius, eps=eps)
    height, width = steps.shape
    rng = np.random.default_rng(seed)
    row, col = int(rng.integers(height)), int(rng.integers(width))
    core = Window(
        row=row,
        col=col,
        height=int(rng.integers(1, height - row + 1)),
        width=int(rng.integers(1, width - col + 1)),
    )
    around = core.grown(how.margin).clipped(height=height, width=width)
    everything = Window(row=0, col=0, height=height, width=width)
    part = around.within(everything)
    found = guided_filter(steps[part], guide[part], how)[core.within(around)]
    np.testing.assert_array_equal(found, guided_filter(steps, guide, how)[core.within(everything)])


def test_many_rows_are_filtered_as_few_are() -> None:
    rng = np.random.default_rng(1)
    steps = rng.integers(0, 256, (1100, 12)).astype(np.uint8)
    guide = rng.integers(0, 256, steps.shape).astype(np.uint8)
    how = Guided(radius=32, eps=1e-6)
    whole = guided_filter(steps, guide, how)
    # Rows 450 to 650 lie on both sides of where the filter begins anew.
    found = guided_filter(steps[386:714], guide[386:714], how)
    np.testing.assert_array_equal(found[64:-64], whole[450:650])


@given(scene=scenes(), radius=radii, eps=smoothings, grey=st.integers(0, 255))
def test_a_constant_guide_takes_the_mean_of_means(
    scene: tuple[Array, Array], radius: int, eps: float, grey: int
) -> None:
    steps = np.where(scene[0] == 255, np.uint8(0), scene[0])
    found = guided_filter(steps, np.full_like(steps, grey), Guided(radius=radius, eps=eps))

    def mean(values: Array) -> Array:
        size = 2 * radius + 1
        total = ndimage.uniform_filter(values, size, mode="constant")
        return np.asarray(
            total / ndimage.uniform_filter(np.ones_like(values), size, mode="constant")
        )

    expected = mean(mean(steps.astype(np.float64)))
    assert (np.abs(found - expected) <= 0.5 + 1e-6).all()


@given(scene=scenes(), radius=radii, eps=smoothings, value=st.integers(0, 250))
def test_equal_probabilities_stay(
    scene: tuple[Array, Array], radius: int, eps: float, value: int
) -> None:
    steps = np.where(scene[0] == 255, scene[0], np.uint8(value))
    np.testing.assert_array_equal(
        guided_filter(steps, scene[1], Guided(radius=radius, eps=eps)), steps
    )


@given(scene=scenes(), radius=radii, seed=st.integers(0, 2**32 - 1))
def test_what_lies_under_no_data_has_no_part(
    scene: tuple[Array, Array], radius: int, seed: int
) -> None:
    steps, guide = scene
    noise = np.random.default_rng(seed).integers(0, 256, guide.shape).astype(np.uint8)
    other = np.where(steps == 255, noise, guide)
    how = Guided(radius=radius, eps=1e-3)
    np.testing.assert_array_equal(
        guided_filter(steps, guide, how), guided_filter(steps, other, how)
    )


def test_a_blurred_edge_goes_to_where_the_image_has_it() -> None:
    guide = np.full((40, 40), 40, np.uint8)
    guide[:, 17:] = 200
    blurred = np.clip((np.arange(40) - 12) * 25, 0, 250).astype(np.uint8)
    found = guided_filter(np.tile(blurred, (40, 1)), guide, Guided(radius=4, eps=1e-4))
    before, after = np.diff(blurred.astype(int))[16], np.diff(found[20].astype(int))[16]
    assert after > 3 * before


@pytest.mark.parametrize(("radius", "eps"), [(0, 0.1), (33, 0.1), (3, 0.0), (3, 1.5)])
def test_a_radius_or_eps_that_sums_do_not_hold_is_refused(radius: int, eps: float) -> None:
    flat = np.zeros((4, 4), np.uint8)
    with pytest.raises(ValueError, match="a guided filter's"):
        guided_filter(flat, flat, Guided(radius=radius, eps=eps))


def test_the_largest_square_under_the_least_eps_does_not_overflow() -> None:
    rng = np.random.default_rng(3)
    guide = rng.integers(127, 129, (70, 70)).astype(np.uint8)
    steps = np.where(guide == 127, 0, 250).astype(np.uint8)
    found = guided_filter(steps, guide, Guided(radius=32, eps=1e-6))
    assert (np.abs(found.astype(int) - steps) < 40).all()


def test_luminance_weighs_colours_as_the_eye_does() -> None:
    pixels = np.zeros((4, 1, 3), np.uint16)
    pixels[0, 0, 0] = pixels[1, 0, 1] = pixels[2, 0, 2] = 1000
    colours = ("red", "green", "blue", "nir")
    found = luminance(pixels, colours, low=0, high=1000)
    assert found.tolist() == [[76, 150, 29]]
    assert luminance(pixels, ("a", "b", "c", "d"), low=0, high=1000).tolist() == [[64, 64, 64]]


def test_luminance_takes_what_is_no_number_for_dark() -> None:
    pixels = np.array([[[np.nan, -np.inf, 3e38, 0.5]]], np.float32)
    assert luminance(pixels, ("any",), low=0, high=1).tolist() == [[0, 0, 255, 128]]
