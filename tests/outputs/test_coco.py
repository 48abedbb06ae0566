"""COCO: polygons with holes become pieces without, and stay what they were."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from shapely.geometry import Polygon, box

from pipeline.core.polygons.footprints import Footprints
from pipeline.outputs.provenance import Provenance
from pipeline.outputs.vectors.coco import split_at_holes, write_coco
from pipeline.validation.coco import check_coco
from tests.strategies import examples

Make = Callable[..., Footprints]
Where = Callable[..., Provenance]


@settings(max_examples=examples(50), deadline=None)
@given(holes=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=40))
def test_pieces_have_no_holes_and_are_the_polygon(holes: list[tuple[int, int]]) -> None:
    whole = box(0, 0, 40, 40)
    for col, row in holes:
        hole = box(4 * col + 1, 4 * row + 1, 4 * col + 3, 4 * row + 3)
        whole = cast(Polygon, whole.difference(hole))
    parts = split_at_holes(whole)
    assert not any(part.interiors for part in parts)
    assert sum(part.area for part in parts) == whole.area
    assert shapely.union_all(parts).equals(whole)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_coco_readers_see_the_polygons(footprints: Make, provenance: Where, tmp_path: Path) -> None:
    batch = footprints(4)
    path = tmp_path / "polygons.coco.json"
    write_coco(path, [batch.take(slice(0, 9)), batch.take(slice(9, None))], provenance(None))
    assert check_coco(path) == []
    coco = COCO(str(path))
    assert len(coco.anns) == len(batch)
    for at, polygon in enumerate(batch.geometry):
        annotation = coco.anns[at + 1]
        assert annotation["area"] == pytest.approx(polygon.area, abs=0.01)
        pixels = coco.annToMask(annotation)
        assert pixels.shape == (256, 256)
        assert abs(int(pixels.sum()) - polygon.area) <= 2 * polygon.length
    assert coco_mask.area(coco.annToRLE(coco.anns[1])) > 0


def test_no_polygons_make_no_annotations(provenance: Where, tmp_path: Path) -> None:
    path = tmp_path / "polygons.coco.json"
    write_coco(path, [], provenance(None))
    assert check_coco(path) == []
    assert json.loads(path.read_text("utf-8"))["annotations"] == []


def test_a_polygon_with_a_hole_no_row_of_pixels_high_is_cut_all_the_same() -> None:
    frame = np.array([[0, 0], [4, 0], [4, 4], [0, 4]], float)
    thin = Polygon(frame, [[(1, 1.2), (3, 1.2), (3, 1.4), (1, 1.4)]])
    parts = split_at_holes(thin)
    assert sum(part.area for part in parts) == pytest.approx(thin.area)
