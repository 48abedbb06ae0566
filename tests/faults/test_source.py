"""A source that does not stay as it was fails alone, and leaves nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.watched import check_whole, started, tiles
from tests.forked import map_arguments, overtile
from tests.mapping.scenery import blobs, contents, run, write_scene

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("theirs") / "s.tif"


@pytest.fixture(scope="module")
def calm(theirs: Path, scene: Path) -> dict[str, bytes]:
    shutil.copy(scene, theirs)
    run(theirs, theirs.parent / "calm", tile=64)
    return contents(theirs.parent / "calm" / "s")


def _another(path: Path) -> Path:
    return write_scene(path.with_name("other.tif"), blobs(5, height=300, width=400)[None])


def _replace(path: Path) -> None:
    _another(path).replace(path)


def _overwrite(path: Path) -> None:
    path.write_bytes(_another(path).read_bytes())


def _cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(20_000)


@pytest.mark.parametrize("spoil", [_replace, _overwrite, _cut, Path.unlink])
def test_a_source_that_does_not_stay_is_one_failed_scene(
    tmp_path: Path,
    scene: Path,
    theirs: Path,
    calm: dict[str, bytes],
    spoil: Callable[[Path], None],
) -> None:
    shutil.copy(scene, theirs)
    out = tmp_path / "out"
    command = started(tmp_path, theirs, out)
    assert command.wait_until(lambda: tiles(out) >= 4)
    spoil(theirs)
    ended = command.wait()
    assert ended.code == 3, ended.said
    assert "Traceback" not in ended.said
    (row,) = ended.summary["scenes"]
    assert row["state"] == "failed"
    assert row["reason"].startswith(f"{theirs}: ")
    assert not (out / "s").exists()
    assert not (out / ".work").exists()
    # Put right, it is mapped as if nothing had been.
    shutil.copy(scene, theirs)
    again = overtile(tmp_path, *map_arguments(theirs, out))
    assert again.code == 0, again.said
    check_whole(out, calm)
