"""A disk that is full, or may not be written to: nothing half-written, and it goes on later."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.watched import check_whole
from tests.forked import Ended, Limits, map_arguments, overtile
from tests.runs.scenery import blobs, contents, run, write_scene

pytestmark = pytest.mark.slow

FORMATS = ("geojson", "parquet", "gpkg", "fgb")
NOBODY = 65534


@pytest.fixture(scope="module", params=["many polygons", "no polygons"])
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene whose polygons are its largest output, and one whose rasters are."""
    share = 0.4 if request.param == "many polygons" else 0.0
    pixels = blobs(4, height=200, width=260, share=share)
    if not share:
        pixels = pixels // 3
    return write_scene(tmp_path_factory.mktemp("scene") / "s.tif", pixels[None])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, scene: Path) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("undisturbed")
    run(scene, out, tile=64, formats=FORMATS)
    return contents(out / "s")


def attempt(place: Path, scene: Path, out: Path, limits: Limits | None = None) -> Ended:
    asked = [part for name in FORMATS for part in ("--format", name)]
    return overtile(place, *map_arguments(scene, out, *asked), limits=limits)


def check_stopped(ended: Ended, out: Path) -> str:
    """Check that a run stopped in words and left nothing under a final name; return the file."""
    assert ended.code == 1, ended.said
    assert ended.stdout == ""
    assert "Traceback" not in ended.said
    # GDAL may have words of its own when it closes what it cannot write.
    (told,) = [line for line in ended.said.splitlines() if line.startswith("error: ")]
    assert "free space or grant rights" in told
    assert not (out / "s").exists()
    assert not list(out.rglob("*.part"))
    file = re.match(r"error: (/\S+?):? (could not|cannot) be written", told)
    assert file is not None, told
    return kind(Path(file[1]))


def kind(path: Path) -> str:
    """Return what a file is: its suffixes, or whose folder it is."""
    return ".".join(path.name.split(".")[1:]) or "folder"


@contextmanager
def small_disk(place: Path, size: int) -> Iterator[Path]:
    """Mount a disk of so many bytes; skip where that is not allowed."""
    place.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    if os.geteuid() or shutil.which("mount") is None:
        pytest.skip("only root may mount a small disk")
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def owed(undisturbed: dict[str, bytes]) -> str:
    """Return which of a scene's outputs is the largest, and so must not have fitted once."""
    return kind(Path(max(undisturbed, key=lambda name: len(undisturbed[name]))))


def test_a_disk_that_is_full_again_and_again_stops_the_run_wherever_it_fills_up(
    tmp_path: Path, scene: Path, undisturbed: dict[str, bytes]
) -> None:
    stopped: list[str] = []
    size = 8 * 1024
    with small_disk(tmp_path / "disk", size) as disk:
        out = disk / "out"
        while (ended := attempt(tmp_path, scene, out)).code:
            stopped.append(check_stopped(ended, out))
            size = int(size * 1.25)
            assert size < 64 * 2**20
            subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)
        check_whole(out, undisturbed)
    assert {"tile", "mosaic.tif", owed(undisturbed)} <= set(stopped)


def test_files_that_may_not_grow_stop_the_run_whichever_it_is(
    tmp_path: Path, scene: Path, undisturbed: dict[str, bytes]
) -> None:
    stopped: list[str] = []
    limit, out = 2_000, tmp_path / "out"
    while (ended := attempt(tmp_path, scene, out, Limits(file_bytes=limit))).code:
        stopped.append(check_stopped(ended, out))
        limit = int(limit * 1.5)
        assert limit < 64 * 2**20
    check_whole(out, undisturbed)
    assert len(set(stopped)) >= 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may start a process as somebody else")
def test_a_folder_that_may_not_be_written_to_is_refused_in_words(scene: Path) -> None:
    # Not below pytest's folder, which is closed to everybody else.
    with tempfile.TemporaryDirectory() as kept:
        place = Path(kept)
        place.chmod(0o755)
        theirs = Path(shutil.copy(scene, place / "s.tif"))
        out = place / "out"
        out.mkdir()
        ended = attempt(place, theirs, out, Limits(user=NOBODY))
        assert ended.code == 2, ended.said
        assert f"error: --out {out}: cannot be written to (Permission denied)" in ended.said
        assert "Traceback" not in ended.said
        assert list(out.iterdir()) == []
        # A folder that can be read only inside one that can be written to.
        out.chmod(0o777)
        (out / ".work").mkdir(mode=0o755)
        ended = attempt(place, theirs, out, Limits(user=NOBODY))
        assert ended.code == 1, ended.said
        assert "Permission denied; free space or grant rights" in ended.said
        assert not (out / "s").exists()
