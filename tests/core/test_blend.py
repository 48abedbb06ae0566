"""Blending: weights add up to one, and cutting then blending gives the scene back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jaxtyping import Float64, UInt8

from pipeline.core.blend import axis_weights, blend, taper
from pipeline.core.grid import TileGrid
from pipeline.core.quantise import NODATA
from pipeline.core.tile import Pixels, cut_window
from pipeline.core.window import Window
from tests.strategies import examples, grids

Weighed = tuple[Window, UInt8[np.ndarray, "classes rows cols"], Float64[np.ndarray, "rows cols"]]


def _noise(grid: TileGrid, seed: int, *, highest: int = 250) -> UInt8[np.ndarray, "c h w"]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, highest + 1, (2, grid.height, grid.width), np.uint8)


def _cut(scene: UInt8[np.ndarray, "c h w"], grid: TileGrid) -> list[Weighed]:
    """Each tile with its own pixels of the scene and its weights, as a run has them."""
    _, height, width = scene.shape
    frame = Window(row=0, col=0, height=height, width=width)

    def read(window: Window) -> Pixels:
        part = window.within(frame)
        return scene[:, *part], np.ones((window.height, window.width), bool)

    tiles = []
    for core in grid.cores():
        tile = grid.tile(core)
        pixels, _ = cut_window(read, tile, height=height, width=width, edge="mirror")
        tiles.append((tile, pixels, taper(tile, core, halo=grid.halo)))
    return tiles


@given(grid=grids(identity=True))
def test_weights_of_overlapping_tiles_add_up_to_one(grid: TileGrid) -> None:
    # Ramps are 2 halo wide: cores at least as long do not meet the one after next.
    cores = list(grid.cores())
    assume(min(min(core.height, core.width) for core in cores) >= 2 * grid.halo)
    frame = Window(row=0, col=0, height=grid.height, width=grid.width).grown(
        grid.halo + grid.stride
    )
    total = np.zeros((frame.height, frame.width))
    for core in cores:
        tile = grid.tile(core)
        total[tile.within(frame)] += taper(tile, core, halo=grid.halo)
    # Towards the scene's own edges there is nobody to share with.
    margin = grid.halo + grid.stride + grid.halo
    inner = total[margin : frame.height - margin, margin : frame.width - margin]
    np.testing.assert_allclose(inner, 1, atol=5e-6)


@given(
    core=st.integers(1, 50),
    before=st.integers(0, 40),
    after=st.integers(0, 40),
    halo=st.integers(0, 30),
)
def test_a_ramp_never_falls_before_its_core_nor_rises_after_it(
    core: int, before: int, after: int, halo: int
) -> None:
    weights = axis_weights(before + core + after, before=before, after=after, halo=halo)
    assert weights.min() > 0
    assert weights.max() <= 1
    middle = before + core // 2
    assert (np.diff(weights[:middle]) >= 0).all()
    assert (np.diff(weights[middle + 1 :]) <= 0).all()
    if halo and core >= 2 * halo and before >= halo and after >= halo:
        # Half at the core's ends, where two tiles meet.
        assert weights[before - 1] + weights[before] == pytest.approx(1)
        assert weights[before + core - 1] + weights[before + core] == pytest.approx(1)


@settings(max_examples=examples(40))
@given(grid=grids(identity=True), seed=st.integers(0, 2**32 - 1))
def test_cutting_and_blending_give_the_scene_back(grid: TileGrid, seed: int) -> None:
    scene = _noise(grid, seed)
    tiles = _cut(scene, grid)
    frame = Window(row=0, col=0, height=grid.height, width=grid.width)
    for core in grid.cores():
        mean, spread = blend(core, tiles)
        np.testing.assert_array_equal(mean, scene[:, *core.within(frame)])
        assert not spread.any()


@settings(max_examples=examples(40))
@given(grid=grids(identity=True), seed=st.integers(0, 2**32 - 1))
def test_the_mean_lies_between_the_tiles_and_the_spread_tells_how_far_they_are_apart(
    grid: TileGrid, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    tiles = [
        (tile, rng.integers(0, 251, pixels.shape, np.uint8), weights)
        for tile, pixels, weights in _cut(_noise(grid, seed), grid)
    ]
    for core in grid.cores():
        mean, spread = blend(core, tiles)
        values = np.full((len(tiles), *mean.shape), -1, int)
        weights = np.zeros((len(tiles), core.height, core.width))
        for at, (tile, steps, weigh) in enumerate(tiles):
            for row in range(max(core.row, tile.row), min(core.bottom, tile.bottom)):
                inside = slice(max(core.col, tile.col), min(core.right, tile.right))
                if inside.start >= inside.stop:
                    continue
                here = slice(inside.start - core.col, inside.stop - core.col)
                there = slice(inside.start - tile.col, inside.stop - tile.col)
                values[at, :, row - core.row, here] = steps[:, row - tile.row, there]
                weights[at, row - core.row, here] = weigh[row - tile.row, there]
        shown = values >= 0
        least = np.where(shown, values, 255).min(axis=0)
        most = values.max(axis=0)
        wanted = (np.where(shown, values, 0) * weights[:, None]).sum(axis=0)
        wanted /= weights.sum(axis=0)
        assert (np.abs(mean - wanted) <= 0.5 + 1e-9).all()
        assert (mean >= least).all()
        assert (mean <= most).all()
        np.testing.assert_array_equal(spread, (most - least).max(axis=0))


@given(seed=st.integers(0, 2**32 - 1))
def test_a_pixel_without_data_in_one_tile_is_answered_for_by_the_others(seed: int) -> None:
    rng = np.random.default_rng(seed)
    core = Window(row=0, col=0, height=8, width=9)
    ones = np.ones((8, 9))
    first, second = rng.integers(0, 251, (2, 2, 8, 9), np.uint8)
    gone_first, gone_second = rng.random((2, 8, 9)) < 0.3
    first[:, gone_first] = NODATA
    second[:, gone_second] = NODATA
    mean, spread = blend(core, [(core, first, ones), (core, second, ones)])
    only_second = gone_first & ~gone_second
    np.testing.assert_array_equal(mean[:, only_second], second[:, only_second])
    assert not spread[gone_first | gone_second].any()
    np.testing.assert_array_equal((mean == NODATA).all(axis=0), gone_first & gone_second)
    assert (mean[:, ~(gone_first & gone_second)] <= 250).all()


def test_the_same_order_gives_the_same_bytes() -> None:
    rng = np.random.default_rng(0)
    core = Window(row=0, col=0, height=30, width=30)
    tiles = [(core, rng.integers(0, 251, (1, 30, 30), np.uint8), rng.random((30, 30)) + 0.01)] * 3
    assert blend(core, tiles)[0].tobytes() == blend(core, iter(tiles))[0].tobytes()


def test_tiles_elsewhere_leave_a_core_without_data() -> None:
    core = Window(row=0, col=0, height=4, width=4)
    far = Window(row=10, col=0, height=4, width=4)
    mean, spread = blend(core, [(far, np.zeros((1, 4, 4), np.uint8), np.ones((4, 4)))])
    assert (mean == NODATA).all()
    assert not spread.any()


def test_a_core_without_tiles_is_refused() -> None:
    with pytest.raises(ValueError, match="no tile covers"):
        blend(Window(row=0, col=0, height=4, width=4), [])
