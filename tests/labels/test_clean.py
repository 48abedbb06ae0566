"""Repeats in reference data: one of each group of copies stays, and metrics do not change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS, Transformer

from pipeline.core.metrics.matching import match_objects
from pipeline.labels.clean import without_repeats
from pipeline.labels.objects import Objects
from tests.strategies import examples

UTM = CRS.from_epsg(32645)
DEGREES = CRS.from_epsg(4326)
MERCATOR = CRS.from_epsg(3857)
FEET = CRS.from_epsg(2263)
PLACE = {
    UTM: (400_000.0, 3_060_000.0),
    DEGREES: (85.3, 27.65),
    MERCATOR: (1_200_000.0, 8_400_000.0),  # 60 degrees north: a metre is two units
    FEET: (990_000.0, 200_000.0),
}


def objects(polygons: Any, crs: CRS | None = UTM) -> Objects:
    return Objects(source="truth.gpkg", polygon=np.array(list(polygons), object), crs=crs)


def houses(count: int, rng: np.random.Generator) -> list[Any]:
    """Houses of 2 to 20 m in a grid of 25 m, each with a corner cut off or not."""
    found = []
    for number in range(count):
        x, y = 25.0 * (number % 5), 25.0 * (number // 5)
        width, height = rng.uniform(2, 20, 2)
        corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
        if rng.random() < 0.5:
            corners[2:3] = [(x + width, y + height / 2), (x + width / 2, y + height)]
        found.append(shapely.Polygon(corners))
    return found


def perturbed(polygon: Any, rng: np.random.Generator, by: float = 0.1) -> Any:
    """Move every corner by up to ``by`` in x and in y, and begin at another corner."""
    corners = shapely.get_coordinates(polygon)[:-1]
    moved = corners + rng.uniform(-by, by, corners.shape)
    return shapely.Polygon(np.roll(moved, rng.integers(len(corners)), axis=0))


def placed(polygons: list[Any], crs: CRS) -> list[Any]:
    """Put polygons in metres at a place, in the units of a reference system."""
    x, y = PLACE[crs]
    east, north = x, y
    if crs != UTM:
        east, north = Transformer.from_crs(crs, UTM, always_xy=True).transform(x, y)
    back = Transformer.from_crs(UTM, crs, always_xy=True)
    if crs == FEET:  # far from that zone: feet in the plane itself
        return [
            shapely.transform(one, lambda p: p / 0.3048006096012192 + (x, y)) for one in polygons
        ]
    return [
        shapely.transform(
            one, lambda p: np.column_stack(back.transform(p[:, 0] + east, p[:, 1] + north))
        )
        for one in polygons
    ]


@settings(max_examples=examples(60), deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    crs=st.sampled_from([UTM, DEGREES, MERCATOR, FEET]),
    copies=st.integers(0, 3),
)
def test_copies_leave_precision_recall_and_f1_those_of_the_clean_set(
    seed: int, crs: CRS, copies: int
) -> None:
    rng = np.random.default_rng(seed)
    clean = houses(20, rng)
    doubled = list(clean)
    for one in clean:
        doubled += [perturbed(one, rng) for _ in range(rng.integers(0, copies + 1))]
    doubled = [doubled[at] for at in rng.permutation(len(doubled))]
    predictions = [shapely.affinity.translate(one, 0.2, 0.1) for one in clean[:15]]
    predictions.append(shapely.box(200, 200, 210, 210))

    found = without_repeats(objects(placed(doubled, crs), crs))

    assert len(found) == len(clean)
    scores = match_objects(np.array(placed(predictions, crs), object), found.polygon)
    assert (scores.precision, scores.recall) == (15 / 16, 15 / 20)
    left_out = len(doubled) - len(clean)
    if left_out:
        word = "polygon" if left_out == 1 else "polygons"
        assert found.notes == (f"{left_out} duplicate {word} counted once",)


@settings(max_examples=examples(30), deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_order_of_rows_does_not_decide_what_stays(seed: int) -> None:
    rng = np.random.default_rng(seed)
    doubled = [shape for one in houses(8, rng) for shape in (one, perturbed(one, rng), one)]
    order = rng.permutation(len(doubled))
    one = without_repeats(objects(doubled))
    other = without_repeats(objects(doubled[at] for at in order))
    assert {shapely.normalize(shape).wkb for shape in one.polygon} == {
        shapely.normalize(shape).wkb for shape in other.polygon
    }
    assert one.notes == other.notes


@pytest.mark.parametrize("flipped", [False, True])
def test_of_a_polygon_and_one_that_is_five_centimetres_larger_one_stays(flipped: bool) -> None:
    pair = [shapely.box(0, 0, 12, 9), shapely.box(-0.05, -0.05, 12.05, 9.05)]
    found = without_repeats(objects(pair[::-1] if flipped else pair))
    assert found.polygon.tolist() == [pair[1]]


def test_copies_one_node_apart_by_rounding_are_one() -> None:
    one = shapely.box(85.3, 27.65, 85.3001, 27.6501)
    corners = shapely.get_coordinates(one)
    corners[1, 0] += 5e-12
    found = without_repeats(objects([one, shapely.Polygon(corners)], DEGREES))
    assert len(found) == 1


def test_small_neighbours_that_touch_or_overlap_a_little_all_stay() -> None:
    sheds = [shapely.box(x, 0, x + 1.05, 1) for x in range(6)]
    assert len(without_repeats(objects(sheds))) == 6


def test_a_chain_of_nested_polygons_leaves_the_outer_one() -> None:
    rings = [shapely.box(-r, -r, r, r) for r in (3, 4, 5, 6)]
    found = without_repeats(objects(rings))
    assert found.polygon.tolist() == [rings[3]]
    assert found.notes == ("3 polygons inside another not counted again",)


def test_what_lies_only_in_a_polygon_that_is_left_out_stays() -> None:
    # The middle one repeats the large one; the small one lies in the middle one alone.
    large, middle = shapely.box(0, 0, 100, 10), shapely.box(4, 0, 104, 10)
    small = shapely.box(102, 2, 104, 4)
    found = without_repeats(objects([small, middle, large]))
    assert found.polygon.tolist() == [small, large]


def test_pixels_have_a_limit_of_one_pixel() -> None:
    one, moved = shapely.box(0, 0, 6, 6), shapely.box(0.7, 0.7, 6.7, 6.7)
    assert len(without_repeats(objects([one, moved], None))) == 1
    far = shapely.box(1.2, 1.2, 7.2, 7.2)
    assert len(without_repeats(objects([one, far], None))) == 2
