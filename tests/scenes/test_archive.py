"""Scenes in ZIP archives: bounded members, extracted privately, removed when nobody reads them."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pyproj import CRS

from pipeline.core.window import Window
from pipeline.errors import ConfigError, SceneError
from pipeline.scenes.access.location import content_digest
from pipeline.scenes.archive import extract, members
from pipeline.scenes.find import find_scenes, unique_names
from pipeline.scenes.mosaics.adjoining import as_one_scene
from pipeline.scenes.open import fingerprint, open_scene
from tests.jpeg2000 import write_jp2

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 255, (3, 40, 60), np.uint8)
WHOLE = Window(row=0, col=0, height=40, width=60)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a folder for temporary files of the test's own; what is held is given back."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    extract._release_all()


def packed(path: Path, files: dict[str, Path | bytes], how: int = zipfile.ZIP_DEFLATED) -> Path:
    """Write an archive of files, by their names in it."""
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, content in files.items():
            data = content if isinstance(content, bytes) else content.read_bytes()
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("how", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_each_scene_in_an_archive_is_one_with_the_content_of_its_file(
    tmp_path: Path, geotiff: Callable[..., Path], how: int
) -> None:
    tiff, jp2 = geotiff(RGB, "a.tif"), write_jp2(tmp_path / "b.jp2", RGB)
    Image.fromarray(np.moveaxis(RGB, 0, -1)).save(tmp_path / "c.png")
    world = b"0.5\n0\n0\n-0.5\n500000.25\n5499999.75\n"
    files: dict[str, Path | bytes] = {
        "in/a.tif": tiff,
        "in/deep/b.jp2": jp2,
        "c.png": tmp_path / "c.png",
        "c.pgw": world,
        "c.prj": CRS("EPSG:32633").to_wkt("WKT1_ESRI").encode(),
        "readme.txt": b"a",
        "__MACOSX/in/._a.tif": b"b",
        "in/.hidden.tif": b"c",
    }
    path = packed(tmp_path / "delivery.zip", files, how)
    found = find_scenes((str(path),))
    assert not found.failures
    assert [ref.href for ref in found.refs] == [
        f"{path}/{name}" for name in ("in/a.tif", "in/deep/b.jp2", "c.png")
    ]
    for ref in found.refs:
        scene = open_scene(ref)
        pixels, valid = scene.read(WHOLE, (1, 2, 3))
        np.testing.assert_array_equal(pixels, RGB)
        assert valid.all()
        assert scene.info.source == ref.href
        assert scene.info.georef is not None
        assert scene.info.georef.crs.to_epsg() == 32633
        assert scene.info.fingerprint == fingerprint(ref)
        scene.close()
    assert fingerprint(found.refs[0]) == content_digest(str(tiff))


def test_masks_and_metadata_beside_a_member_count(
    tmp_path: Path, geotiff: Callable[..., Path]
) -> None:
    band = '<PAMRasterBand band="1"><NoDataValue>7</NoDataValue></PAMRasterBand>'
    pam = f"<PAMDataset>{band}</PAMDataset>"
    files: dict[str, Path | bytes] = {
        "s.tif": geotiff(np.full((1, 40, 60), 7, np.uint8)),
        "S.tif.aux.xml": b"no XML",
        "s.tif.aux.xml": pam.encode(),
    }
    (ref,) = find_scenes((str(packed(tmp_path / "d.zip", files)),)).refs
    scene = open_scene(ref)
    assert scene.info.nodata == 7
    assert not scene.read(WHOLE, (1,))[1].any()


def test_a_member_or_a_folder_of_an_archive_is_named_as_if_it_were_a_folder(
    tmp_path: Path, geotiff: Callable[..., Path]
) -> None:
    tiff = geotiff(RGB)
    path = packed(tmp_path / "d.zip", {"a/x.tif": tiff, "b/x.tif": tiff, "b/y.tif": tiff})
    inside = [ref.href for ref in find_scenes((f"{path}/b",)).refs]
    assert inside == [f"{path}/b/x.tif", f"{path}/b/y.tif"]
    assert [ref.href for ref in find_scenes((f"{path}/a/x.tif",)).refs] == [f"{path}/a/x.tif"]
    (fault,) = find_scenes((f"{path}/c.tif",)).failures
    assert "'c.tif' in it holds no scene" in fault.reason
    names = unique_names(find_scenes((str(path),)).refs)
    assert names[2] == "y"
    assert len(set(names)) == 3


def test_its_content_decides_that_it_is_an_archive(
    tmp_path: Path, geotiff: Callable[..., Path]
) -> None:
    path = packed(tmp_path / "delivery.kmz", {"a.tif": geotiff(RGB)})
    assert [ref.kind for ref in find_scenes((str(path),)).refs] == ["zipped"]
    (tmp_path / "page.zip").write_bytes(b"<html>not found</html>")
    (fault,) = find_scenes((str(tmp_path / "page.zip"),)).failures
    assert "not a whole ZIP archive" in fault.reason


def test_archives_in_a_folder_or_an_archive_are_noted_and_not_opened(
    tmp_path: Path, geotiff: Callable[..., Path]
) -> None:
    folder = tmp_path / "scenes"
    folder.mkdir()
    tiff = geotiff(RGB)
    inner = packed(tmp_path / "inner.zip", {"a.tif": tiff})
    outer = packed(folder / "outer.zip", {"a.tif": tiff, "inner.zip": inner})
    with pytest.raises(
        ConfigError, match=r"archives in a folder are not opened: name .*outer\.zip"
    ):
        find_scenes((str(folder),))
    tiff.rename(folder / "s.tif")
    found = find_scenes((str(folder),))
    assert [ref.href for ref in found.refs] == [str(folder / "s.tif")]
    assert found.notes == (
        f"{outer}: not mapped: archives in a folder are not opened; name it itself",
    )
    found = find_scenes((str(outer),))
    assert [ref.href for ref in found.refs] == [f"{outer}/a.tif"]
    assert found.notes[0].startswith(f"{outer}/inner.zip: not mapped: ")


def _link(path: Path) -> None:
    info = zipfile.ZipInfo("s.tif")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(info, "/etc/passwd")


def _flagged(path: Path) -> None:
    packed(path, {"s.tif": b"x"})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)


def _method(path: Path) -> None:
    packed(path, {"s.tif": b"x" * 99})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\1\2") + 10] = 93
    path.write_bytes(data)


def _twice(path: Path) -> None:
    packed(path, {"s.tif": b"x", "t.tif": b"y"})
    path.write_bytes(path.read_bytes().replace(b"t.tif", b"s.tif"))


def _overlapping(path: Path) -> None:
    packed(path, {"s.tif": b"x" * 99, "t.tif": b"y" * 99}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\1\2") + 42 :][:4] = b"\0\0\0\0"
    struct.pack_into("<I", data, data.rindex(b"PK\1\2") + 42, 0)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: packed(path, {"../s.tif": b"x"}), r"'\.\./s\.tif' lies outside it"),
        (lambda path: packed(path, {"a/../../s.tif": b"x"}), r"lies outside it"),
        (lambda path: packed(path, {"/etc/s.tif": b"x"}), r"'/etc/s\.tif' lies outside it"),
        (lambda path: packed(path, {"C:\\s.tif": b"x"}), r"'C:/s\.tif' lies outside it"),
        (_link, r"'s\.tif' is a link"),
        (_flagged, r"'s\.tif' is encrypted"),
        (_method, r"'s\.tif' is compressed by a method that is not read \(number 93\)"),
        (_twice, r"'s\.tif' is there twice"),
        (_overlapping, r"'[st]\.tif' shares bytes with another"),
        (
            lambda path: packed(path, {"s.tif": b"\0" * (17 * 2**20)}),
            r"'s\.tif' is \d+ times larger than its \d+ stored bytes, the limit is 250",
        ),
        (lambda path: packed(path, {"a.txt": b"x"}), r"holds no scene \(\.tif"),
        (lambda path: path.write_bytes(b""), "not a whole ZIP"),
    ],
)
def test_what_no_honest_archive_holds_is_refused_by_name(
    tmp_path: Path, make: Callable[[Path], object], words: str
) -> None:
    path = tmp_path / "d.zip"
    make(path)
    found = find_scenes((str(path),))
    assert not found.refs
    (fault,) = found.failures
    assert fault.scene == str(path)
    assert re.search(words, fault.reason), fault.reason
    assert fault.hint


@pytest.mark.parametrize(
    ("limit", "value", "words"),
    [
        ("MAX_MEMBERS", 1, "it has 2 members, the limit is 1"),
        ("MAX_LIST_BYTES", 99, "list of its members takes 102 bytes, the limit is 99"),
        ("MAX_MEMBER_BYTES", 9, "'s.tif' takes 10 bytes extracted, the limit is 9"),
        ("MAX_TOTAL_BYTES", 19, "its 2 members take 20 bytes extracted, the limit is 19"),
    ],
)
def test_sizes_and_counts_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, words: str
) -> None:
    path = packed(tmp_path / "d.zip", {"s.tif": b"x" * 10, "t.tif": b"y" * 10})
    assert len(find_scenes((str(path),)).refs) == 2
    monkeypatch.setattr(members, limit, value)
    (fault,) = find_scenes((str(path),)).failures
    assert words in fault.reason


def test_a_disk_without_room_is_named_before_anything_is_written(
    tmp_path: Path, geotiff: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, temporary: Path
) -> None:
    (ref,) = find_scenes((str(packed(tmp_path / "d.zip", {"s.tif": geotiff(RGB)})),)).refs
    monkeypatch.setattr(extract, "_SPARE_BYTES", 2**60)
    with pytest.raises(SceneError, match=r"'s.tif' takes \d+ bytes extracted, .* free; .*TMPDIR"):
        open_scene(ref)
    assert not [path for path in temporary.rglob("*") if path.is_file()]


def test_damaged_and_cut_archives_are_refused(
    tmp_path: Path, geotiff: Callable[..., Path], temporary: Path
) -> None:
    path = packed(tmp_path / "d.zip", {"s.tif": geotiff(RGB)})
    whole = path.read_bytes()
    changed = bytearray(whole)
    for at in range(3000, 3040):
        changed[at] ^= 255
    path.write_bytes(changed)
    with pytest.raises(SceneError, match=r"its member 's.tif' is damaged"):
        open_scene(find_scenes((str(path),)).refs[0])
    assert not [one for one in temporary.rglob("*") if one.is_file()]
    for end in range(0, len(whole) - 1, 701):
        path.write_bytes(whole[:end])
        assert find_scenes((str(path),)).failures


def test_errors_name_the_member(tmp_path: Path, temporary: Path) -> None:
    (ref,) = find_scenes((str(packed(tmp_path / "d.zip", {"in/s.tif": b"<html>"})),)).refs
    with pytest.raises(SceneError) as caught:
        open_scene(ref)
    assert caught.value.scene == f"{tmp_path}/d.zip/in/s.tif"
    assert str(temporary) not in str(caught.value)


def test_what_was_extracted_is_private_kept_for_the_next_and_removed_at_the_end(
    tmp_path: Path, geotiff: Callable[..., Path], temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiff = geotiff(RGB)
    path = packed(tmp_path / "d.zip", {f"{n}.tif": tiff for n in range(5)})
    refs = find_scenes((str(path),)).refs
    monkeypatch.setattr(extract, "KEPT", 2)
    for ref in refs:
        open_scene(ref).close()
    (root,) = temporary.iterdir()
    assert root.stat().st_mode & 0o777 == 0o700
    assert len(list(root.glob("*.lock"))) == 2
    (one,) = root.glob("*/4.tif")
    before = one.stat().st_ino
    scene = open_scene(refs[4])
    assert one.stat().st_ino == before
    scene.close()
    extract._release_all()
    assert not temporary.joinpath(root.name).exists()


CHILD = """
import os, signal, sys, tempfile
tempfile.tempdir = sys.argv[2]
from pipeline.scenes.find import find_scenes
from pipeline.scenes.open import open_scene
scene = open_scene(find_scenes((sys.argv[1],)).refs[0])
print(scene.info.fingerprint, flush=True)
if sys.argv[3] == "die":
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_processes_share_it_and_what_a_killed_one_left_is_used_or_removed(
    tmp_path: Path, geotiff: Callable[..., Path], temporary: Path
) -> None:
    path = packed(tmp_path / "d.zip", {"s.tif": geotiff(RGB)})
    other = packed(tmp_path / "e.zip", {"s.tif": geotiff(RGB[:1])})

    def child(archive: Path, how: str) -> str:
        command = [sys.executable, "-c", CHILD, str(archive), str(temporary), how]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=60
        ).stdout.strip()

    first = child(path, "die")
    (left,) = temporary.glob("*/*/s.tif")
    inode = left.stat().st_ino
    scene = open_scene(find_scenes((str(path),)).refs[0])
    assert scene.info.fingerprint == first
    assert left.stat().st_ino == inode
    assert child(path, "end") == first  # which does not remove what we hold
    assert left.exists()
    scene.close()
    extract._release_all()
    assert not left.exists()
    child(path, "die")
    assert left.exists()
    scene = open_scene(find_scenes((str(other),)).refs[0])
    assert not left.exists()
    scene.close()


def test_a_folder_of_another_user_is_not_used(
    tmp_path: Path, geotiff: Callable[..., Path], temporary: Path
) -> None:
    planted = temporary / f"overtile-scenes-{os.geteuid()}"
    planted.mkdir()
    planted.chmod(0o777)
    (ref,) = find_scenes((str(packed(tmp_path / "d.zip", {"s.tif": geotiff(RGB)})),)).refs
    with pytest.raises(SceneError, match="others may write there"):
        open_scene(ref)


def test_an_archive_that_is_replaced_is_another_scene(
    tmp_path: Path, geotiff: Callable[..., Path]
) -> None:
    path = packed(tmp_path / "d.zip", {"s.tif": geotiff(RGB)})
    (ref,) = find_scenes((str(path),)).refs
    scene = open_scene(ref)
    packed(path, {"s.tif": geotiff(255 - RGB)})
    assert fingerprint(ref) != scene.info.fingerprint
    path.unlink()
    with pytest.raises(SceneError, match="its archive is not there"):
        fingerprint(ref)


def test_adjoining_scenes_in_an_archive_are_one(
    tmp_path: Path, geotiff: Callable[..., Path]
) -> None:
    files: dict[str, Path | bytes] = {
        f"{n}.tif": geotiff(
            RGB[:, :, 30 * n : 30 * n + 30],
            f"{n}.tif",
            transform=(0.5, 0, 500_000 + 15 * n, 0, -0.5, 5_500_000),
        )
        for n in range(2)
    }
    refs = find_scenes((str(packed(tmp_path / "d.zip", files)),)).refs
    scene = open_scene(as_one_scene(refs))
    np.testing.assert_array_equal(scene.read(WHOLE, (1, 2, 3))[0], RGB)
    assert scene.info.fingerprint == fingerprint(as_one_scene(refs))
    scene.close()
