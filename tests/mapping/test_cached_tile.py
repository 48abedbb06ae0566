from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ExportError
from pipeline.mapping.tiles.cached_tile import read_cached_tile, write_cached_tile

ARRAYS: dict[str, np.ndarray] = {
    "mask": np.arange(60, dtype=np.uint8).reshape(6, 10),
    "coords": np.zeros((0, 2), np.int32),
    "weight": np.array([1, 2**40], np.int64),
}


def test_arrays_come_back(tmp_path: Path) -> None:
    write_cached_tile(tmp_path / "a.tile", ARRAYS)
    found = read_cached_tile(tmp_path / "a.tile")
    assert found is not None
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    assert os.listdir(tmp_path) == ["a.tile"]  # noqa: PTH208 - hidden files as well


def test_the_same_arrays_are_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_cached_tile(tmp_path / name, ARRAYS)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_damage_goes_unnoticed(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "a.tile"
    write_cached_tile(path, ARRAYS)
    stored = path.read_bytes()
    at = data.draw(st.integers(0, len(stored) - 1))
    if data.draw(st.booleans()):
        path.write_bytes(stored[:at])
    else:
        flipped = stored[at] ^ data.draw(st.integers(1, 255))
        path.write_bytes(stored[:at] + bytes([flipped]) + stored[at + 1 :])
    assert read_cached_tile(path) is None


def test_nothing_is_no_artefact(tmp_path: Path) -> None:
    assert read_cached_tile(tmp_path / "missing.tile") is None
    (tmp_path / "empty.tile").touch()
    assert read_cached_tile(tmp_path / "empty.tile") is None
    assert read_cached_tile(tmp_path) is None


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="cannot be written"):
        write_cached_tile(tmp_path / "no folder" / "a.tile", ARRAYS)
