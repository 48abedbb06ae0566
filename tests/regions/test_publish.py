"""A region shows one whole run at any instant, and old ones go."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from pipeline.regions.publish import (
    COMPLETE,
    CURRENT,
    current_run,
    publish_run,
    published_runs,
    remove_old_runs,
    run_folder,
)


def made(region: Path, *runs: str) -> None:
    for run in runs:
        (run_folder(region, run) / "layer.parquet").write_text(run)
        publish_run(region, run, {"footprints": len(run)})


def test_the_last_published_run_is_the_current_one(tmp_path: Path) -> None:
    assert current_run(tmp_path) is None
    made(tmp_path, "001", "002")
    found = current_run(tmp_path)
    assert found is not None
    assert (found.run, found.about) == ("002", {"footprints": 3})
    assert (found.folder / "layer.parquet").read_text() == "002"
    before = (tmp_path / CURRENT).read_bytes()
    made(tmp_path, "002")
    assert (tmp_path / CURRENT).read_bytes() == before
    assert published_runs(tmp_path) == ["001", "002"]


def test_a_run_in_the_making_is_not_shown(tmp_path: Path) -> None:
    made(tmp_path, "001")
    run_folder(tmp_path, "002")
    found = current_run(tmp_path)
    assert found is not None
    assert found.run == "001"
    assert published_runs(tmp_path) == ["001"]


def test_old_runs_and_what_killed_ones_left_are_removed(tmp_path: Path) -> None:
    made(tmp_path, "001", "002", "003")
    run_folder(tmp_path, "004")  # was killed
    run_folder(tmp_path, "005")
    assert remove_old_runs(tmp_path, keep=2, working="005") == ["001", "004"]
    assert published_runs(tmp_path) == ["002", "003"]
    assert (tmp_path / "runs" / "005").is_dir()
    assert remove_old_runs(tmp_path, keep=2, working="005") == []


def test_the_run_that_is_shown_stays_however_old(tmp_path: Path) -> None:
    made(tmp_path, "003", "001")
    assert remove_old_runs(tmp_path, keep=1) == []
    found = current_run(tmp_path)
    assert found is not None
    assert found.run == "001"


def test_a_removal_that_was_interrupted_is_ended_by_the_next(tmp_path: Path) -> None:
    made(tmp_path, "001", "002")
    trash = tmp_path / "runs" / ".removed" / "000"
    trash.mkdir(parents=True)
    (trash / COMPLETE).write_text("{}")
    assert published_runs(tmp_path) == ["001", "002"]
    remove_old_runs(tmp_path, keep=5)
    assert not trash.exists()


def test_pointers_that_lead_nowhere_and_odd_retention_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not there; finish the run"):
        publish_run(tmp_path, "001", {})
    with pytest.raises(ConfigError, match="retention is 0 runs"):
        remove_old_runs(tmp_path, keep=0)
    made(tmp_path, "001")
    shutil.rmtree(tmp_path / "runs" / "001")
    with pytest.raises(ConfigError, match="which is not there; run the region again"):
        current_run(tmp_path)
    (tmp_path / CURRENT).write_text(json.dumps([]))
    with pytest.raises(ConfigError, match="cannot be read"):
        current_run(tmp_path)
