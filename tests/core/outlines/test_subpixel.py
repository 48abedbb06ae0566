"""Sub-pixel outlines: where the surface crosses its level, valid, apart, whatever the tiles."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from pipeline.core.outlines import FinishedOutlines, Outline, OutlineShaper, Rules
from pipeline.core.outlines.nodata import NodataPixels
from pipeline.core.outlines.subpixel import EdgeOffsetStrip, _chord, subpixel
from pipeline.core.polygons.merge import Merger
from pipeline.core.polygons.separate import separate, trace_instances
from pipeline.core.polygons.subpixel_offsets import FARTHEST, UNIT, EdgeOffsets, edge_offsets
from pipeline.core.polygons.trace import trace
from pipeline.core.quantise import NODATA, classified
from pipeline.core.window import Window
from tests.strategies import examples

Bytes = npt.NDArray[np.uint8]
THRESHOLD = 125
LEVEL = THRESHOLD - 0.5
SUBPIXEL = Outline(kind="subpixel", rules=Rules(least_iou=0.8))
seeds = st.integers(0, 2**32 - 1)


def surfaces(seed: int, *, size: int, rough: float, classes: int = 1) -> Bytes:
    """Quantised probabilities of one or two classes, from smooth to noise."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(classes):
        field = ndimage.gaussian_filter(rng.normal(size=(size, size)), rough)
        made.append(np.clip(125 + 60 * field / field.std(), 0, 250))
    return np.rint(made).astype(np.uint8)


def seen_by(core: Window, size: tuple[int, int]) -> Window:
    return core.grown(1).clipped(height=size[0], width=size[1])


def swept(probability: Bytes, labels: Bytes, *, core: int) -> list[FinishedOutlines]:
    """What a sweep over cores gives, each told its own rim."""
    height, width = labels.shape
    merger = Merger(height=height, width=width)
    shaper = OutlineShaper(outline=SUBPIXEL, height=height, width=width, cell=40, few=1)
    parts = []
    for row in range(0, height, core):
        for col in range(0, width, core):
            window = Window(row=row, col=col, height=core, width=core)
            window = window.clipped(height=height, width=width)
            inner = slice(row, window.bottom), slice(col, window.right)
            seen = seen_by(window, labels.shape)
            around = slice(seen.row, seen.bottom), slice(seen.col, seen.right)
            rim = edge_offsets(
                probability[:, *around],
                labels[around],
                core=window,
                seen=seen,
                threshold=THRESHOLD,
            )
            shaper.shift(window, rim)
            known = np.where(labels[inner] == NODATA, 0, labels[inner]).astype(np.uint8)
            shaper.add(merger.add(window, trace(known, known, row=row, col=col)))
        parts.append(shaper.advance(front=row + core, unmerged=merger.boxes()))
    return [*parts, shaper.finish()]


def by_anchor(parts: list[FinishedOutlines]) -> dict[tuple[int, int], bytes]:
    found: dict[tuple[int, int], bytes] = {}
    for part in parts:
        anchors = zip(part.fragments.row.tolist(), part.fragments.col.tolist(), strict=True)
        found |= {anchor: shape.wkb for anchor, shape in zip(anchors, part.polygons, strict=True)}
    return found


def whole(probability: Bytes, labels: Bytes) -> tuple[Any, Any]:
    (part,) = [part for part in swept(probability, labels, core=10_000) if len(part.polygons)]
    return part.polygons, part.outlines


def exact_iou(one: Any, two: Any) -> Any:
    both = shapely.area(shapely.intersection(one, two))
    return both / (shapely.area(one) + shapely.area(two) - both)


def disc(*, radius: float, x: float, y: float, size: int = 40, soft: float = 3.0) -> Bytes:
    """The probability ramp of a disc: a half at its rim, steeper or softer."""
    rows, cols = np.mgrid[:size, :size] + 0.5
    away = radius - np.hypot(cols - x, rows - y)
    ramp: Bytes = np.rint(250 * np.clip(0.5 + away / (2 * soft), 0, 1)).astype(np.uint8)
    return ramp[None]


@settings(deadline=None, max_examples=examples(20))
@given(seed=seeds, core=st.integers(5, 40), rough=st.sampled_from([0, 0.7, 2.0]))
def test_tiles_do_not_matter(seed: int, core: int, rough: float) -> None:
    probability = surfaces(seed, size=48, rough=rough, classes=1 + seed % 2)
    labels = classified(probability, threshold=THRESHOLD)
    cloud = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(48, 48)), 3)
    labels[cloud > 0.1] = NODATA
    found = by_anchor(swept(probability, labels, core=core))
    assert found == by_anchor(swept(probability, labels, core=1000))
    known = np.where(labels == NODATA, 0, labels).astype(np.uint8)
    assert len(found) == len(trace(known, known))


@settings(deadline=None, max_examples=examples(40))
@given(seed=seeds, rough=st.sampled_from([0, 0.5, 1.0, 2.0]), classes=st.integers(1, 2))
@example(seed=12211, rough=1.0, classes=2).via("less like its pixels as a neighbour is plain")
def test_valid_apart_like_their_pixels_and_over_the_same_centres(
    seed: int, rough: float, classes: int
) -> None:
    probability = surfaces(seed, size=32, rough=rough, classes=classes)
    labels = classified(probability, threshold=THRESHOLD)
    shapes, outlines = whole(probability, labels)
    assert shapely.is_valid(shapes).all()
    assert (shapely.get_type_id(shapes) == shapely.GeometryType.POLYGON).all()
    assert (exact_iou(shapes, outlines) >= 0.8 - 1e-9).all()
    # No overlap, and shared walls have the same vertices on both sides.
    assert shapely.coverage_is_valid(shapes)
    y, x = np.mgrid[:32, :32] + 0.5
    for shape, outline in zip(shapes, outlines, strict=True):
        inside = shapely.contains_xy(shape, x, y)
        np.testing.assert_array_equal(inside, shapely.contains_xy(outline, x, y))


@given(one=st.floats(-0.49, 0.49), two=st.floats(-0.49, 0.49))
def test_what_a_chord_loses_and_gains_is_what_its_polygons_differ_by(
    one: float, two: float
) -> None:
    pixel = shapely.box(-0.5, -0.5, 0, 0)
    cut = shapely.Polygon([(-0.5, -0.5), (-0.5, one), (two, -0.5)])
    lost, gained = (pixel - cut).area, (cut - pixel).area
    np.testing.assert_allclose(_chord(one, two, 1), (lost, gained), atol=1e-12)
    np.testing.assert_allclose(_chord(-one, -two, -1), (gained, lost), atol=1e-12)
    below = shapely.box(-0.5, -0.5, 0.5, 0)
    drawn = shapely.Polygon([(-0.5, -0.5), (-0.5, one), (0.5, two), (0.5, -0.5)])
    differs = (below - drawn).area, (drawn - below).area
    np.testing.assert_allclose(_chord(one, two, 0), differs, atol=1e-12)


def test_vertices_lie_where_the_surface_crosses_its_level() -> None:
    probability = surfaces(5, size=40, rough=2.0)
    shapes, _ = whole(probability, classified(probability, threshold=THRESHOLD))
    # Specks keep to their pixels.
    points = shapely.get_coordinates(shapes[shapely.area(shapes) > 20])
    inner = points[((points > 0.5) & (points < 39.5)).all(axis=1)]
    surface = ndimage.map_coordinates(probability[0].astype(float), inner.T[::-1] - 0.5, order=1)
    crossed = np.asarray(np.isclose(inner % 1, 0.5).any(axis=1))
    assert crossed.all()
    assert len(inner) > 300
    # A shift is told in 256ths of a pixel, over which the surface rises by less than a step.
    assert abs(surface - LEVEL).max() < 1


@pytest.mark.parametrize("soft", [0.8, 3.0, 8.0])
def test_a_disc_comes_out_rounder_and_of_its_size(soft: float) -> None:
    for x, y, radius in ((20.0, 20.0, 9.0), (19.3, 20.8, 6.5), (20.5, 20.1, 12.2)):
        probability = disc(radius=radius, x=x, y=y, soft=soft)
        shapes, outlines = whole(probability, classified(probability, threshold=THRESHOLD))
        true = np.array([shapely.Point(x, y).buffer(radius, quad_segs=64)])
        away, before = (
            shapely.hausdorff_distance(shapes, true),
            shapely.hausdorff_distance(outlines, true),
        )
        assert away[0] < 0.12 < 0.5 < before[0]
        assert exact_iou(shapes, true)[0] > 0.985 > exact_iou(outlines, true)[0]
        assert shapes[0].area == pytest.approx(true[0].area, rel=0.012)


@settings(deadline=None, max_examples=examples(20))
@given(angle=st.floats(0, 3.1), off=st.floats(-3, 3))
def test_a_straight_ramp_comes_out_straight_up_to_the_scenes_frame(
    angle: float, off: float
) -> None:
    y, x = np.mgrid[:24, :24] + 0.5
    away = (x - 12) * np.cos(angle) + (y - 12) * np.sin(angle) - off
    probability = np.rint(250 * np.clip(0.5 + away / 20, 0, 1)).astype(np.uint8)[None]
    shapes, _ = whole(probability, classified(probability, threshold=THRESHOLD))
    points = shapely.get_coordinates(shapes)
    inner = points[((points > 0.5) & (points < 23.5)).all(axis=1)]
    # Quantised, the ramp is right to half a step of a twelfth of a pixel.
    from_line = (inner - 12) @ [np.cos(angle), np.sin(angle)] - off
    assert abs(from_line).max(initial=0) < 0.1
    frame = points[((points == 0) | (points == 24)).any(axis=1)]
    assert len(frame) >= 2


def test_what_touches_shares_its_wall_and_the_corner_where_it_ends() -> None:
    # Two houses side by side, taken apart; the outside falls off softly.
    rows, cols = np.mgrid[:20, :30] + 0.5
    away = np.minimum.reduce([cols - 4.3, 25.8 - cols, rows - 5.4, 14.7 - rows])
    probability = np.rint(250 * np.clip(0.5 + away / 6, 0, 1)).astype(np.uint8)[None]
    labels = classified(probability, threshold=THRESHOLD)
    markers = np.zeros(labels.shape, bool)
    markers[10, [10, 20]] = True
    core = Window(row=0, col=0, height=20, width=30)
    instances, _ = separate(labels, markers, core=core, scene=labels.shape, max_steps=30)
    outlines = trace_instances(instances, labels, labels, core=core).to_shapely()
    rims = EdgeOffsetStrip()
    rims.add(core, edge_offsets(probability, labels, core=core, seen=core, threshold=THRESHOLD))
    shapes = subpixel(outlines, rims, size=labels.shape, least_iou=0.8)
    assert len(shapes) == 2
    assert shapely.coverage_is_valid(shapes)
    wall = shapely.intersection(*shapes)
    assert wall.length == pytest.approx(shapely.intersection(*outlines).length, abs=1e-9)
    both = shapely.union_all(shapes)
    assert isinstance(both, shapely.Polygon)
    assert not both.interiors
    true = shapely.box(4.3, 5.4, 25.8, 14.7)
    assert shapely.hausdorff_distance(both.simplify(0.02), true) < 0.6
    assert exact_iou(both, true) > 0.985


def test_what_comes_out_too_unlike_keeps_to_its_pixels_and_lets_neighbours_meet_it() -> None:
    labels = np.zeros((9, 12), np.uint8)
    labels[2:7, 1:8] = 1
    labels[4, 8] = 2
    probability = np.where(labels == 1, 250, 10)[None].repeat(2, axis=0).astype(np.uint8)
    probability[0, 4, 8], probability[1] = 120, 0
    probability[1, 4, 8] = 126
    shapes, outlines = whole(probability, labels)
    house, shed = shapes
    assert shed.equals(outlines[1])
    assert not house.equals(outlines[0])
    assert shapely.coverage_is_valid(shapes)
    assert house.intersection(shed).length == 1


def test_refined_masks_keep_their_edges_where_nothing_crosses() -> None:
    labels = np.zeros((8, 8), np.uint8)
    labels[2:6, 2:6] = 1
    core = Window(row=0, col=0, height=8, width=8)
    for inside, outside in ((90, 10), (240, 200)):
        probability = np.where(labels == 1, inside, outside).astype(np.uint8)[None]
        rim = edge_offsets(probability, labels, core=core, seen=core, threshold=THRESHOLD)
        assert not len(rim.edges)


def test_shifts_stay_short_of_the_centres_and_are_forgotten_once_passed() -> None:
    labels = np.array([[0, 1, 0]], np.uint8)
    probability = np.array([[[124, 125, 0]]], np.uint8)
    core = Window(row=0, col=0, height=1, width=3)
    rim = edge_offsets(probability, labels, core=core, seen=core, threshold=THRESHOLD)
    # Half way between 124 and 125 the edge is where it should be.
    assert rim.edges.tolist() == [4]
    assert rim.shifts.tolist() == [-FARTHEST]
    rims = EdgeOffsetStrip()
    rims.add(core, rim)
    rims.add(core, EdgeOffsets(edges=rim.edges[:0], shifts=rim.shifts[:0]))
    assert len(rims) == 1
    rims.forget(above=0.5)
    assert len(rims) == 1
    rims.forget(above=1)
    assert len(rims) == 0
    assert UNIT == 2 * (FARTHEST + 1)


def test_without_the_surface_nothing_is_drawn_between_pixels() -> None:
    house = np.array([shapely.box(2, 2, 9, 9)], object)
    with pytest.raises(ValueError, match="drawn by `subpixel`, from the rims"):
        SUBPIXEL.shaped(house, house[:0], np.zeros(1, np.int64), NodataPixels())
    assert len(subpixel(house[:0], EdgeOffsetStrip(), size=(20, 20), least_iou=0.8)) == 0
