"""A disk that is full, or may not be written to: nothing half-written, and it goes on later."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.watched import check_whole, tiles
from tests.forked import Ended, Limits, Started, map_arguments
from tests.mapping.scenery import blobs, contents, run, write_scene

pytestmark = pytest.mark.slow

FORMATS = ("geojson", "parquet", "gpkg", "fgb", "shapefile")
NOBODY = 65534
LARGE = 64 * 2**20


@pytest.fixture(scope="module", params=["many polygons", "no polygons"])
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene whose polygons are its largest output, and one whose rasters are."""
    share = 0.4 if request.param == "many polygons" else 0.0
    pixels = blobs(4, height=130, width=190, share=share)
    if not share:
        pixels = pixels // 3
    return write_scene(tmp_path_factory.mktemp("scene") / "s.tif", pixels[None])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, scene: Path) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("undisturbed")
    run(scene, out, tile=64, formats=FORMATS)
    return contents(out / "s")


def started(place: Path, scene: Path, out: Path, limits: Limits | None = None) -> Started:
    asked = [part for name in FORMATS for part in ("--format", name)]
    return Started(place, map_arguments(scene, out, *asked), limits or Limits())


def attempt(place: Path, scene: Path, out: Path, limits: Limits | None = None) -> Ended:
    return started(place, scene, out, limits).wait()


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


def resize(disk: Path, size: int) -> None:
    """Give a disk another size; at least what it holds."""
    subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)


def used(disk: Path) -> int:
    """Return how many bytes a disk holds."""
    found = os.statvfs(disk)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


MOMENTS: dict[str, Callable[[Path], bool]] = {
    "the first tiles are there": lambda out: tiles(out) >= 3,
    "all tiles are there": lambda out: tiles(out) == 9,
    "outputs are begun": lambda out: (out / ".work/s/final").exists(),
    "polygons are half-way": lambda out: bool([*out.glob(".work/s/final/*polygons.fgb*")]),
}
"""When the disk is full."""
BEFORE = {"tile", "mosaic.tif", "sqlite"}
"""What is written before outputs are begun."""


def test_a_disk_that_is_full_again_and_again_stops_the_run_wherever_it_fills_up(
    tmp_path: Path, scene: Path, undisturbed: dict[str, bytes]
) -> None:
    stopped: set[str] = set()
    with small_disk(tmp_path / "disk", LARGE) as disk:
        out = disk / "out"
        for moment, due in MOMENTS.items():
            command = started(tmp_path, scene, out)
            assert command.wait_until(lambda due=due: due(out)), moment  # type: ignore[misc]
            # Held while the disk shrinks, so that not a byte more is written in between.
            command.send(signal.SIGSTOP)
            resize(disk, used(disk) + 4096)
            command.send(signal.SIGCONT)
            file = check_stopped(command.wait(), out)
            assert (file in BEFORE) == ("tiles" in moment)
            stopped.add(file)
            resize(disk, LARGE)
        assert attempt(tmp_path, scene, out).code == 0
        check_whole(out, undisturbed)
    assert len(stopped) >= 3


def test_files_that_may_not_grow_stop_the_run_whichever_it_is(
    tmp_path: Path, scene: Path, undisturbed: dict[str, bytes]
) -> None:
    out = tmp_path / "out"
    for limit, hurt in ((2_000, {"tile", "sqlite"}), (100_000, {"mosaic.tif", "sqlite"})):
        ended = attempt(tmp_path, scene, out, Limits(file_bytes=limit))
        assert check_stopped(ended, out) in hurt
    assert attempt(tmp_path, scene, out, Limits(file_bytes=LARGE)).code == 0
    check_whole(out, undisturbed)


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
