"""Adjoining pieces share out the plane, and repeated observations are told from pieces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import box
from shapely.geometry.base import BaseGeometry

from pipeline.core.conflation.observations import UNDATED, count_acquisitions
from pipeline.core.conflation.pieces import Pieces, group_pieces
from pipeline.core.conflation.territories import territories
from tests.core.conflation.test_conflation import outlines
from tests.strategies import examples

DAY = 24 * 3600 * 1000


def areas(*shapes: BaseGeometry) -> np.ndarray:
    found = np.empty(len(shapes), object)
    found[:] = shapes
    return found


frames = st.builds(
    lambda x, y, w, h: box(x, y, x + w, y + h),
    st.integers(0, 80),
    st.integers(0, 80),
    st.integers(2, 60),
    st.integers(2, 60),
)


@settings(max_examples=examples(60))
@given(shapes=st.lists(frames, min_size=1, max_size=6), yields=st.booleans())
def test_territories_partition_what_the_pieces_cover(
    shapes: list[shapely.Polygon], yields: bool
) -> None:
    covered = areas(*shapes)
    found = territories(covered, yields=lambda a, b: yields and a < b)
    own = shapely.area(found.area)
    assert own.sum() == pytest.approx(shapely.area(shapely.union_all(covered)), abs=1e-3)
    assert shapely.area(shapely.difference(found.area, covered)).max() < 1e-6
    if not yields:
        assert own[0] == pytest.approx(shapes[0].area)
    assert (found.one < found.two).all()


def test_two_pieces_halve_what_they_share_and_the_later_one_takes_the_odd_pixel() -> None:
    found = territories(areas(box(0, 0, 100, 50), box(85, 0, 200, 50)))
    assert shapely.bounds(found.area).tolist() == [[0, 0, 93, 50], [93, 0, 200, 50]]
    (seam,) = found.seam.tolist()
    assert seam.covers(shapely.LineString([(93, 0), (93, 50)]))


def test_pieces_that_only_touch_or_miss_each_other_by_less_than_a_pixel_have_a_seam() -> None:
    touching = territories(areas(box(0, 0, 10, 10), box(10, 0, 20, 10)))
    assert shapely.length(touching.seam).tolist() == [pytest.approx(10, abs=3)]
    assert len(territories(areas(box(0, 0, 10, 10), box(10.7, 0, 20, 10))).seam) == 1
    assert len(territories(areas(box(0, 0, 10, 10), box(12, 0, 20, 10))).seam) == 0


def found(
    shapes: Sequence[BaseGeometry], dates: list[int], kinds: list[int] | None = None
) -> Pieces:
    known = np.array(kinds or [0] * len(shapes), np.int64)
    degrees = [shapely.transform(shape, lambda points: points * 1e-5) for shape in shapes]
    return group_pieces(degrees, np.array(dates, np.int64), lambda scenes: known[scenes])


def test_what_adjoins_is_one_acquisition_on_one_day_and_one_group_on_any() -> None:
    tiles = [box(0, 0, 100, 100), box(100, 0, 200, 100), box(190, 0, 300, 100)]
    same = found(tiles, [0, DAY // 2, DAY // 4])
    assert same.acquisition.tolist() == same.group.tolist() == [0, 0, 0]
    apart = found(tiles, [0, 5 * DAY, 5 * DAY])
    assert (apart.acquisition.tolist(), apart.group.tolist()) == ([0, 1, 1], [0, 0, 0])
    undated = found(tiles, [UNDATED, UNDATED, 0])
    assert (undated.acquisition.tolist(), undated.group.tolist()) == ([0, 0, 2], [0, 0, 0])
    assert found([tiles[0], tiles[2]], [0, 0]).group.tolist() == [0, 1]


def test_what_lies_on_another_repeats_it() -> None:
    tile, shifted = box(0, 0, 100, 100), box(3, 0, 103, 100)
    assert found([tile, shifted], [0, 0]).acquisition.tolist() == [0, 1]
    # Days apart, a third of a scene is enough.
    third = box(67, 0, 167, 100)
    assert found([tile, third], [0, 0]).acquisition.tolist() == [0, 0]
    assert found([tile, third], [0, 5 * DAY]).group.tolist() == [0, 1]


def test_two_coverages_of_one_place_stay_two_however_they_adjoin() -> None:
    west, east = box(0, 0, 100, 100), box(100, 0, 200, 100)
    again = found([west, east, west, east], [0, 0, 3 * DAY, 3 * DAY])
    assert again.acquisition.tolist() == again.group.tolist() == [0, 0, 2, 2]
    undated = found([west, east, west], [UNDATED] * 3)
    assert undated.acquisition.tolist() == [0, 0, 2]


def test_scenes_of_other_kinds_are_of_one_acquisition_and_not_joined() -> None:
    tiles = [box(0, 0, 100, 100), box(100, 0, 200, 100), box(200, 0, 300, 100)]
    other = found(tiles, [0, 0, 0], [0, 0, 1])
    assert (other.acquisition.tolist(), other.group.tolist()) == ([0, 0, 0], [0, 0, 2])
    unknown = found(tiles, [0, 0, 0], [-1, -1, 0])
    assert (unknown.acquisition.tolist(), unknown.group.tolist()) == ([0, 0, 0], [0, 1, 2])


def test_acquisitions_that_cover_half_of_a_footprint_have_observed_it() -> None:
    shapes = outlines([box(0, 0, 10, 10), box(95, 0, 105, 10), box(194, 0, 204, 10)])
    coverage = [box(0, 0, 100, 100), box(100, 0, 200, 100), box(0, 0, 99, 100)]
    one = count_acquisitions(shapes, coverage=coverage, acquisition=np.array([0, 0, 2]))
    # The second is covered by halves by two pieces, and by less than half by the third scene.
    assert one.tolist() == [2, 1, 1]
    each = count_acquisitions(shapes, coverage=coverage, acquisition=np.array([0, 1, 2]))
    assert each.tolist() == [2, 2, 1]
