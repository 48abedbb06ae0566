"""Truth given to a mapping run: reports, a summary, and maps that stand without."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from tests.mapping.scenery import blobs, run, write_scene


def test_several_scenes_with_truth_end_in_a_summary(tmp_path: Path) -> None:
    scenes = tuple(
        write_scene(tmp_path / f"{name}.tif", blobs(seed, height=96, width=96)[None])
        for seed, name in enumerate("abc")
    )
    truths = tmp_path / "truths"
    truths.mkdir()
    first = run(scenes[0], tmp_path / "first")
    mask = Path(first["scenes"][0]["folder"]) / "mask.tif"
    for name in "ab":
        shutil.copy(mask, truths / f"{name}.tif")
    summary = run(scenes, tmp_path / "out", truth=truths)
    rows = {Path(row["folder"]).name: row for row in summary["scenes"]}
    # Its own mask is its truth.
    assert rows["a"]["scores"]["pixel_iou"]["value"] == 1
    assert rows["b"]["scores"]["pixel_iou"]["value"] < 1
    # The map of a scene without truth stands, and the run says that it was not scored.
    assert rows["c"]["state"] == "done"
    assert "no file called c" in rows["c"]["unscored"]
    assert summary["failed"] == 1
    assert summary["report"] == str(tmp_path / "out" / "summary.html")
    found = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert [row["report"] for row in found["scenes"]] == ["a/report.html", "b/report.html"]
    assert all((tmp_path / "out" / row["report"]).is_file() for row in found["scenes"])
    assert "no file called c" in found["failed"][0]
    json.dumps(summary)


def test_truth_that_is_not_there_is_told_before_anything_is_mapped(tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "a.tif", blobs(0, height=64, width=64)[None])
    with pytest.raises(ConfigError, match=r"nowhere\.geojson does not exist; name a file"):
        run(scene, tmp_path / "out", truth=tmp_path / "nowhere.geojson")
    assert not (tmp_path / "out").exists()
