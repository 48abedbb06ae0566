"""Parts of volumes: what lies on their traces, and what is refused before a step is taken."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import segyio
from numpy.typing import NDArray

from pipeline.errors import ConfigError, SceneError
from pipeline.training.config import ClassConfig, VolumeConfig, read_config
from pipeline.training.read_data import read_splits
from pipeline.training.volumes.part import UNKNOWN, VolumePart, read_part
from tests.training.volumes.synthetic import SHAPE, made_volume, survey, write_config, write_segy

SALT = (ClassConfig(name="salt", colour="#3182bd", values=(1,)),)
AMPLITUDE, LABELS = made_volume(1)


def _part(
    folder: Path,
    truth: NDArray[np.float32] = LABELS,
    amplitude: NDArray[np.float32] = AMPLITUDE,
    classes: tuple[ClassConfig, ...] = SALT,
    **more: Any,
) -> VolumePart:
    config = {
        "name": "here",
        "volume": write_segy(folder / "v.sgy", amplitude),
        "labels": write_segy(folder / "l.sgy", truth),
    }
    return read_part(VolumeConfig.model_validate(config | more), classes)


def test_a_part_holds_the_lines_that_are_asked_for(tmp_path: Path) -> None:
    part = _part(tmp_path, inlines=(104, 115), crosslines=(302, 309), share=2.0)
    assert part.shape == (12, 8, SHAPE[2])
    assert part.start == (4, 2, 0)
    assert part.inlines == tuple(range(104, 116))
    np.testing.assert_array_equal(part.amplitude, AMPLITUDE[4:16, 2:10])
    np.testing.assert_array_equal(part.kinds, LABELS[4:16, 2:10])
    assert part.share == 2.0
    (seeds,) = part.seeds
    assert len(seeds)
    assert (part.kinds[tuple(seeds.T)] == 1).all()


def test_labels_may_be_sorted_otherwise_than_their_volume(tmp_path: Path) -> None:
    turned = write_segy(tmp_path / "turned.sgy", LABELS, turned=True)
    part = _part(tmp_path, labels=turned, inlines=(104, 115), crosslines=(302, 309))
    np.testing.assert_array_equal(part.kinds, LABELS[4:16, 2:10])


def test_paths_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _part(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert _part(tmp_path, volume=Path("v.sgy"), labels=Path("l.sgy")).shape == SHAPE


def test_amplitudes_are_stretched_as_mapping_does_whatever_the_part(tmp_path: Path) -> None:
    low, high = np.percentile(AMPLITUDE.astype(np.float64), (1, 99))
    for lines in (None, (100, 105)):
        found = _part(tmp_path, inlines=lines).stretch
        assert [found.low, found.high] == pytest.approx([low, high])
    told = _part(tmp_path, values=(-500.0, 700.0)).stretch
    assert (told.low, told.high) == (-500, 700)


def test_labels_of_several_classes_unknown_ones_and_holes_are_told_apart(tmp_path: Path) -> None:
    labels, amplitude = LABELS.copy(), AMPLITUDE.copy()
    labels[0], labels[1], labels[2, 0, 0] = 7, -1, np.nan
    amplitude[3, 0, 5] = np.nan
    two = (*SALT, ClassConfig(name="gas", colour="#ff0000", values=("7",)))
    part = _part(tmp_path, labels, amplitude, two)
    assert (part.kinds[0] == 2).all()
    assert (part.kinds[1] == UNKNOWN).all()
    assert part.kinds[2, 0, 0] == part.kinds[3, 0, 5] == UNKNOWN
    assert part.kinds[3, 0, 4] == 0
    assert part.known.sum() == part.kinds.size - labels[1].size - 2
    # A class that names the value of what is unknown wins.
    labels[1] = 0
    all_of_it = _part(tmp_path, labels, amplitude, two, ignore_value=7)
    assert (all_of_it.kinds[0] == 2).all()


def test_without_values_all_labels_but_0_are_the_class(tmp_path: Path) -> None:
    labels = LABELS.copy()
    labels[0] = 9
    part = _part(tmp_path, labels, classes=(ClassConfig(name="salt", colour="#3182bd"),))
    np.testing.assert_array_equal(part.kinds, labels > 0)


def test_labels_that_do_not_lie_on_their_volume_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"l\.sgy: has 23 x 22 x 32 .*v\.sgy 24 x 22 x 32"):
        _part(tmp_path, LABELS[1:])
    moved = write_segy(tmp_path / "moved.sgy", LABELS, first=120)
    with pytest.raises(ConfigError, match=r"has inlines 120 to 143, .* 100 to 123"):
        _part(tmp_path, labels=moved)
    with pytest.raises(ConfigError, match=r"not found: .*none\.sgy"):
        _part(tmp_path, labels=tmp_path / "none.sgy")
    (tmp_path / "text.sgy").write_text("no volume")
    with pytest.raises(SceneError, match="within its headers"):
        _part(tmp_path, labels=tmp_path / "text.sgy")


def test_labels_of_no_class_and_lines_that_are_not_there_are_refused(tmp_path: Path) -> None:
    labels = LABELS.copy()
    labels[5, 5, 5], labels[5, 5, 6] = 0.5, 3
    with pytest.raises(ConfigError, match=r"labels 0\.5, 3 are of no class; name them"):
        _part(tmp_path, labels)
    labels[5, 5, 6] = 1
    with pytest.raises(ConfigError, match=r"labels 0\.5 are of no class"):
        _part(tmp_path, labels, classes=(ClassConfig(name="salt", colour="#3182bd"),))
    with pytest.raises(ConfigError, match="inlines 90 to 110 are not all there; it has 100 to 123"):
        _part(tmp_path, inlines=(90, 110))
    with pytest.raises(ConfigError, match="crosslines 300 to 400 are not all there"):
        _part(tmp_path, crosslines=(300, 400))


def test_other_times_of_samples_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    later = write_segy(tmp_path / "later.sgy", LABELS)
    with segyio.open(later, "r+") as file:
        for number in range(file.tracecount):
            file.header[number] = {segyio.TraceField.DelayRecordingTime: 40}
    with caplog.at_level(logging.WARNING, logger="pipeline.training.volumes.part"):
        _part(tmp_path, labels=later)
    assert "samples begin at 40 and end at 164, those of its volume at 0 and 124" in caplog.text


def test_data_without_a_class_or_smaller_than_a_crop_is_refused(tmp_path: Path) -> None:
    one = survey(tmp_path, 1, "one")
    two = [
        {"name": "salt", "colour": "#3182bd", "values": [1]},
        {"name": "gas", "colour": "#ff0000", "values": [2]},
    ]
    path = write_config(tmp_path / "c.yaml", {"train": [one]}, classes=two)
    with pytest.raises(ConfigError, match="no label of class gas lies in what is trained on"):
        read_splits(read_config(path), cache=tmp_path)
    path = write_config(tmp_path / "c.yaml", {"train": [one]}, crop=[16, 32, 16])
    with pytest.raises(ConfigError, match=r"one: 24 x 22 x 32 .* hold no crop of 16 x 32 x 16"):
        read_splits(read_config(path), cache=tmp_path)
