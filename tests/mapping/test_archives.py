"""Scenes in an archive are mapped as those in a folder are, killed and gone on with too."""

from __future__ import annotations

import signal
import zipfile
from pathlib import Path

import pytest

from tests.forked import Limits, Started, map_arguments, overtile
from tests.mapping.scenery import blobs, contents, run, write_scene

pytestmark = pytest.mark.mapping

CASE = Path(__file__).resolve().parents[2].parent / "shared/data/cases/11-formats-refused"


def delivery(folder: Path, *, size: int = 150) -> tuple[Path, Path]:
    """Write scenes into a folder and an archive; return both."""
    scenes = folder / "delivery"
    scenes.mkdir()
    with zipfile.ZipFile(folder / "delivery.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for seed, name in enumerate(("one", "two")):
            path = write_scene(scenes / f"{name}.tif", blobs(seed, height=size, width=size)[None])
            archive.write(path, f"{name}.tif")
    return scenes, folder / "delivery.zip"


def test_outputs_are_those_of_a_folder_and_name_the_archive(tmp_path: Path) -> None:
    scenes, archive = delivery(tmp_path)
    found = {}
    for source, out in ((scenes, tmp_path / "f"), (archive, tmp_path / "z")):
        rows = run(source, out)["scenes"]
        assert [row["scene"] for row in rows] == [f"{source}/one.tif", f"{source}/two.tif"]
        assert [Path(row["folder"]).name for row in rows] == ["one", "two"]
        files = [contents(Path(row["folder"])) for row in rows]
        for row, one in zip(rows, files, strict=True):
            # Both name the source, and a digest of what does.
            assert f'"source": "{row["scene"]}"' in one.pop("run.json").decode()
            assert row["scene"] in one.pop("item.json").decode()
        found[out] = files
        assert [row["state"] for row in run(source, out)["scenes"]] == ["unchanged"] * 2
    assert found[tmp_path / "f"] == found[tmp_path / "z"]
    moved = archive.rename(tmp_path / "other.zip")
    (row, _) = run(moved, tmp_path / "z")["scenes"]
    assert row["folder"] == str(tmp_path / "z" / "one")


def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(tmp_path: Path) -> None:
    _, archive = delivery(tmp_path, size=300)
    wanted = overtile(tmp_path, *map_arguments(archive, tmp_path / "whole"))
    assert wanted.code == 0, wanted.said
    started = Started(tmp_path, map_arguments(archive, tmp_path / "killed"), Limits())
    assert started.wait_until(lambda: len([*(tmp_path / "killed").rglob("tiles/*")]) > 3)
    started.send(signal.SIGKILL)
    assert started.wait().code == -signal.SIGKILL
    again = overtile(tmp_path, *map_arguments(archive, tmp_path / "killed"))
    assert again.code == 0, again.said
    for name in ("one", "two"):
        assert contents(tmp_path / "killed" / name) == contents(tmp_path / "whole" / name)
    log = (tmp_path / "killed" / "one" / "log.jsonl").read_text()
    assert '"reused": true' in log or '"reused":true' in log


def test_archives_in_a_folder_of_scenes_are_listed_as_not_mapped(tmp_path: Path) -> None:
    scenes, archive = delivery(tmp_path)
    archive.rename(scenes / "more.zip")
    summary = run(scenes, tmp_path / "o")
    assert len(summary["scenes"]) == 2
    assert summary["failed"] == 0
    (line,) = summary["not_mapped"]
    assert "more.zip: not mapped: archives in a folder are not opened" in line


@pytest.mark.data
@pytest.mark.skipif(not CASE.is_dir(), reason="../shared/data/cases is not here")
def test_the_case_of_an_archive(tmp_path: Path) -> None:
    summary = run(CASE / "scene.zip", tmp_path / "o")
    assert [row["state"] for row in summary["scenes"]] == ["done"] * len(summary["scenes"])
    assert "/11-formats-refused/scene.zip/" in summary["scenes"][0]["scene"]
