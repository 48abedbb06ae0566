"""Tracing: GDAL's polygons, valid, in one canonical form, which give the mask back."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import rasterio.features
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.core.polygons.fragments import Fragments
from pipeline.core.polygons.trace import trace

Mask = npt.NDArray[Any]
Corners = Sequence[tuple[float, float]] | npt.NDArray[np.int32]
Rings = tuple[int, tuple[tuple[int, int], ...], frozenset[tuple[tuple[int, int], ...]]]


def mask_of(*rows: str, dtype: type = np.uint8) -> Mask:
    return np.array([[int(letter) for letter in row] for row in rows], dtype)


@st.composite
def masks(draw: st.DrawFn) -> Mask:
    """Noise, thin to solid, of one to three labels; every fourth in blocks of 3 x 3."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    height, width = draw(st.integers(1, 24)), draw(st.integers(1, 24))
    share = draw(st.sampled_from([0.1, 0.4, 0.6, 0.75, 0.95, 1.0]))
    labels = rng.integers(1, draw(st.integers(1, 3)) + 1, (height, width))
    labels *= rng.random((height, width)) < share
    if draw(st.integers(0, 3)) == 0:
        labels = np.kron(labels, np.ones((3, 3), int))
    return labels.astype(draw(st.sampled_from([np.uint8, np.int32])))


def weights_for(labels: Mask) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(7).integers(0, 251, labels.shape, np.uint8)


def turned(ring: Corners) -> tuple[tuple[int, int], ...]:
    """A ring from its topmost, then leftmost vertex, clockwise on the screen."""
    corners = [(int(x), int(y)) for x, y in ring[:-1]]
    first = min(range(len(corners)), key=lambda at: corners[at][::-1])
    corners = corners[first:] + corners[:first]
    following = corners[1:] + corners[:1]
    area = sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(corners, following, strict=True))
    return tuple(corners if area > 0 else [corners[0], *corners[:0:-1]])


def rings_of(label: float, geometry: dict[str, Any]) -> Rings:
    shell, *holes = geometry["coordinates"]
    return int(label), turned(shell), frozenset(turned(hole) for hole in holes)


@pytest.fixture(scope="module")
def by_gdal() -> Iterator[Callable[[Mask], list[Rings]]]:
    """GDAL's polygons, from a process whose drivers no guard has taken away."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        yield lambda labels: process.submit(polygonized, labels).result()


def polygonized(labels: Mask) -> list[Rings]:
    shapes = rasterio.features.shapes(labels, mask=labels != 0, connectivity=4)
    return [rings_of(label, geometry) for geometry, label in shapes]


def by_trace(fragments: Fragments) -> list[Rings]:
    polygons = zip(fragments.label, fragments.to_shapely(), strict=True)
    return [rings_of(label, shapely.geometry.mapping(polygon)) for label, polygon in polygons]


CASES = [
    mask_of("1"),
    mask_of("0"),
    mask_of("1011"),
    mask_of("111", "111"),
    mask_of("10", "01"),
    mask_of("111", "101", "110"),
    mask_of("111", "101", "011"),
    mask_of("11111", "10101", "11011", "10101", "11111"),
    mask_of("1111111", "1000001", "1011101", "1010101", "1011101", "1000001", "1111111"),
    mask_of("1221", "2112", "1221", dtype=np.int32),
    mask_of("122", "112", "221"),
]


@settings(deadline=None)
@given(labels=masks())
@example(labels=CASES[5])
@example(labels=CASES[8])
def test_the_polygons_are_those_of_gdal(
    by_gdal: Callable[[Mask], list[Rings]], labels: Mask
) -> None:
    ours, theirs = by_trace(trace(labels, weights_for(labels))), by_gdal(labels)
    assert len(ours) == len(theirs)
    assert set(ours) == set(theirs)


@pytest.mark.parametrize("labels", CASES, ids=str)
def test_small_masks_are_traced_as_gdal_does(
    by_gdal: Callable[[Mask], list[Rings]], labels: Mask
) -> None:
    assert set(by_trace(trace(labels, weights_for(labels)))) == set(by_gdal(labels))


@settings(deadline=None)
@given(labels=masks())
def test_every_polygon_is_valid(labels: Mask) -> None:
    assert shapely.is_valid(trace(labels, weights_for(labels)).to_shapely()).all()


@settings(deadline=None)
@given(labels=masks())
def test_rasterized_polygons_give_the_mask_back(labels: Mask) -> None:
    fragments = trace(labels, weights_for(labels))
    shapes = list(zip(fragments.to_shapely(), fragments.label.tolist(), strict=True))
    back = np.zeros_like(labels)
    if shapes:
        rasterio.features.rasterize(shapes, out=back)
    np.testing.assert_array_equal(back, labels)


@settings(deadline=None)
@given(labels=masks())
def test_pixels_and_weights_add_up_polygon_by_polygon(labels: Mask) -> None:
    weights = weights_for(labels)
    fragments = trace(labels, weights)
    polygons = fragments.to_shapely()
    np.testing.assert_array_equal(fragments.pixels, shapely.area(polygons))
    assert fragments.weight.sum() == weights[labels != 0].sum(dtype=np.int64)
    for polygon, weight in zip(polygons, fragments.weight, strict=True):
        covered = rasterio.features.rasterize([polygon], out_shape=labels.shape) == 1
        assert weights[covered].sum(dtype=np.int64) == weight


@settings(deadline=None)
@given(labels=masks(), row=st.integers(0, 10**6), col=st.integers(0, 10**6))
def test_a_moved_mask_gives_moved_polygons(labels: Mask, row: int, col: int) -> None:
    here = trace(labels, weights_for(labels))
    there = trace(labels, weights_for(labels), row=row, col=col)
    np.testing.assert_array_equal(there.coords, here.coords + np.array([col, row]))
    np.testing.assert_array_equal(there.row, here.row + row)
    np.testing.assert_array_equal(there.col, here.col + col)


@settings(deadline=None)
@given(labels=masks())
def test_the_form_is_canonical(labels: Mask) -> None:
    fragments = trace(labels, weights_for(labels))
    anchors = list(zip(fragments.row.tolist(), fragments.col.tolist(), strict=True))
    assert anchors == sorted(anchors)
    assert fragments.coords.dtype == fragments.label.dtype == np.int32
    assert fragments.ring_offsets.dtype == fragments.pixels.dtype == np.int64
    for polygon, anchor in enumerate(anchors):
        begin, end = fragments.polygon_offsets[polygon : polygon + 2]
        firsts = []
        for ring in range(begin, end):
            corners = fragments.coords[slice(*fragments.ring_offsets[ring : ring + 2])]
            np.testing.assert_array_equal(corners[0], corners[-1])
            assert tuple(corners[0]) == turned(corners)[0]
            # Each corner turns: horizontal and vertical edges take turns.
            assert (np.diff(np.diff(corners, axis=0) == 0, axis=0) != 0).all()
            assert shapely.is_ccw(shapely.LinearRing(corners)) == (ring == begin)
            firsts.append((int(corners[0, 1]), int(corners[0, 0])))
        assert firsts[0] == anchor
        assert firsts[1:] == sorted(firsts[1:])


@settings(deadline=None)
@given(labels=masks())
def test_both_kinds_of_labels_and_any_memory_order_give_the_same(labels: Mask) -> None:
    plain = trace(labels.astype(np.uint8), weights_for(labels)).to_arrays()
    turned_over = np.asfortranarray(labels.astype(np.int32))
    other = trace(turned_over, np.asfortranarray(weights_for(labels))).to_arrays()
    for name, array in plain.items():
        np.testing.assert_array_equal(array, other[name])


@settings(deadline=None)
@given(labels=masks(), seed=st.integers(0, 2**32 - 1))
def test_taking_polygons_apart_and_together_changes_none(labels: Mask, seed: int) -> None:
    fragments = trace(labels, weights_for(labels))
    some = np.random.default_rng(seed).random(len(fragments)) < 0.5
    parts = [fragments.take(some), Fragments.empty(), fragments.take(np.flatnonzero(~some))]
    back = Fragments.from_arrays(Fragments.concatenate(parts).by_anchor().to_arrays())
    for name, array in fragments.to_arrays().items():
        np.testing.assert_array_equal(array, back.to_arrays()[name])
        assert array.dtype == back.to_arrays()[name].dtype


def test_negative_labels_are_labels() -> None:
    labels = np.array([[-5, -5, 0, 300]], np.int32)
    assert trace(labels, weights_for(labels)).label.tolist() == [-5, 300]


def test_arrays_that_may_only_be_read_do_as_well() -> None:
    labels = np.broadcast_to(np.uint8(3), (2, 5))
    fragments = trace(labels, labels)
    arrays = fragments.to_arrays()
    for array in arrays.values():
        array.flags.writeable = False
    back = Fragments.from_arrays(arrays)
    assert back.weight.tolist() == [30]
    assert all(array.flags.writeable for array in back.to_arrays().values())


def test_taking_what_is_not_there_is_refused() -> None:
    fragments = trace(CASES[2], weights_for(CASES[2]))
    assert fragments.take([-1, 0]).col.tolist() == [2, 0]
    assert len(fragments.take([])) == 0
    with pytest.raises(IndexError):
        fragments.take([2])


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (3, 3)])
def test_nothing_gives_nothing(shape: tuple[int, int]) -> None:
    fragments = trace(np.zeros(shape, np.uint8), np.zeros(shape, np.uint8))
    assert len(fragments) == 0
    assert len(fragments.to_shapely()) == 0
    assert len(Fragments.concatenate([])) == 0


@pytest.mark.parametrize(
    ("labels", "weights", "message"),
    [
        (np.zeros(4, np.uint8), np.zeros(4, np.uint8), "give 2-d uint8 or int32"),
        (np.zeros((2, 2)), np.zeros((2, 2), np.uint8), "give 2-d uint8 or int32"),
        (np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8), "of the labels'"),
        (np.zeros((2, 2), np.uint8), np.zeros((2, 2)), "give uint8"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(labels: Mask, weights: Mask, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        trace(labels, weights)


def test_too_many_pixels_at_once_are_refused() -> None:
    huge = np.broadcast_to(np.uint8(0), (2**15 + 1, 2**15))
    with pytest.raises(ValueError, match="tile by tile"):
        trace(huge, huge)
