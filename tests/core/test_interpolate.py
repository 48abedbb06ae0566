"""Interpolation: bilinear, and the same bits whatever the tile."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Float32, Float64

from pipeline.core.grid import Sampling, TileGrid
from pipeline.core.interpolate import interpolate_bilinear
from pipeline.core.window import Window
from tests.strategies import examples, grids, samplings


def _frame(sampling: Sampling) -> Window:
    return Window(row=0, col=0, height=sampling.height, width=sampling.width)


def _noise(sampling: Sampling, seed: int) -> Float32[np.ndarray, "c h w"]:
    rng = np.random.default_rng(seed)
    return rng.random((2, sampling.net_height, sampling.net_width), np.float32)


def _over(values: Float32[np.ndarray, "c h w"], box: Window) -> Float32[np.ndarray, "c r s"]:
    """The network's values over a box; NaN past the scene, where nobody may look."""
    _, height, width = values.shape
    part = np.full((len(values), box.height, box.width), np.nan, np.float32)
    inside = box.clipped(height=height, width=width)
    frame = Window(row=0, col=0, height=height, width=width)
    part[:, *inside.within(box)] = values[:, *inside.within(frame)]
    return part


def _whole(
    values: Float32[np.ndarray, "c h w"], sampling: Sampling
) -> Float32[np.ndarray, "c r s"]:
    frame = _frame(sampling)
    box = sampling.box(frame)
    return interpolate_bilinear(_over(values, box), box, frame, sampling)


def _reference(values: Float64[np.ndarray, " n"], size: int) -> Float64[np.ndarray, " size"]:
    """numpy's own linear interpolation between the centres of the network's pixels."""
    centres = (np.arange(len(values)) + 0.5) / len(values)
    return np.asarray(np.interp((np.arange(size) + 0.5) / size, centres, values))


@settings(max_examples=examples(50))
@given(grid=grids().filter(lambda grid: not grid.sampling.identity), seed=st.integers(0, 2**32 - 1))
def test_tiles_give_the_whole_scenes_values_bit_for_bit(grid: TileGrid, seed: int) -> None:
    values = _noise(grid.sampling, seed)
    whole = _whole(values, grid.sampling)
    assert np.isfinite(whole).all()
    for core in grid.cores():
        box = grid.sampling.box(core)
        part = interpolate_bilinear(_over(values, box), box, core, grid.sampling)
        assert part.tobytes() == whole[:, *core.within(_frame(grid.sampling))].tobytes()


@given(sampling=samplings(), seed=st.integers(0, 2**32 - 1))
def test_values_are_those_of_plain_linear_interpolation(sampling: Sampling, seed: int) -> None:
    values = _noise(sampling, seed)
    lines = np.apply_along_axis(_reference, 1, values.astype(float), sampling.height)
    wanted = np.apply_along_axis(_reference, 2, lines, sampling.width)
    np.testing.assert_allclose(_whole(values, sampling), wanted, atol=1e-6)


@given(sampling=samplings(), level=st.integers(0, 256))
def test_a_constant_stays_what_it_is(sampling: Sampling, level: int) -> None:
    shape = (1, sampling.net_height, sampling.net_width)
    whole = _whole(np.full(shape, level / 256, np.float32), sampling)
    np.testing.assert_allclose(whole, level / 256, rtol=5e-7)


@given(height=st.integers(1, 60), width=st.integers(1, 60), seed=st.integers(0, 2**32 - 1))
def test_between_equal_grids_nothing_changes(height: int, width: int, seed: int) -> None:
    sampling = Sampling(height=height, width=width, net_height=height, net_width=width)
    values = _noise(sampling, seed)
    assert _whole(values, sampling).tobytes() == values.tobytes()


@given(sampling=samplings(), seed=st.integers(0, 2**32 - 1))
def test_probabilities_stay_probabilities(sampling: Sampling, seed: int) -> None:
    values = np.round(_noise(sampling, seed))
    whole = _whole(values, sampling)
    assert whole.dtype == np.float32
    assert whole.min() >= 0
    assert whole.max() <= 1
