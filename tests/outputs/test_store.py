"""The store: what went in in any order comes out in that of the scene."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.polygons.footprints import Footprints
from pipeline.outputs.vectors.attributes import concatenate_batches, rebatched
from pipeline.outputs.vectors.store import FootprintStore
from tests.strategies import examples

Make = Callable[..., Footprints]


def _assert_equal(one: Footprints, other: Footprints) -> None:
    for field in fields(Footprints):
        first, second = getattr(one, field.name), getattr(other, field.name)
        if field.name == "geometry":
            assert shapely.equals_identical(first, second).all()
        else:
            np.testing.assert_array_equal(first, second, strict=True)


@settings(max_examples=examples(30), deadline=None)
@given(
    seed=st.integers(0, 99), piece=st.integers(1, 30), size=st.integers(1, 70), order=st.randoms()
)
def test_order_in_does_not_matter_order_out_is_row_and_column(
    footprints: Make,
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    piece: int,
    size: int,
    order: object,
) -> None:
    batch = footprints(seed)
    pieces = [batch.take(slice(at, at + piece)) for at in range(0, len(batch), piece)]
    order.shuffle(pieces)  # type: ignore[attr-defined]
    with FootprintStore(tmp_path_factory.mktemp("store") / "polygons.db") as store:
        for part in pieces:
            store.append(part)
        assert len(store) == len(batch)
        out = list(store.batches(size))
        assert all(len(part) == size for part in out[:-1])
        _assert_equal(concatenate_batches(out), batch.take(np.lexsort((batch.col, batch.row))))


def test_keeping_a_polygon_twice_is_keeping_it_once(footprints: Make, tmp_path: Path) -> None:
    batch = footprints(1)
    with FootprintStore(tmp_path / "polygons.db") as store:
        store.append(batch)
        store.append(batch.take(slice(3, 9)))
        _assert_equal(concatenate_batches(list(store.batches(10))), batch)


def test_two_polygons_of_one_first_pixel_are_refused(footprints: Make, tmp_path: Path) -> None:
    batch = footprints(1)
    with FootprintStore(tmp_path / "polygons.db") as store:
        store.append(batch)
        with pytest.raises(ValueError, match=f"row {batch.row[4]}, column {batch.col[4]}"):
            store.append(replace(batch, confidence=batch.confidence + 1).take(slice(4, 6)))


def test_an_empty_store_yields_nothing_and_leaves_nothing(footprints: Make, tmp_path: Path) -> None:
    with FootprintStore(tmp_path / "polygons.db") as store:
        store.append(footprints(1).take(slice(0)))
        assert list(store.batches(10)) == []
    assert list(tmp_path.iterdir()) == []


@given(cuts=st.lists(st.integers(0, 60), max_size=6), size=st.integers(1, 80))
def test_batches_of_one_size_hold_the_same_polygons(
    footprints: Make, cuts: list[int], size: int
) -> None:
    batch = footprints(2)
    ends = [0, *sorted(cuts), len(batch)]
    parts = [batch.take(slice(a, b)) for a, b in pairwise(ends)]
    out = list(rebatched(parts, size))
    assert [len(part) for part in out[:-1]] == [size] * (len(out) - 1)
    _assert_equal(concatenate_batches(out), batch)
