"""Links that others put where outputs will be: not written through."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from tests.mapping.scenery import blobs, run, write_scene


@pytest.mark.parametrize("place", ["s", ".work", ".work/s", ".work/s/tiles", ".work/s/final"])
def test_nothing_is_written_where_a_link_leads(tmp_path: Path, place: str) -> None:
    scene = write_scene(tmp_path / "s.tif", blobs(1, height=40, width=50)[None])
    theirs, out = tmp_path / "theirs", tmp_path / "out"
    theirs.mkdir()
    (theirs / "kept").write_text("kept")
    (out / place).parent.mkdir(parents=True, exist_ok=True)
    (out / place).symlink_to(theirs)
    with pytest.raises(ConfigError, match=r"is a link to .*; outputs are not written through"):
        run(scene, out)
    assert [path.name for path in theirs.iterdir()] == ["kept"]
    # The folder itself may be one: that is what the user named.
    (tmp_path / "named").symlink_to(tmp_path / "real")
    (tmp_path / "real").mkdir()
    assert run(scene, tmp_path / "named")["failed"] == 0
