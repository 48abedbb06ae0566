"""Splits that share ground or pictures are refused before the first step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.transform import from_origin

from pipeline.errors import ConfigError
from pipeline.training.config import SplitOverlapConfig, read_config
from pipeline.training.read_data import Data, read_data
from pipeline.training.split_overlap import check_split_overlap, picture_hash, split_overlaps
from tests.strategies import examples

LEFT, RIGHT = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)


def _data(small: Path, *, train: dict[str, Any], validation: dict[str, Any]) -> Data:
    values = yaml.safe_load(small.read_text())
    place = values["places"][0]
    values["places"], values["validation"] = [place | train], [place | validation]
    small.write_text(json.dumps(values))  # which is YAML without aliases
    return read_data(read_config(small), cache=small.parent)


def test_the_same_place_in_two_splits_is_refused(small: Path) -> None:
    data = _data(small, train={}, validation={"name": "there"})
    with pytest.raises(ConfigError, match=r"here \(train\) and there \(validation\) share 100 %"):
        check_split_overlap(data, SplitOverlapConfig())
    check_split_overlap(data, SplitOverlapConfig(action="warn"))


def test_blocks_of_one_place_share_nothing(small: Path) -> None:
    data = _data(
        small, train={"without": [RIGHT], "gap_m": 2}, validation={"within": RIGHT, "name": "there"}
    )
    assert split_overlaps(data, distance=4) == []


def test_blocks_that_overlap_are_found(small: Path) -> None:
    data = _data(small, train={"within": LEFT}, validation={"within": (0.4, 0.0, 1.0, 1.0)})
    assert any("ground" in overlap.why for overlap in split_overlaps(data, distance=4))


def test_a_copy_that_says_it_lies_elsewhere_is_known_by_its_picture(
    small: Path, ground: Path
) -> None:
    with rasterio.open(ground / "scene.tif") as file:
        pixels = file.read().astype(float)
    copy = np.clip(pixels * 0.9 + 8, 0, 255).astype(np.uint8)
    away = from_origin(355000.0, 3057500.0, 0.25, 0.25)
    shape = {"height": 96, "width": 128, "count": 3, "dtype": "uint8"}
    with rasterio.open(
        ground / "copy.tif", "w", driver="GTiff", crs="EPSG:32645", transform=away, **shape
    ) as file:
        file.write(copy)
    mask = (copy[0] > 110).astype(np.uint8)
    with rasterio.open(
        ground / "mask.tif", "w", driver="GTiff", crs="EPSG:32645", transform=away,
        **(shape | {"count": 1}),
    ) as file:  # fmt: skip
        file.write(mask, 1)
    other = {"scenes": [str(ground / "copy.tif")], "labels": str(ground / "mask.tif")}
    data = _data(small, train={}, validation=other | {"name": "copy"})
    assert [overlap.why for overlap in split_overlaps(data, distance=4)] == ["show one picture"]


@settings(max_examples=examples(50))
@given(seed=st.integers(0, 2**32 - 1), gain=st.floats(0.3, 2.0), offset=st.floats(-50, 50))
def test_the_hash_of_a_picture_does_not_hear_brightness_and_contrast(
    seed: int, gain: float, offset: float
) -> None:
    picture = np.random.default_rng(seed).random((32, 32), np.float32) * 200
    changed = (picture * np.float32(gain) + np.float32(offset)).astype(np.float32)
    differing = picture_hash(picture) ^ picture_hash(changed)
    # The mean itself is one of the 64.
    assert differing.bit_count() <= 1


def test_pictures_that_have_nothing_to_do_with_each_other_differ_in_many_bits() -> None:
    rng = np.random.default_rng(0)
    hashes = [picture_hash(rng.random((32, 32), np.float32)) for _ in range(40)]
    apart = [(a ^ b).bit_count() for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(apart) > 10
