"""Leaks between splits of volumes: shared lines, lines too near, and copies under other names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ConfigError
from pipeline.training.config import SplitOverlapConfig, read_config
from pipeline.training.fit import fit
from pipeline.training.read_data import read_splits
from pipeline.training.split_overlap import check_split_overlap
from pipeline.training.volumes.data import VolumeData
from pipeline.training.volumes.split_overlap import volume_overlaps
from tests.training.volumes.synthetic import made_volume, survey, write_config, write_segy


def _data(folder: Path, *, train: dict[str, Any], validation: dict[str, Any]) -> VolumeData:
    config = write_config(
        folder / "c.yaml", {"train": [train], "validation": [validation]}, crop=16
    )
    data = read_splits(read_config(config), cache=folder)
    assert isinstance(data, VolumeData)
    return data


def test_ranges_of_one_volume_that_share_lines_or_are_too_near_are_overlaps(tmp_path: Path) -> None:
    one = survey(tmp_path, 1, "west")
    data = _data(
        tmp_path,
        train=one | {"inlines": [100, 117]},
        validation=one | {"name": "east", "inlines": [117, 123]},
    )
    (overlap,) = volume_overlaps(data, gap=0)
    assert str(overlap) == "west (train) and east (validation) share traces of one volume"
    apart = _data(
        tmp_path,
        train=one | {"inlines": [100, 116]},
        validation=one | {"name": "east", "inlines": [120, 123]},
    )
    assert volume_overlaps(apart, gap=3) == []
    (overlap,) = volume_overlaps(apart, gap=4)
    assert "are 3 lines of one volume apart, less than volumes.gap: 4" in str(overlap)
    # Blocks that are apart in one direction are apart.
    blocks = _data(
        tmp_path,
        train=one | {"crosslines": [300, 315]},
        validation=one | {"name": "east", "crosslines": [318, 321], "inlines": [100, 110]},
    )
    assert volume_overlaps(blocks, gap=2) == []
    assert len(volume_overlaps(blocks, gap=3)) == 1


def test_a_cut_of_a_volume_under_another_name_is_the_same_ground(tmp_path: Path) -> None:
    one = survey(tmp_path, 1, "west")
    amplitude, labels = made_volume(1)
    # Dead traces are alike everywhere.
    other_amplitude, _ = made_volume(2)
    other_amplitude[0] = 0
    other = {
        "name": "other",
        "volume": write_segy(tmp_path / "other.sgy", other_amplitude),
        "labels": one["labels"],
    }
    cut = {
        "name": "cut",
        "volume": write_segy(tmp_path / "cut.sgy", amplitude[20:], first=900),
        "labels": write_segy(tmp_path / "cut_labels.sgy", labels[20:], first=900),
    }
    names = {key: str(value) for key, value in cut.items()}
    (overlap,) = volume_overlaps(_data(tmp_path, train=one, validation=names), gap=0)
    assert "hold the same 88 traces" in str(overlap)
    fresh = {key: str(value) for key, value in other.items()}
    assert volume_overlaps(_data(tmp_path, train=one, validation=fresh), gap=0) == []
    amplitude[0] = 0
    dead = one | {"volume": str(write_segy(tmp_path / "dead.sgy", amplitude))}
    assert volume_overlaps(_data(tmp_path, train=dead, validation=fresh), gap=0) == []


def test_an_overlap_stops_the_training_before_its_first_step_unless_told_otherwise(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one = survey(tmp_path, 1, "west")
    volumes = {"train": [one], "validation": [one | {"name": "again"}]}
    config = write_config(tmp_path / "c.yaml", volumes)
    with pytest.raises(ConfigError, match=r"splits overlap: .* Split by volume, or by ranges of"):
        fit(config, tmp_path / "out")
    assert not list((tmp_path / "out").glob("state-*"))
    data = read_splits(read_config(config), cache=tmp_path)
    check_split_overlap(data, SplitOverlapConfig(action="warn"), gap=0)
    assert "scores will be too good" in caplog.text
