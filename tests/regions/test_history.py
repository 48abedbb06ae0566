"""Changes between any two runs that still have their layers."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.core.conflation.compare import Tolerance
from pipeline.errors import ConfigError
from pipeline.regions.layer.history import changes_between
from tests.regions.places import cut, go, ground, site_of, town


def test_runs_without_a_layer_are_refused_in_words(tmp_path: Path) -> None:
    file = town(tmp_path, scenes=1)
    with pytest.raises(ConfigError, match=r"no run of town has a layer yet"):
        changes_between(site_of(file), out=tmp_path / "c")
    go(file)
    with pytest.raises(ConfigError, match=r"no other layer before that of run 1.*have one: 1"):
        changes_between(site_of(file), out=tmp_path / "c")
    with pytest.raises(ConfigError, match=r"--after 9: that run has no layer.*have one: 1"):
        changes_between(site_of(file), out=tmp_path / "c", after=9)
    with pytest.raises(ConfigError, match=r"--before 7: that run has no layer.*have one: 1"):
        changes_between(site_of(file), out=tmp_path / "c", before=7)
    assert not (tmp_path / "c").exists()


def test_the_tolerances_are_told_and_can_be_chosen(tmp_path: Path) -> None:
    file = town(tmp_path, scenes=1)
    go(file)
    pixels = ground()
    pixels[6:13, 14:16] = 230  # the first house grows by a quarter
    cut(tmp_path / "scenes", "later", pixels, row=0, col=0, when="20240601")
    go(file)
    found = changes_between(site_of(file), out=tmp_path / "c")
    assert (found["iou"], found["area"], found["changed"]["count"]) == (0.5, 0.25, 0)
    strict = Tolerance(iou=0.5, area=0.1)
    found = changes_between(site_of(file), out=tmp_path / "c", tolerance=strict)
    assert (found["area"], found["changed"]["count"]) == (0.1, 1)
