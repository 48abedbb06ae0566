"""Unknown pixels: what covers one newly is told, however they were noted, and no outline does."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from pipeline.core.outlines import FinishedOutlines, Outline, OutlineShaper, Rules, regularised
from pipeline.core.outlines.nodata import NodataPixels
from pipeline.core.polygons.merge import Merger
from pipeline.core.polygons.trace import trace
from pipeline.core.window import Window
from tests.strategies import examples

Pixels = npt.NDArray[np.bool_]
SIZE = 120
RULES = Rules(simplify=1.5)
seeds = st.integers(0, 2**32 - 1)


def blobs(seed: int, *, share: float, size: int = SIZE, smooth: float = 2.0) -> Pixels:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(size, size)), smooth)
    return np.asarray(noise > np.quantile(noise, 1 - share))


def noted(pixels: Pixels, *, core: int) -> NodataPixels:
    unknown = NodataPixels()
    for row in range(0, pixels.shape[0], core):
        for col in range(0, pixels.shape[1], core):
            part = pixels[row : row + core, col : col + core]
            window = Window(row=row, col=col, height=part.shape[0], width=part.shape[1])
            unknown.add(window, part)
    return unknown


def drawn(polygon: Any) -> Pixels:
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    return np.asarray(shapely.contains_xy(polygon, x, y))


@settings(deadline=None, max_examples=examples(40))
@given(seed=seeds, core=st.integers(8, SIZE), share=st.floats(0, 0.6), turned=st.floats(0, 3))
def test_covering_anew_is_told_as_rasterising_has_it(
    seed: int, core: int, share: float, turned: float
) -> None:
    pixels = blobs(seed, share=share)
    mask = blobs(seed + 1, share=0.3).astype(np.uint8)
    outlines = trace(mask, mask).to_shapely()
    cos, sin = np.cos(turned), np.sin(turned)
    about = np.array([SIZE / 2 + 0.123, SIZE / 2 - 0.321])
    turn = np.array([[cos, -sin], [sin, cos]])
    moved = shapely.transform(outlines, lambda c: (c - about) @ turn + about)
    told = noted(pixels, core=core).covered(moved, outlines)
    pairs = zip(moved, outlines, strict=True)
    assert told.tolist() == [bool((drawn(a) & ~drawn(b) & pixels).any()) for a, b in pairs]


def test_what_is_forgotten_is_no_more_than_what_ends_above() -> None:
    unknown = noted(np.ones((SIZE, SIZE), bool), core=30)
    assert len(unknown) == 16
    unknown.forget(above=59.5)
    assert len(unknown) == 12
    unknown.forget(above=60)
    assert len(unknown) == 8
    nothing = np.array([shapely.Polygon()], object)
    above, below = (np.array([shapely.box(3, y, 9, y + 6)], object) for y in (50, 70))
    assert not unknown.covered(above, nothing).any()
    assert unknown.covered(below, nothing).all()


def test_windows_without_unknown_pixels_take_no_memory() -> None:
    assert len(noted(np.zeros((SIZE, SIZE), bool), core=30)) == 0


def test_a_wall_that_would_cross_unknown_pixels_stays_along_its_pixels() -> None:
    # A rectangle whose edge is ragged; what it lacks of being straight is not known.
    mask = np.zeros((40, 40), np.uint8)
    mask[10:30, 10:30] = 1
    mask[29, 14:18] = 0
    outlines = trace(mask, mask).to_shapely()
    shapes, flags = regularised(outlines, rules=RULES)
    assert flags.all()
    assert shapes[0].covers(shapely.Point(16.5, 29.5))
    unknown = NodataPixels()
    unknown.add(Window(row=0, col=0, height=40, width=40), (mask == 0) & (np.arange(40) > 12))
    kept, flags = regularised(outlines, rules=RULES, unknown=unknown)
    assert not kept[0].contains(shapely.Point(16.5, 29.5))
    assert kept[0].is_valid


def swept(
    mask: npt.NDArray[np.uint8], unknown: Pixels, *, core: int, kind: Any
) -> list[FinishedOutlines]:
    shaper = OutlineShaper(
        outline=Outline(kind=kind, rules=RULES), height=SIZE, width=SIZE, cell=50, few=1
    )
    merger, parts = Merger(height=SIZE, width=SIZE), []
    for row in range(0, SIZE, core):
        for col in range(0, SIZE, core):
            window = Window(row=row, col=col, height=core, width=core)
            window = window.clipped(height=SIZE, width=SIZE)
            inner = slice(row, window.bottom), slice(col, window.right)
            shaper.note(window, unknown[inner])
            traced = trace(mask[inner], mask[inner], row=row, col=col)
            shaper.add(merger.add(window, traced))
        parts.append(shaper.advance(front=row + core, unmerged=merger.boxes()))
    return [*parts, shaper.finish()]


@settings(deadline=None, max_examples=examples(30))
@given(
    seed=seeds,
    core=st.integers(14, 90),
    kind=st.sampled_from(["simplified", "regularised"]),
    share=st.floats(0.02, 0.4),
    smooth=st.sampled_from([0.0, 1.0, 6.0]),
)
def test_no_outline_covers_what_is_unknown_whatever_the_tiles(
    seed: int, core: int, kind: str, share: float, smooth: float
) -> None:
    unknown = blobs(seed, share=share, smooth=smooth)
    mask = np.where(unknown, 0, blobs(seed + 1, share=0.45, smooth=3)).astype(np.uint8)
    found = []
    for edge in (SIZE, core):
        parts = swept(mask, unknown, core=edge, kind=kind)
        shapes = np.concatenate([part.polygons for part in parts])
        anchors = np.concatenate(
            [np.stack([part.fragments.row, part.fragments.col]) for part in parts], axis=1
        )
        found.append([shapes[place].wkb for place in np.lexsort(anchors[::-1])])
    assert found[0] == found[1]
    for shape in shapes:
        assert not (drawn(shape) & unknown).any()
