"""Separation: one instance a marker, the same whatever the tiling."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from pipeline.core.polygons.contact import SharedBoundaries, shared_boundaries
from pipeline.core.polygons.fragments import Fragments
from pipeline.core.polygons.markers import close_squares, markers_of, open_squares
from pipeline.core.polygons.merge import Merger
from pipeline.core.polygons.separate import (
    MergeCriterion,
    Sides,
    context,
    separate,
    trace_instances,
)
from pipeline.core.polygons.trace import trace
from pipeline.core.window import Window
from tests.strategies import examples

Array = npt.NDArray[Any]
STEPS = ((-1, 0), (0, -1), (0, 1), (1, 0))
SURE = MergeCriterion(min_area_px=0, doubling_probability=35)


@st.composite
def scenes(draw: st.DrawFn) -> tuple[Array, Array]:
    """A mask of one or two labels with holes and nodata, and markers, thin to many."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.integers(1, 24)), draw(st.integers(1, 24))
    labels = rng.integers(1, draw(st.integers(1, 2)) + 1, shape).astype(np.uint8)
    if draw(st.booleans()):
        # Fields of one label rather than a new draw for every pixel.
        labels = np.kron(labels, np.ones((5, 5), np.uint8))[: shape[0], : shape[1]]
    labels[rng.random(shape) > draw(st.sampled_from([0.6, 0.8, 0.95, 1.0]))] = 0
    labels[rng.random(shape) < draw(st.sampled_from([0.0, 0.05]))] = 255
    markers = rng.random(shape) < draw(st.sampled_from([0.02, 0.1, 0.3, 0.6]))
    return labels, markers


def owner_of(labels: Array, markers: Array, pixel: tuple[int, int], max_steps: int) -> int:
    """The nearest marker pixel's place, the first of equals: every way is walked."""
    here, seen = {pixel}, {pixel}
    for _ in range(max_steps + 1):
        found = [row * labels.shape[1] + col for row, col in here if markers[row, col]]
        if found:
            return int(min(found))
        ahead = {(row + down, col + on) for row, col in here for down, on in STEPS}
        here = {
            (row, col)
            for row, col in ahead - seen
            if 0 <= row < labels.shape[0]
            and 0 <= col < labels.shape[1]
            and labels[row, col] == labels[pixel]
        }
        seen |= here
    return -1


def separate_whole(labels: Array, markers: Array, *, max_steps: int) -> Array:
    """Instances by definition: a marker with all that it owns; what is left, by itself."""
    instances = np.zeros(labels.shape, np.int32)
    components = np.zeros(labels.shape, np.int32)
    for label in set(np.unique(labels)) - {0, 255}:
        numbered, _ = ndimage.label((labels == label) & markers)
        components += np.where(numbered > 0, numbered + components.max(), 0)
    for row, col in np.argwhere((labels > 0) & (labels < 255)):
        owner = owner_of(labels, markers, (row, col), max_steps)
        if owner >= 0:
            instances[row, col] = components.flat[owner]
    for label in set(np.unique(labels)) - {0, 255}:
        numbered, _ = ndimage.label((labels == label) & (instances == 0))
        instances += np.where(numbered > 0, numbered + instances.max(), 0)
    return instances


def in_mask(labels: Array) -> Array:
    return np.where(labels == 255, 0, labels).astype(np.uint8)


def reunited(instances: Array, labels: Array, interior: Array, criterion: MergeCriterion) -> Array:
    """Unite by definition: the worst border of all falls, until none has to."""
    objects = instances.copy()
    while True:
        first: dict[int, tuple[int, int]] = {}
        borders: dict[tuple[int, int], list[int]] = {}
        for row, col in np.argwhere(objects > 0):
            here = objects[row, col]
            first.setdefault(here, (row, col))
            for down, on in ((0, 1), (1, 0)):
                there = row + down, col + on
                if there[0] >= labels.shape[0] or there[1] >= labels.shape[1]:
                    continue
                if objects[there] in (0, here) or labels[there] != labels[row, col]:
                    continue
                depth = min(interior[row, col], interior[there])
                pair = min(here, objects[there]), max(here, objects[there])
                borders.setdefault(pair, []).append(int(depth))
        worst = []
        for pair, depths in borders.items():
            size = min(int((objects == number).sum()) for number in pair)
            least = criterion.min_area_px * 2 ** (
                sum(depths) // len(depths) / criterion.doubling_probability
            )
            if size < least:
                worst.append((size / least, sorted(first[number] for number in pair), pair))
        if not worst:
            return objects
        _, _, (one, two) = min(worst)
        objects[objects == two] = one


def tile(
    labels: Array, markers: Array, weights: Array, core: Window, max_steps: int
) -> tuple[Fragments, SharedBoundaries]:
    seen = context(core, scene=labels.shape, max_steps=max_steps)
    rows, cols = slice(seen.row, seen.bottom), slice(seen.col, seen.right)
    instances, sides = separate(
        labels[rows, cols], markers[rows, cols], core=core, scene=labels.shape, max_steps=max_steps
    )
    cut = slice(core.row, core.bottom), slice(core.col, core.right)
    fragments = trace_instances(instances, labels[cut], weights[cut], core=core)
    # Sums of weights and depths of borders come from the same values here.
    return fragments, shared_boundaries(instances, labels[cut], weights[cut], sides)


def cuts(data: st.DataObject, length: int) -> list[int]:
    inner = st.sets(st.integers(1, length - 1), max_size=6) if length > 1 else st.just(set[int]())
    return [0, *sorted(data.draw(inner)), length]


def windows(data: st.DataObject, shape: tuple[int, int]) -> list[Window]:
    rows, cols = (cuts(data, length) for length in shape)
    return [
        Window(row=top, col=left, height=bottom - top, width=right - left)
        for top, bottom in pairwise(rows)
        for left, right in pairwise(cols)
    ]


def weights_for(labels: Array) -> Array:
    return np.random.default_rng(7).integers(0, 251, labels.shape, np.uint8)


def assert_same(got: Fragments, wanted: Fragments) -> None:
    got_arrays = got.by_anchor().to_arrays()
    for name, array in wanted.to_arrays().items():
        np.testing.assert_array_equal(got_arrays[name], array, err_msg=name)
        assert got_arrays[name].dtype == array.dtype


def wanted_for(
    labels: Array, markers: Array, weights: Array, max_steps: int, criterion: MergeCriterion = SURE
) -> Fragments:
    instances = separate_whole(labels, markers, max_steps=max_steps)
    instances = reunited(instances, labels, weights, criterion)
    whole = Window(row=0, col=0, height=labels.shape[0], width=labels.shape[1])
    return trace_instances(instances, labels, weights, core=whole)


@settings(deadline=None, max_examples=examples(150))
@given(scene=scenes(), max_steps=st.sampled_from([1, 2, 3, 7, 40]), data=st.data())
def test_tiles_united_are_the_instances_of_the_whole(
    scene: tuple[Array, Array], max_steps: int, data: st.DataObject
) -> None:
    labels, markers = scene
    weights = weights_for(labels)
    cores = windows(data, labels.shape)
    skipped = data.draw(st.sets(st.integers(0, 3 * len(cores)), max_size=2))
    for number in skipped & set(range(len(cores))):
        core = cores[number]
        labels[core.row : core.bottom, core.col : core.right] = 255
    merger = Merger(height=labels.shape[0], width=labels.shape[1], criterion=SURE)
    parts = [
        merger.skip(core)
        if number in skipped
        else merger.add(core, *tile(labels, markers, weights, core, max_steps))
        for number, core in enumerate(cores)
    ]
    parts.append(merger.finish())
    assert merger.waiting == 0
    assert_same(Fragments.concatenate(parts), wanted_for(labels, markers, weights, max_steps))


@settings(deadline=None, max_examples=examples(80))
@given(
    scene=scenes(),
    max_steps=st.sampled_from([1, 3, 40]),
    least=st.sampled_from([0.5, 3.0, 12.5]),
    doubling_probability=st.sampled_from([20.0, 60.0, 500.0]),
    data=st.data(),
)
def test_tiles_united_are_the_whole_with_its_doubtful_borders_fallen(
    scene: tuple[Array, Array],
    max_steps: int,
    least: float,
    doubling_probability: float,
    data: st.DataObject,
) -> None:
    labels, markers = scene
    weights, criterion = (
        weights_for(labels),
        MergeCriterion(min_area_px=least, doubling_probability=doubling_probability),
    )
    merger = Merger(height=labels.shape[0], width=labels.shape[1], criterion=criterion)
    parts = [
        merger.add(core, *tile(labels, markers, weights, core, max_steps))
        for core in windows(data, labels.shape)
    ]
    assert merger.waiting == 0
    assert_same(
        Fragments.concatenate(parts), wanted_for(labels, markers, weights, max_steps, criterion)
    )


def test_a_border_stands_where_it_is_sure_or_both_sides_are_large() -> None:
    # Two halves of 40 pixels; the border between them is as sure as the interior is low.
    labels = np.ones((4, 20), np.uint8)
    markers = np.zeros((4, 20), bool)
    markers[:, 2:7], markers[:, 13:18] = True, True
    core = Window(row=0, col=0, height=4, width=20)
    for least, interior, objects in ((39, 0, 2), (41, 0, 1), (11, 50, 2), (11, 100, 1)):
        weights = np.full((4, 20), interior, np.uint8)
        merger = Merger(
            height=4, width=20, criterion=MergeCriterion(min_area_px=least, doubling_probability=50)
        )
        assert len(merger.add(core, *tile(labels, markers, weights, core, 9))) == objects


def test_what_touches_is_complete_at_the_same_time() -> None:
    labels = np.ones((4, 20), np.uint8)
    markers = np.zeros((4, 20), bool)
    markers[:, 2:7], markers[:, 13:18] = True, True
    weights = weights_for(labels)
    merger = Merger(height=4, width=20, criterion=SURE)
    cores = [Window(row=0, col=0, height=4, width=16), Window(row=0, col=16, height=4, width=4)]
    counts = [len(merger.add(core, *tile(labels, markers, weights, core, 9))) for core in cores]
    assert counts == [0, 2]


def test_what_is_kept_of_instances_does_not_grow_with_what_was_finished() -> None:
    # Two houses with a common wall across each second seam between rows of cores.
    labels = np.zeros((16 * 200, 16), np.uint8)
    labels.reshape(200, 16, 16)[:, 2:14, 1:15] = 1
    markers = np.zeros(labels.shape, bool)
    markers.reshape(200, 16, 16)[:, 4:12, 2:7] = True
    markers.reshape(200, 16, 16)[:, 4:12, 9:13] = True
    weights = weights_for(labels)
    merger = Merger(height=labels.shape[0], width=16, criterion=SURE)
    found, kept = [], []
    for row in range(0, labels.shape[0], 8):
        for col in (0, 8):
            core = Window(row=row, col=col, height=8, width=8)
            found.append(merger.add(core, *tile(labels, markers, weights, core, 4)))
        kept.append(merger.waiting)
    assert max(kept) == 2
    assert merger.room < 1000
    houses = Fragments.concatenate(found)
    assert len(houses) == 2 * 200
    assert set(houses.pixels.tolist()) == {12 * 7}


@settings(deadline=None)
@given(scene=scenes(), max_steps=st.sampled_from([1, 4, 30]))
def test_instances_fill_the_mask_and_none_holds_two_markers(
    scene: tuple[Array, Array], max_steps: int
) -> None:
    labels, markers = scene
    core = Window(row=0, col=0, height=labels.shape[0], width=labels.shape[1])
    fragments, _ = tile(labels, markers, weights_for(labels), core, max_steps)
    assert fragments.pixels.sum() == np.count_nonzero(in_mask(labels))
    at = labels[fragments.row, fragments.col]
    np.testing.assert_array_equal(fragments.label, at)
    instances, _ = separate(labels, markers, core=core, scene=labels.shape, max_steps=max_steps)
    marked = np.where(markers, in_mask(labels), 0).astype(np.uint8)
    per_marker = trace(marked, marked)
    holders = instances[per_marker.row, per_marker.col]
    assert len(np.unique(holders)) == len(holders)


@settings(deadline=None)
@given(scene=scenes())
def test_without_markers_nothing_is_separated(scene: tuple[Array, Array]) -> None:
    labels, _ = scene
    weights = weights_for(labels)
    core = Window(row=0, col=0, height=labels.shape[0], width=labels.shape[1])
    fragments, _ = tile(labels, np.zeros(labels.shape, bool), weights, core, 3)
    assert_same(fragments, trace(in_mask(labels).astype(np.int32), weights))


def test_two_parts_of_a_core_are_one_by_a_way_round_through_others() -> None:
    # A horseshoe of marker: its arms end side by side in the left tile, its bow lies
    # beyond what the left tile sees.
    labels = np.ones((4, 30), np.uint8)
    markers = np.zeros((4, 30), bool)
    markers[0], markers[3], markers[:, 29] = True, True, True
    weights = weights_for(labels)
    cores = [Window(row=0, col=col, height=4, width=10) for col in (0, 10, 20)]
    merger = Merger(height=4, width=30, criterion=SURE)
    parts = []
    for number, core in enumerate(cores):
        fragments, joints = tile(labels, markers, weights, core, 2)
        assert len(fragments) == (1 if number == 2 else 2)
        parts.append(merger.add(core, fragments, joints))
    assert [len(part) for part in parts] == [0, 0, 1]
    assert_same(parts[2], wanted_for(labels, markers, weights, 2))


def test_two_houses_with_a_common_wall_are_two() -> None:
    labels = np.zeros((12, 30), np.uint8)
    labels[2:10, 2:28] = 1
    markers = np.zeros((12, 30), bool)
    markers[4:8, 4:12], markers[4:8, 17:26] = True, True
    core = Window(row=0, col=0, height=12, width=30)
    fragments, _ = tile(labels, markers, weights_for(labels), core, 24)
    left, right = fragments.to_shapely()
    # From column 11 to column 17 five pixels lie between: the third is nobody's more than
    # the other's, and goes to the marker that comes first in reading order.
    assert left.equals(shapely.box(2, 2, 15, 10))
    assert right.equals(shapely.box(15, 2, 28, 10))


def test_separation_refuses_arrays_of_another_window() -> None:
    core = Window(row=0, col=0, height=4, width=4)
    labels, markers = np.ones((4, 4), np.uint8), np.ones((4, 4), bool)
    with pytest.raises(ValueError, match="is 6 x 6"):
        separate(labels, markers, core=core, scene=(9, 9), max_steps=2)
    with pytest.raises(ValueError, match="at least 1 pixel"):
        separate(labels, markers, core=core, scene=(4, 4), max_steps=0)


def test_instances_out_of_turn_are_refused() -> None:
    merger = Merger(height=8, width=8)
    second = Window(row=0, col=4, height=8, width=4)
    with pytest.raises(ValueError, match="does not continue"):
        merger.skip(second)
    first = Window(row=0, col=0, height=8, width=4)
    with pytest.raises(ValueError, match="sides are"):
        merger.add(
            first,
            Fragments.empty(),
            SharedBoundaries.empty(Window(row=0, col=0, height=4, width=4)),
        )
    far = trace(np.ones((8, 8), np.uint8), np.ones((8, 8), np.uint8))
    with pytest.raises(ValueError, match="past"):
        merger.add(first, far, SharedBoundaries.empty(first))
    two = np.repeat(np.array([[1, 2, 2, 2]], np.uint8), 8, axis=0)
    marked = np.ones((8, 4), np.uint8)
    joints = shared_boundaries(two.astype(np.int32), marked, marked, Sides.empty(first))
    with pytest.raises(ValueError, match="without `criterion`"):
        merger.add(first, trace(two, two), joints)
    with pytest.raises(ValueError, match="add or skip the windows"):
        merger.finish()


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), size=st.integers(1, 4), data=st.data())
def test_opening_and_closing_of_a_tile_are_those_of_the_scene(
    seed: int, size: int, data: st.DataObject
) -> None:
    interior = np.random.default_rng(seed).integers(0, 256, (20, 20), np.uint8)
    threshold = data.draw(st.sampled_from([30, 80, 200]))
    whole = markers_of(interior, threshold=threshold, opening=size)
    filled = close_squares(interior >= threshold, size=size)
    for core in windows(data, (20, 20)):
        seen = context(core, scene=(20, 20), max_steps=size - 1)
        cut = slice(seen.row, seen.bottom), slice(seen.col, seen.right)
        part = markers_of(interior[cut], threshold=threshold, opening=size)
        own = core.within(Window(row=0, col=0, height=20, width=20))
        np.testing.assert_array_equal(part[core.within(seen)], whole[own])
        part = close_squares(interior[cut] >= threshold, size=size)
        np.testing.assert_array_equal(part[core.within(seen)], filled[own])


def test_an_opened_mask_is_squares() -> None:
    mask = np.zeros((7, 9), bool)
    mask[1:4, 1:4], mask[2, 4:8], mask[5, 5] = True, True, True
    squares = np.zeros((7, 9), bool)
    squares[1:4, 1:4] = True
    np.testing.assert_array_equal(open_squares(mask, size=3), squares)
    np.testing.assert_array_equal(open_squares(open_squares(mask, size=3), size=3), squares)
