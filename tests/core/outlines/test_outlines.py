"""Shapes: valid, without new overlaps, like what they were, and the same each time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import shapely
import shapely.affinity
import shapely.geometry.base
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from pipeline.core.outlines import Rules, clusters, regularised, simplified
from pipeline.core.outlines.corners import corners
from pipeline.core.outlines.regular.deviation import exceeds_deviation
from pipeline.core.outlines.regular.direction import directions
from pipeline.core.outlines.similarity import DOUBT, approximate_iou, iou_against
from pipeline.core.outlines.simplify import soundly_simplified
from pipeline.core.polygons.separate import separate, trace_instances
from pipeline.core.polygons.trace import trace
from pipeline.core.window import Window
from tests.strategies import examples

Polygons = npt.NDArray[Any]
seeds = st.integers(0, 2**32 - 1)


def town(seed: int, *, size: int = 72, rough: float = 0.8) -> Polygons:
    """Turned rectangles and L shapes with ragged edges, some touching, some with a yard."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((size, size), np.int32)
    y, x = np.mgrid[:size, :size] + 0.5
    for label in range(1, rng.integers(2, 9)):
        angle = rng.uniform(0, math.pi)
        row, col = rng.uniform(0, size, 2)
        shift = ndimage.gaussian_filter(rng.normal(size=(size, size)), 1) * rough * 3
        along = (x - col) * math.cos(angle) + (y - row) * math.sin(angle)
        across = (y - row) * math.cos(angle) - (x - col) * math.sin(angle)
        long, wide = rng.uniform(3, 16), rng.uniform(2, 12)
        inside = (abs(along) + shift < long) & (abs(across) + shift < wide)
        if rng.random() < 0.4:
            inside &= (along < long / 4) | (across < wide / 4)
        if rng.random() < 0.2:
            inside &= (abs(along) > long / 3) | (abs(across) > wide / 3)
        labels[inside] = label
    core = Window(row=0, col=0, height=size, width=size)
    mask = (labels > 0).astype(np.uint8)
    markers = ndimage.minimum_filter(labels, 3) == ndimage.maximum_filter(labels, 3)
    instances, _ = separate(mask, markers, core=core, scene=(size, size), max_steps=9)
    return trace_instances(instances, mask, mask, core=core).to_shapely()


def rectangle(*, angle: float, long: float = 30, wide: float = 16) -> shapely.Polygon:
    box = shapely.box(-long / 2, -wide / 2, long / 2, wide / 2)
    return shapely.affinity.translate(shapely.affinity.rotate(box, angle, (0, 0)), 40, 40)


def drawn(polygon: shapely.geometry.base.BaseGeometry) -> shapely.Polygon:
    """The polygon as a mask, traced."""
    y, x = np.mgrid[:80, :80] + 0.5
    mask = shapely.contains_xy(polygon, x, y).astype(np.uint8)
    traced = trace(mask, mask).to_shapely()
    assert len(traced) == 1
    assert isinstance(traced[0], shapely.Polygon)
    return traced[0]


def one(polygon: shapely.geometry.base.BaseGeometry) -> Polygons:
    return np.array([polygon], object)


def exact_iou(before: Polygons, after: Polygons) -> npt.NDArray[np.float64]:
    both = shapely.area(shapely.intersection(before, after))
    ratio: npt.NDArray[np.float64] = both / (shapely.area(before) + shapely.area(after) - both)
    return ratio


def overlap(polygons: Polygons) -> float:
    first, second = shapely.STRtree(polygons).query(polygons, predicate="intersects")
    pairs = first < second
    shared = shapely.intersection(polygons[first[pairs]], polygons[second[pairs]])
    return float(shapely.area(shared).max(initial=0))


def turns(polygon: shapely.Polygon, *, pixel: tuple[float, float] = (1, 1)) -> Any:
    """The angles at the corners, in degrees."""
    sides = np.diff(shapely.get_coordinates(polygon.exterior), axis=0) * pixel
    after = np.roll(sides, -1, axis=0)
    cross = sides[:, 0] * after[:, 1] - sides[:, 1] * after[:, 0]
    return np.degrees(np.arctan2(np.abs(cross), (sides * after).sum(axis=1)))


@settings(deadline=None, max_examples=examples(80))
@given(seed=seeds, diagonal=st.sampled_from([math.inf, 5.0]), least=st.sampled_from([0.7, 0.85]))
def test_regularised_is_valid_like_before_and_overlaps_nowhere(
    seed: int, diagonal: float, least: float
) -> None:
    outlines = town(seed)
    rules = Rules(least_diagonal=diagonal, least_iou=least)
    shapes, flags = regularised(outlines, rules=rules)
    assert shapely.is_valid(shapes).all()
    assert (shapely.get_type_id(shapes) == 3).all()
    assert overlap(shapes) < 1e-5
    assert (exact_iou(outlines, shapes) >= least - 1e-9).all()
    assert all(a.equals(b) for a, b in zip(shapes[~flags], outlines[~flags], strict=True))


@settings(deadline=None, max_examples=examples(40))
@given(seed=seeds, stray=st.sampled_from([1.5, 5.0]))
@example(seed=231, stray=5.0).via("a neighbour cuts a simplified one")
def test_what_is_not_regularised_is_simplified_under_the_same_conditions(
    seed: int, stray: float
) -> None:
    outlines = town(seed)
    rules = Rules(simplify=1.5, stray=stray)
    shapes, flags = regularised(outlines, rules=rules)
    assert shapely.is_valid(shapes).all()
    assert overlap(shapes) < 1e-5
    assert (exact_iou(outlines, shapes) >= rules.least_iou - 1e-9).all()
    assert shapely.get_num_coordinates(shapes[~flags]).sum() <= (
        shapely.get_num_coordinates(outlines[~flags]).sum()
    )
    far = shapely.buffer(outlines, stray + 0.01, quad_segs=32)
    assert shapely.covers(far, shapes).all()


@settings(deadline=None, max_examples=examples(40))
@given(seed=seeds)
def test_nothing_fixed_is_overlapped(seed: int) -> None:
    outlines = town(seed)
    fixed, others = outlines[::3], np.delete(outlines, np.s_[::3])
    shapes, _ = regularised(others, rules=Rules(simplify=1.5), fixed=fixed)
    assert overlap(np.concatenate([shapes, fixed])) < 1e-5
    assert (exact_iou(others, shapes) >= 0.85 - 1e-9).all()


@settings(deadline=None, max_examples=examples(40))
@given(seed=seeds)
def test_what_is_simplified_is_valid_like_before_and_overlaps_nowhere(seed: int) -> None:
    outlines = town(seed)
    shapes = soundly_simplified(outlines, rules=Rules(simplify=2))
    assert shapely.is_valid(shapes).all()
    assert overlap(shapes) < 1e-5
    assert (exact_iou(outlines, shapes) >= 0.85 - 1e-9).all()


@settings(deadline=None, max_examples=examples(40))
@given(seed=seeds, by=st.floats(0, 6), limit=st.sampled_from([1.0, 2.5, 5.0]))
def test_what_strays_too_far_is_told(seed: int, by: float, limit: float) -> None:
    outlines = town(seed)
    moved = shapely.transform(outlines, lambda c: c + np.array([by, 0]))
    told = exceeds_deviation(moved, outlines, limit=limit)
    covered = shapely.covers(shapely.buffer(outlines, limit + 0.01, quad_segs=32), moved)
    assert covered[~told].all()
    clearly = shapely.covers(shapely.buffer(outlines, limit - 0.3, quad_segs=32), moved)
    assert not told[clearly].any()


@settings(deadline=None, max_examples=examples(30))
@given(seed=seeds, right=st.integers(-40, 5000), down=st.integers(-40, 5000))
@example(seed=58, right=0, down=42).via("a wall of the least length")
def test_regularised_twice_or_elsewhere_is_the_same(seed: int, right: int, down: int) -> None:
    outlines = town(seed)
    shapes, flags = regularised(outlines)
    again, _ = regularised(outlines.copy())
    assert [shape.wkb for shape in shapes] == [shape.wkb for shape in again]
    moved = shapely.transform(outlines, lambda c: c + np.array([right, down]))
    shifted, shifted_flags = regularised(moved)
    np.testing.assert_array_equal(flags, shifted_flags)
    back = shapely.transform(shifted, lambda c: c - np.array([right, down]))
    away = shapely.hausdorff_distance(back, shapes)
    # Rounding decides in a few places, between two walls that are equally short, or as long as a
    # wall must be.
    assert away.max(initial=0) <= Rules().least_wall + 1e-5
    assert np.count_nonzero(away > 1e-5) <= 1 + len(away) / 10


@settings(deadline=None, max_examples=examples(50))
@given(angle=st.floats(-90, 90), long=st.floats(12, 40), wide=st.floats(10, 30))
@example(angle=5.5, long=12, wide=10).via("one step a wall, beside a corner")
def test_a_drawn_rectangle_comes_back_as_the_rectangle(
    angle: float, long: float, wide: float
) -> None:
    house = rectangle(angle=angle, long=long, wide=wide)
    outline = drawn(house)
    shapes, flags = regularised(one(outline))
    assert flags.all()
    assert shapely.get_num_coordinates(shapes[0]) == 5
    np.testing.assert_allclose(turns(shapes[0]), 90, atol=1e-6)
    # Pixels lose up to half of their width on each side.
    assert exact_iou(shapes, one(house))[0] > exact_iou(one(outline), one(house))[0] - 0.02
    assert shapely.get_exterior_ring(shapes[0]).is_ccw == outline.exterior.is_ccw


def test_on_average_buildings_are_nearer_the_truth_than_their_outlines() -> None:
    rng = np.random.default_rng(0)
    truth = np.array(
        [rectangle(angle=rng.uniform(0, 90), long=24, wide=rng.uniform(10, 20)) for _ in range(60)]
    )
    outlines = np.array([drawn(house) for house in truth], object)
    # Alone each, as they lie on top of each other.
    shapes = np.array([regularised(one(outline))[0][0] for outline in outlines], object)
    assert exact_iou(shapes, truth).mean() > exact_iou(outlines, truth).mean()


@settings(deadline=None, max_examples=examples(40))
@given(angle=st.floats(0, 90))
def test_angles_are_right_on_the_ground(angle: float) -> None:
    pixel = (0.5, 1.0)
    house = rectangle(angle=angle, long=24, wide=14)
    # Pixels half as wide as high: twice as many of them along a row.
    outline = shapely.transform(house, lambda c: (c - 40) * (2, 1) + 200)
    shapes, flags = regularised(one(outline), pixel=pixel)
    assert flags.all()
    np.testing.assert_allclose(turns(shapes[0], pixel=pixel), 90, atol=1e-6)
    assert exact_iou(shapes, one(outline))[0] > 0.999


def test_a_yard_stays() -> None:
    house = rectangle(angle=20, long=40, wide=30) - rectangle(angle=20, long=20, wide=12)
    shapes, flags = regularised(one(drawn(house)))
    assert flags.all()
    assert len(shapes[0].interiors) == 1
    assert exact_iou(shapes, one(house))[0] > 0.9


def test_a_round_tank_stays_round() -> None:
    tank = drawn(shapely.Point(40, 40).buffer(9))
    shapes, flags = regularised(one(tank), rules=Rules(least_iou=0.97, simplify=0.5))
    assert not flags.any()
    assert exact_iou(shapes, one(tank))[0] > 0.97


def test_a_bay_window_keeps_its_diagonals_if_they_are_allowed() -> None:
    octagon = shapely.Polygon(
        [(10, 0), (30, 0), (40, 10), (40, 30), (30, 40), (10, 40), (0, 30), (0, 10)]
    )
    shapes, _ = regularised(one(octagon), rules=Rules(least_diagonal=5, least_iou=0.97))
    assert exact_iou(shapes, one(octagon))[0] > 0.99
    np.testing.assert_allclose(turns(shapes[0]), 45, atol=1e-6)


def test_nothing_is_shaped_into_nothing() -> None:
    none = np.empty(0, object)
    shapes, flags = regularised(none)
    assert len(shapes) == len(flags) == len(simplified(none, tolerance=1)) == 0


@settings(deadline=None, max_examples=examples(30))
@given(seed=seeds, tolerance=st.sampled_from([0.0, 0.8, 1.5, 3.0]))
def test_shared_walls_stay_shared_and_each_cluster_is_simplified_by_itself(
    seed: int, tolerance: float
) -> None:
    outlines = town(seed)
    together = simplified(outlines, tolerance=tolerance)
    assert (
        shapely.get_num_coordinates(together).sum() <= shapely.get_num_coordinates(outlines).sum()
    )
    numbers = clusters(outlines)
    for number in range(numbers.max(initial=-1) + 1):
        members = numbers == number
        alone = simplified(outlines[members], tolerance=tolerance)
        assert tolerance == 0 or shapely.coverage_is_valid(alone)
        assert [p.wkb for p in alone] == [p.wkb for p in together[members]]


@settings(deadline=None, max_examples=examples(30))
@given(seed=seeds, tolerance=st.floats(0.1, 4))
def test_no_vertex_that_goes_lies_farther_off_than_the_tolerance(
    seed: int, tolerance: float
) -> None:
    for outline in town(seed):
        ring = shapely.get_coordinates(outline.exterior)
        kept = corners(ring, tolerance)
        assert (np.diff(kept) > 0).all()
        line = shapely.LinearRing(ring[np.append(kept, kept[0])]) if len(kept) > 2 else None
        if line is not None:
            assert shapely.distance(shapely.points(ring), line).max() <= tolerance + 1e-9


@settings(deadline=None, max_examples=examples(30))
@given(angle=st.floats(0, 90), long=st.floats(20, 40))
def test_the_main_direction_is_that_of_the_walls(angle: float, long: float) -> None:
    ring = shapely.get_coordinates(drawn(rectangle(angle=angle, long=long)))
    offsets = np.array([0, len(ring)]), np.array([0, 1])
    found, share = directions(ring, *offsets, 1.6)[0]
    assert abs((math.degrees(found) - angle + 45) % 90 - 45) < 3
    assert share > 0.8


@settings(deadline=None, max_examples=examples(30))
@given(one_seed=seeds, angle=st.floats(0, 90))
def test_likeness_is_intersection_over_union(one_seed: int, angle: float) -> None:
    outlines = town(one_seed)
    turned = np.array([shapely.affinity.rotate(p, angle) for p in outlines], object)
    big = shapely.area(outlines) > 30
    exact = exact_iou(outlines, turned)
    np.testing.assert_allclose(approximate_iou(outlines[big], turned[big]), exact[big], atol=DOUBT)
    clear = abs(exact - 0.8) > 1e-9
    np.testing.assert_array_equal(
        iou_against(outlines[clear & big], turned[clear & big], least=0.8) >= 0.8,
        exact[clear & big] >= 0.8,
    )


@pytest.mark.parametrize(("gap", "wanted"), [(0, 3), (2, 2), (30, 1)])
def test_clusters_are_what_touches_or_nearly_touches(gap: float, wanted: int) -> None:
    boxes = np.array([shapely.box(x, 0, x + 10, 5) for x in (0, 10, 22, 50)], object)
    assert len(np.unique(clusters(boxes, gap=gap))) == wanted
