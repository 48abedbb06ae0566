"""Who shows one building, who stands for it, when it was seen: equal to plain loops over pairs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import Polygon, box

from pipeline.core.conflation.cells import cells
from pipeline.core.conflation.conflation import z_order
from pipeline.core.conflation.identity import assign_ids, new_id, track_ids
from pipeline.core.conflation.observations import UNDATED, observations, removed, share_within
from pipeline.core.conflation.pairs import (
    CONTAINED,
    IOU,
    Outlines,
    Pairs,
    concatenate_outlines,
    same_building,
)
from pipeline.core.conflation.union import pair_one_to_one, representatives

# Around places where cells of several sizes end.
PLACES = st.builds(int.__add__, st.sampled_from([-64, 0]), st.integers(-6, 6))
SIDES = st.tuples(PLACES, PLACES, *[st.integers(1, 6)] * 2)
BOXES = st.lists(SIDES, max_size=14).map(
    lambda sides: [box(x, y, x + width, y + height) for x, y, width, height in sides]
)


def outlines(shapes: Sequence[Polygon], labels: Any = None) -> Outlines:
    known = np.array([*shapes, None], object)[:-1]
    return Outlines(
        bounds=np.asarray(shapely.bounds(known), np.float64).reshape(-1, 4),
        area=np.asarray(shapely.area(known), np.float64),
        label=np.array(labels if labels is not None else [1] * len(shapes), np.int32),
        load=lambda rows: known[rows],
    )


def plain(one: Polygon, other: Polygon) -> bool:
    shared = one.intersection(other).area
    iou = shared / one.union(other).area
    within = shared / min(one.area, other.area)
    return shared > 0 and (iou >= IOU - 1e-9 or within >= CONTAINED - 1e-9)


@given(shapes=BOXES, seed=st.integers(0, 99), most=st.integers(1, 20), sided=st.booleans())
def test_pairs_are_those_of_a_plain_loop_whatever_the_cells(
    shapes: list[Polygon], seed: int, most: int, sided: bool
) -> None:
    rng = np.random.default_rng(seed)
    labels, side = rng.integers(1, 3, len(shapes)), rng.random(len(shapes)) < 0.5
    found = same_building(outlines(shapes, labels), side=side if sided else None, cell=most)
    expected = [
        (one, other)
        for one, other in itertools.combinations(range(len(shapes)), 2)
        if labels[one] == labels[other]
        and (not sided or side[one] != side[other])
        and plain(shapes[one], shapes[other])
    ]
    assert list(zip(found.left.tolist(), found.right.tolist(), strict=True)) == expected
    for left, right, shared in zip(found.left, found.right, found.shared, strict=True):
        assert shared == pytest.approx(shapes[left].intersection(shapes[right]).area)


@pytest.mark.parametrize("most", [1, 10, 1000])
def test_pairs_across_the_borders_of_cells_are_found_once(most: int) -> None:
    crossing = [box(-4, -4, 2, 2), box(1, 1, 2, 2), box(-3, -3, -2, -2)]
    apart = [box(x, y, x + 1, y + 1) for x in range(-60, 61, 10) for y in range(-55, 61, 10)]
    known = outlines([*crossing, *apart])
    assert (len(list(cells(known.bounds, most=most))) > 4) == (most < 1000)
    found = same_building(known, cell=most)
    assert list(zip(found.left.tolist(), found.right.tolist(), strict=True)) == [(0, 1), (0, 2)]


@given(shapes=BOXES, most=st.integers(1, 6))
def test_cells_partition_the_plane_and_hold_all_that_meets_them(
    shapes: list[Polygon], most: int
) -> None:
    bounds = outlines(shapes).bounds
    leaves = list(cells(bounds, most=most))
    corners = bounds[:, :2]
    owners = [sum(bool(leaf.holds(*corner)) for leaf in leaves) for corner in corners[:, :, None]]
    assert owners == [1] * len(shapes)
    for leaf in leaves:
        whole = box(leaf.west, leaf.south, leaf.west + leaf.side, leaf.south + leaf.side)
        assert leaf.rows.tolist() == np.flatnonzero(shapely.intersects(shapes, whole)).tolist()


@given(shapes=BOXES, seed=st.integers(0, 99))
def test_who_is_not_drawn_shows_what_an_earlier_drawn_one_shows_best(
    shapes: list[Polygon], seed: int
) -> None:
    pairs = same_building(outlines(shapes))
    order = np.random.default_rng(seed).permutation(len(shapes)).astype(np.int64)
    owner = representatives(pairs, order=order)
    turn = np.argsort(order)
    iou = {
        frozenset(pair): value
        for *pair, value in zip(pairs.left, pairs.right, pairs.iou, strict=True)
    }
    for row in range(len(shapes)):
        rivals = [
            other
            for other in range(len(shapes))
            if owner[other] == other and turn[other] < turn[row] and frozenset((row, other)) in iou
        ]
        if not rivals:
            assert owner[row] == row
        else:
            best = max(rivals, key=lambda other: (iou[frozenset((row, other))], -turn[other]))
            assert owner[row] == best


@given(shapes=BOXES, seed=st.integers(0, 99))
def test_sightings_count_every_scene_that_shows_a_building(
    shapes: list[Polygon], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    scene = rng.integers(0, 4, len(shapes))
    dates = np.array([UNDATED, 20, 30, 40], np.int64)
    pairs = same_building(outlines(shapes))
    owner = representatives(pairs, order=rng.permutation(len(shapes)).astype(np.int64))
    drawn = np.flatnonzero(owner == np.arange(len(shapes)))[::-1].copy()
    found = observations(pairs, drawn, scene=scene.astype(np.int64), dates=dates)
    for at, row in enumerate(drawn.tolist()):
        by = {
            int(scene[other])
            for other in range(len(shapes))
            if other == row or plain(shapes[row], shapes[other])
        }
        known = [int(dates[one]) for one in by if dates[one] != UNDATED]
        assert found.n_obs[at] == len(by)
        assert found.first[at] == min(known, default=UNDATED)
        assert found.last[at] == max(known, default=UNDATED)


@given(shapes=BOXES, frame=SIDES, other=SIDES, seed=st.integers(0, 99))
def test_a_building_is_gone_where_half_of_it_lies_in_a_newer_scene(
    shapes: list[Polygon],
    frame: tuple[int, int, int, int],
    other: tuple[int, int, int, int],
    seed: int,
) -> None:
    areas = [box(x, y, x + width, y + height) for x, y, width, height in (frame, other)]
    dates = np.array([10, 20], np.int64)
    last = np.random.default_rng(seed).choice([UNDATED, 5, 10, 15, 20], len(shapes))
    found = removed(outlines(shapes), last=last.astype(np.int64), coverage=areas, dates=dates)
    expected = [
        any(
            date > when and shape.intersection(area).area >= shape.area / 2 - 1e-9
            for area, date in zip(areas, dates, strict=True)
        )
        for shape, when in zip(shapes, last, strict=True)
    ]
    assert found.tolist() == expected


def test_a_share_counts_areas_only_and_holes_not_at_all() -> None:
    ring = box(0, 0, 10, 10).difference(box(4, 4, 6, 6))
    shapes = np.array([box(4, 4, 6, 6), box(3, 4, 5, 6), box(10, 0, 12, 2), box(1, 1, 2, 2)])
    np.testing.assert_allclose(share_within(shapes, ring), [0, 0.5, 0, 1])
    assert share_within(shapes[:0], ring).size == 0


@given(before=BOXES, after=BOXES)
def test_ids_are_inherited_one_to_one_by_the_best_overlap(
    before: list[Polygon], after: list[Polygon]
) -> None:
    both = concatenate_outlines(outlines(after), outlines(before))
    pairs = same_building(both, side=np.arange(len(both)) >= len(after))
    known = [f"{at:04d}" for at in range(len(before))]
    fresh = [new_id("scene", shape.wkb) for shape in after]
    heir = track_ids(pairs, known=known, fresh=fresh)
    chosen = heir[heir >= 0].tolist()
    assert len(chosen) == len(set(chosen))
    for new, old in itertools.product(range(len(after)), range(len(before))):
        if not plain(after[new], before[old]):
            assert heir[new] != old
            continue
        # Nobody is passed over by both: one of the two has a partner at least as good.
        iou = _iou(after[new], before[old])
        mine = _iou(after[new], before[heir[new]]) if heir[new] >= 0 else 0.0
        takers = np.flatnonzero(heir == old).tolist()
        theirs = _iou(after[takers[0]], before[old]) if takers else 0.0
        assert max(mine, theirs) >= iou - 1e-8
    ids = assign_ids(fresh, heir, known)
    assert len(set(ids)) == len(after)
    assert all(one == known[old] for one, old in zip(ids, heir, strict=True) if old >= 0)


def test_a_new_id_that_another_bears_is_made_anew() -> None:
    ids = assign_ids(["a", "b", "c"], np.array([-1, 0, -1], np.int64), ["a"])
    assert ids[1] == "a"
    assert ids[2] == "c"
    assert len(set(ids)) == 3
    assert ids == assign_ids(["a", "b", "c"], np.array([-1, 0, -1], np.int64), ["a"])


def test_equal_overlaps_are_decided_by_precedence() -> None:
    pairs = Pairs(
        left=np.array([0, 0]),
        right=np.array([1, 2]),
        shared=np.array([1.0, 1.0]),
        iou=np.array([0.5, 0.5]),
    )
    assert pair_one_to_one(pairs, precedence=np.array([1, 0])).tolist() == [False, True]
    assert pair_one_to_one(pairs, precedence=np.array([0, 1])).tolist() == [True, False]


@given(
    points=st.lists(st.tuples(st.floats(-180, 180), st.floats(-90, 90)), min_size=1, max_size=9),
    level=st.integers(0, 31),
)
def test_the_curve_stays_within_a_square_before_it_goes_on(
    points: list[tuple[float, float]], level: int
) -> None:
    bounds = np.array([[x, y, x, y] for x, y in points])
    order = z_order(bounds) >> (2 * (31 - level))
    squares = np.floor(np.minimum((bounds[:, :2] + 180) / 360 * 2**level, 2**level - 1))
    for one, other in itertools.combinations(range(len(points)), 2):
        assert (order[one] == order[other]) == (squares[one] == squares[other]).all()


def _iou(one: Polygon, other: Polygon) -> float:
    return float(one.intersection(other).area / one.union(other).area)
