"""Archives are not opened for a region: named ones are faults, those among scenes are left out."""

from __future__ import annotations

import zipfile
from pathlib import Path

from pipeline.config.region import Files
from pipeline.regions.sources.files import list_files
from tests.jpeg2000 import write_jp2
from tests.mapping.scenery import blobs, write_scene


def test_a_region_lists_scenes_beside_an_archive_and_no_archive(tmp_path: Path) -> None:
    scenes = tmp_path / "scenes"
    scenes.mkdir()
    pixels = blobs(1, height=60, width=60)[None]
    write_scene(scenes / "a.tif", pixels)
    write_jp2(scenes / "b.jp2", pixels)
    with zipfile.ZipFile(scenes / "c.zip", "w") as archive:
        archive.write(scenes / "a.tif", "a.tif")
    listing = list_files(Files(type="files", path="scenes"), root=tmp_path)
    assert [one.scene for one in listing.candidates] == ["scenes/a.tif", "scenes/b.jp2"]
    assert listing.candidates[1].token
    assert not listing.faults
    named = list_files(Files(type="files", path="scenes/c.zip"), root=tmp_path)
    assert not named.candidates
    assert "archives are not opened for a region; unpack them" in named.faults[0]
