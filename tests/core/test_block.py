"""Blocks: cores partition the volume, and past its faces it is mirrored."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.block import Block, BlockGrid, cut_block, largest_block_grid

sides = st.tuples(*[st.integers(1, 30)] * 3)


@st.composite
def grids(draw: st.DrawFn) -> BlockGrid:
    stride = draw(st.sampled_from([1, 2, 4, 8]))
    core = draw(st.tuples(*[st.integers(1, 3)] * 3))
    return BlockGrid(
        shape=draw(sides),
        core=(core[0] * stride, core[1] * stride, core[2] * stride),
        halo=draw(st.integers(0, 2)) * stride,
        stride=stride,
    )


@settings(deadline=None)
@given(grid=grids())
def test_cores_partition_the_volume(grid: BlockGrid) -> None:
    whole = Block(start=(0, 0, 0), shape=grid.shape)
    seen = np.zeros(grid.shape, int)
    cores = list(grid.cores())
    for core in cores:
        seen[core.within(whole)] += 1
    assert (seen == 1).all()
    assert len(cores) == len(grid)


@settings(deadline=None)
@given(grid=grids())
def test_blocks_lie_on_the_stride_and_hold_their_core_and_halo(grid: BlockGrid) -> None:
    for core in grid.cores():
        block = grid.block(core)
        for axis in range(3):
            assert block.start[axis] % grid.stride == block.shape[axis] % grid.stride == 0
            assert core.start[axis] - block.start[axis] >= grid.halo
            assert block.stop[axis] - core.stop[axis] >= grid.halo


@settings(deadline=None)
@given(shape=sides, halo=st.sampled_from([0, 4, 8]), room=st.integers(1, 40_000))
def test_blocks_are_as_large_as_the_room_allows_and_no_larger(
    shape: tuple[int, int, int], halo: int, room: int
) -> None:
    grid = largest_block_grid(shape, halo=halo, stride=4, room=room)

    def taken(core: list[int]) -> int:
        return int(np.prod([edge + 2 * halo for edge in core]))

    least = [4, 4, 4]
    assert taken(list(grid.core)) <= room or list(grid.core) == least
    for axis in range(3):
        wider = [edge + 4 * (at == axis) for at, edge in enumerate(grid.core)]
        assert taken(wider) > room or grid.core[axis] >= shape[axis]


@settings(deadline=None)
@given(shape=sides, start=st.tuples(*[st.integers(-9, 9)] * 3), size=sides)
def test_a_block_past_the_faces_is_what_numpy_pads(
    shape: tuple[int, int, int], start: tuple[int, int, int], size: tuple[int, int, int]
) -> None:
    volume = np.random.default_rng(0).random(shape, np.float32)
    whole = Block(start=(0, 0, 0), shape=shape)
    block = Block(start=start, shape=size)
    padded = np.pad(volume, 60, mode="symmetric")
    wanted = padded[tuple(slice(a + 60, a + 60 + n) for a, n in zip(start, size, strict=True))]
    found = cut_block(lambda part: volume[part.within(whole)], block, shape=shape, edge="mirror")
    np.testing.assert_array_equal(found, wanted)
    empty = cut_block(lambda part: volume[part.within(whole)], block, shape=shape, edge="constant")
    inside = block.meeting(whole)
    assert np.isfinite(empty).sum() == (0 if inside is None else inside.voxels)


@settings(deadline=None)
@given(one=st.tuples(sides, sides), other=st.tuples(sides, sides))
def test_what_two_blocks_share_is_counted_voxel_by_voxel(
    one: tuple[tuple[int, int, int], tuple[int, int, int]],
    other: tuple[tuple[int, int, int], tuple[int, int, int]],
) -> None:
    first, second = (Block(start=start, shape=shape) for start, shape in (one, other))
    whole = Block(start=(0, 0, 0), shape=(60, 60, 60))
    drawn = np.zeros(whole.shape, int)
    for block in (first, second):
        drawn[block.within(whole)] += 1
    shared = first.meeting(second)
    assert (drawn == 2).sum() == (0 if shared is None else shared.voxels)
    if shared is not None:
        assert (drawn[shared.within(whole)] == 2).all()


def test_sizes_that_no_division_can_have_are_refused() -> None:
    with pytest.raises(ValueError, match="multiples of the stride"):
        BlockGrid(shape=(4, 4, 4), core=(3, 4, 4), halo=4, stride=4)
    with pytest.raises(ValueError, match="positive"):
        BlockGrid(shape=(4, 0, 4), core=(4, 4, 4), halo=4, stride=4)
