"""Shaping in a sweep: the same outlines whatever the tiles, in bounded memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from pipeline.core.outlines import FinishedOutlines, Outline, OutlineShaper, Rules
from pipeline.core.polygons.merge import Merger
from pipeline.core.polygons.trace import trace
from pipeline.core.window import Window
from tests.strategies import examples

Mask = npt.NDArray[np.uint8]
RULES = Rules(simplify=1.5)
KINDS = ["pixels", "simplified", "regularised"]


def town(seed: int, *, height: int = 150, width: int = 170, share: float = 0.5) -> Mask:
    """Labels 1 and 2 in ragged blocks; some touch, some have holes, some are specks."""
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.normal(size=(height, width)), 1.2)
    rough = ndimage.zoom(rng.normal(size=(height // 16 + 2, width // 16 + 2)), 16, order=0)
    field = ndimage.gaussian_filter(rough[:height, :width], 1.5) + noise
    classes = ndimage.zoom(rng.integers(1, 3, (height // 32 + 2, width // 32 + 2)), 32, order=0)
    mask: Mask = np.where(field > np.quantile(field, 1 - share), classes[:height, :width], 0)
    return mask.astype(np.uint8)


def swept(
    mask: Mask, *, core: int, outline: Outline, cell: int
) -> tuple[list[FinishedOutlines], int]:
    """What a sweep over cores gives, and how many polygons it held at most."""
    height, width = mask.shape
    merger = Merger(height=height, width=width)
    shaper = OutlineShaper(outline=outline, height=height, width=width, cell=cell, few=1)
    parts, held = [], 0
    for row in range(0, height, core):
        for col in range(0, width, core):
            window = Window(row=row, col=col, height=core, width=core)
            window = window.clipped(height=height, width=width)
            part = mask[window.row : window.bottom, window.col : window.right]
            shaper.add(merger.add(window, trace(part, part, row=row, col=col)))
        parts.append(shaper.advance(front=row + core, unmerged=merger.boxes()))
        held = max(held, shaper.waiting)
    return [*parts, shaper.finish()], held


def by_anchor(parts: list[FinishedOutlines]) -> dict[tuple[int, int], tuple[bytes, bool]]:
    found = {}
    for part in parts:
        anchors = zip(part.fragments.row.tolist(), part.fragments.col.tolist(), strict=True)
        for place, anchor in enumerate(anchors):
            assert anchor not in found
            found[anchor] = part.polygons[place].wkb, bool(part.regularised[place])
    return found


def all_of(parts: list[FinishedOutlines], name: str) -> Any:
    return np.concatenate([getattr(part, name) for part in parts])


@settings(deadline=None, max_examples=examples(25))
@given(
    seed=st.integers(0, 2**32 - 1),
    core=st.integers(16, 120),
    kind=st.sampled_from(KINDS),
    cell=st.sampled_from([40, 90, 2048]),
    share=st.floats(0.2, 0.7),
)
def test_tiles_do_not_matter(seed: int, core: int, kind: Any, cell: int, share: float) -> None:
    mask = town(seed, share=share)
    outline = Outline(kind=kind, rules=RULES)
    whole, _ = swept(mask, core=200, outline=outline, cell=cell)
    parts, _ = swept(mask, core=core, outline=outline, cell=cell)
    assert by_anchor(parts) == by_anchor(whole)
    assert len(all_of(whole, "polygons")) == len(trace(mask, mask))


@settings(deadline=None, max_examples=examples(25))
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(KINDS),
    cell=st.sampled_from([40, 90, 2048]),
    share=st.floats(0.2, 0.7),
)
def test_shapes_are_valid_like_before_inside_the_scene_and_overlap_nowhere(
    seed: int, kind: Any, cell: int, share: float
) -> None:
    mask = town(seed, share=share)
    parts, _ = swept(mask, core=64, outline=Outline(kind=kind, rules=RULES), cell=cell)
    shapes, outlines = all_of(parts, "polygons"), all_of(parts, "outlines")
    assert shapely.is_valid(shapes).all()
    assert (shapely.get_type_id(shapes) == shapely.GeometryType.POLYGON).all()
    both = shapely.area(shapely.intersection(shapes, outlines))
    like = both / (shapely.area(shapes) + shapely.area(outlines) - both)
    assert (like >= RULES.least_iou - 1e-9).all()
    one, two = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    pairs = one < two
    shared = shapely.area(shapely.intersection(shapes[one[pairs]], shapes[two[pairs]]))
    assert shared.max(initial=0) < 1e-5
    frame = shapely.box(0, 0, mask.shape[1], mask.shape[0])
    assert shapely.area(shapely.difference(shapes, frame)).max(initial=0) < 1e-5
    if kind == "pixels":
        assert all(a.equals_exact(b) for a, b in zip(shapes, outlines, strict=True))


def test_a_cluster_that_never_ends_is_held_a_cell_at_most() -> None:
    # Houses in rows, a pixel apart, from the top of the scene to its bottom.
    mask = np.zeros((1600, 60), np.uint8)
    for row in range(2, 1590, 10):
        mask[row : row + 9, 2:28] = 1
        mask[row : row + 9, 29:57] = 1
    outline = Outline(kind="regularised", rules=RULES)
    whole, all_held = swept(mask, core=1600, outline=outline, cell=100)
    parts, held = swept(mask, core=32, outline=outline, cell=100)
    assert by_anchor(parts) == by_anchor(whole)
    assert len(by_anchor(parts)) == 318
    # Two houses every 10 pixels, over a cell, a core, what lies on the lattice, and the rows
    # beside those: a border waits until it is known what an earlier one may become.
    assert held < 2 * (100 + 32 + 60 + 20) / 10
    unlimited, all_held = swept(mask, core=32, outline=outline, cell=10_000)
    assert all_held > 250
    assert len(by_anchor(unlimited)) == 318


def test_looking_waits_until_enough_has_come() -> None:
    mask = np.zeros((400, 20), np.uint8)
    for row in range(10, 400, 40):
        mask[row : row + 8, 4:16] = 1
    outline = Outline(kind="regularised", rules=RULES)
    shaper = OutlineShaper(outline=outline, height=400, width=20, few=5)
    given = []
    for fragment in range(10):
        shaper.add(trace(mask, mask).take([fragment]))
        part = shaper.advance(front=40 * fragment + 40, unmerged=np.empty((0, 4), np.int64))
        given.append(len(part.polygons))
    assert given == [0, 0, 0, 0, 5, 0, 0, 0, 0, 5]
    assert len(shaper.finish().polygons) == 0
