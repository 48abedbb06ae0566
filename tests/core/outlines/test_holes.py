"""Holes: found with their size and place, and gone without a trace."""

from __future__ import annotations

import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.outlines.holes import holes, without_rings
from pipeline.core.polygons.fragments import Fragments
from pipeline.core.polygons.trace import trace


def traced(seed: int, share: float) -> Fragments:
    rng = np.random.default_rng(seed)
    mask = (rng.random((24, 30)) < share).astype(np.uint8)
    return trace(mask, mask, row=100, col=40)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0.3, 0.95))
def test_holes_are_the_inner_rings(seed: int, share: float) -> None:
    fragments = traced(seed, share)
    rings, areas, middles = holes(fragments)
    polygons = fragments.to_shapely()
    inner = [shapely.Polygon(ring) for polygon in polygons for ring in polygon.interiors]
    assert len(rings) == len(inner)
    np.testing.assert_array_equal(areas, shapely.area(np.array(inner, object)))
    boxes = [shapely.box(*hole.bounds).centroid.coords[0] for hole in inner]
    np.testing.assert_array_equal(middles, np.array(boxes).reshape(-1, 2))


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0.3, 0.95), least=st.integers(0, 8))
def test_without_small_holes_polygons_are_what_they_were_and_these_holes(
    seed: int, share: float, least: int
) -> None:
    fragments = traced(seed, share)
    rings, areas, _ = holes(fragments)
    filled = without_rings(fragments, rings[areas < least])
    before, after = fragments.to_shapely(), filled.to_shapely()
    assert len(before) == len(after)
    assert shapely.is_valid(after).all()
    for one, two in zip(before, after, strict=True):
        assert two.exterior.equals_exact(one.exterior)
        kept = [ring for ring in one.interiors if shapely.Polygon(ring).area >= least]
        assert [r.wkb for r in two.interiors] == [r.wkb for r in kept]
    np.testing.assert_array_equal(filled.pixels, fragments.pixels)
    np.testing.assert_array_equal(filled.weight, fragments.weight)
