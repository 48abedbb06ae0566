"""The grid: cores partition the scene, tiles contain them with their halo."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.grid import Sampling, TileGrid, balanced_cuts
from pipeline.core.window import Window
from tests.strategies import grids, samplings


def _sampling(height: int, width: int) -> Sampling:
    return Sampling(height=height, width=width, net_height=height, net_width=width)


@given(grid=grids())
def test_every_pixel_of_the_scene_lies_in_exactly_one_core(grid: TileGrid) -> None:
    owners = np.zeros((grid.height, grid.width), int)
    everything = Window(row=0, col=0, height=grid.height, width=grid.width)
    for core in grid.cores():
        owners[core.within(everything)] += 1
    assert (owners == 1).all()
    assert len(grid) == len(list(grid.cores()))


@given(length=st.integers(1, 100_000), multiple=st.integers(1, 64), units=st.integers(1, 100))
def test_cores_are_balanced_as_few_as_can_be_and_cut_at_multiples(
    length: int, multiple: int, units: int
) -> None:
    core = units * multiple
    cuts = balanced_cuts(length, core=core, multiple=multiple)
    assert (cuts[0], cuts[-1]) == (0, length)
    assert all(cut % multiple == 0 for cut in cuts[:-1])
    assert len(cuts) - 1 == -(-length // core)
    # The last core ends with the scene; up to the next multiple it is as long as the others.
    ends = [*cuts[:-1], -(-length // multiple) * multiple]
    lengths = [after - before for before, after in itertools.pairwise(ends)]
    assert min(lengths) > 0
    assert max(lengths) <= core
    assert max(lengths) - min(lengths) <= multiple


@given(grid=grids())
def test_a_tile_holds_its_box_and_halo_and_sits_on_the_stride(grid: TileGrid) -> None:
    pixels = 0
    for core in grid.cores():
        tile = grid.tile(core)
        pixels += tile.pixels
        wanted = grid.sampling.box(core).grown(grid.halo)
        wanted.within(tile)
        assert all(
            edge % grid.stride == 0 for edge in (tile.row, tile.col, tile.bottom, tile.right)
        )
        assert tile.height - wanted.height < 2 * grid.stride
        assert tile.width - wanted.width < 2 * grid.stride
    assert grid.tile_pixels == pixels


@given(grid=grids(identity=True))
def test_on_the_scenes_own_grid_a_tile_starts_exactly_a_halo_before_its_core(
    grid: TileGrid,
) -> None:
    for core in grid.cores():
        tile = grid.tile(core)
        assert (core.row - tile.row, core.col - tile.col) == (grid.halo, grid.halo)
        assert 0 <= tile.bottom - core.bottom - grid.halo < grid.stride


@given(sampling=samplings())
def test_a_box_is_the_core_itself_where_the_grids_are_the_same(sampling: Sampling) -> None:
    core = Window(row=0, col=0, height=sampling.height, width=sampling.width)
    same = (sampling.net_height, sampling.net_width) == (sampling.height, sampling.width)
    assert sampling.identity == same
    assert (sampling.box(core) == core) == same


@given(grid=grids())
def test_a_box_covers_the_ground_of_its_core_with_a_pixel_to_spare(grid: TileGrid) -> None:
    sampling = grid.sampling
    if sampling.identity:
        return
    for core in grid.cores():
        box = sampling.box(core)
        # Whole numbers: row * net_height against pixel rows of the box * height.
        assert (box.row + 1) * sampling.height <= core.row * sampling.net_height
        assert (box.col + 1) * sampling.width <= core.col * sampling.net_width
        assert (box.bottom - 1) * sampling.height >= core.bottom * sampling.net_height
        assert (box.right - 1) * sampling.width >= core.right * sampling.net_width


@given(height=st.integers(1, 128), width=st.integers(1, 128))
def test_a_padded_image_stands_in_the_middle(height: int, width: int) -> None:
    grid = TileGrid(sampling=_sampling(height, width), core=128, halo=0, stride=16, pad_to=128)
    (core,) = grid.cores()
    tile = grid.tile(core)
    assert (tile.height, tile.width) == (128, 128)
    before, after = -tile.row, tile.bottom - height
    assert after - before in {0, 1}
    assert (tile.right - width) - -tile.col in {0, 1}


def test_images_of_101_pixels_are_padded_by_13_and_14_to_128() -> None:
    grid = TileGrid(sampling=_sampling(101, 101), core=128, halo=0, stride=32, pad_to=128)
    (core,) = grid.cores()
    assert grid.tile(core) == Window(row=-13, col=-13, height=128, width=128)


@pytest.mark.parametrize(
    "fault",
    [
        {"core": 0},
        {"core": 24},
        {"halo": -16},
        {"halo": 8},
        {"stride": 0},
        {"pad_to": 100},
        {"sampling": _sampling(0, 10)},
        {"sampling": _sampling(10, 0)},
    ],
)
def test_sizes_that_no_tiling_can_have_are_refused(fault: dict[str, int | Sampling]) -> None:
    grid = TileGrid(sampling=_sampling(100, 100), core=32, halo=16, stride=16)
    with pytest.raises(ValueError, match="must be"):
        replace(grid, **fault)  # type: ignore[arg-type]  # one field at a time


def test_equal_grids_are_equal_values_and_make_equal_keys() -> None:
    make = [TileGrid(sampling=_sampling(100, 90), core=32, halo=16, stride=16) for _ in range(2)]
    assert make[0] == make[1]
    assert len(set(make)) == 1
