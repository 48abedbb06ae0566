"""Where compiled loops are kept: not where another user could put code."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.code_cache import choose_folder


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return sources in an archive, with no cache folder of a user; TMPDIR is in place."""
    archive = tmp_path / "sources.zip"
    archive.write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(archive / "cache"))
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    temporary.chmod(0o1777)
    monkeypatch.setenv("TMPDIR", str(temporary))
    return archive


def test_the_folder_that_the_user_chose_comes_first(tmp_path: Path, closed: Path) -> None:
    given = str(tmp_path / "given" / "numba")
    assert choose_folder(given=given, source=closed) == given
    assert choose_folder(given=given, source=tmp_path) == given
    assert choose_folder(given=str(closed / "numba"), source=tmp_path) == ""


def test_beside_the_source_comes_before_the_cache_of_the_user(
    tmp_path: Path, closed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert choose_folder(given="", source=tmp_path) == ""
    found = choose_folder(given="", source=closed)
    assert found == str(tmp_path / "cache" / "numba")
    assert stat.S_IMODE(Path(found).stat().st_mode) == 0o700


def test_else_a_folder_of_ours_alone_among_temporary_files(tmp_path: Path, closed: Path) -> None:
    found = choose_folder(given="", source=closed)
    assert found == str(tmp_path / "tmp" / f"overtile-{os.geteuid()}")
    assert stat.S_IMODE(Path(found).stat().st_mode) == 0o700
    assert choose_folder(given="", source=closed) == found


@pytest.mark.parametrize("home", ["", "missing", "relative/folder"])
def test_a_home_that_is_none_leaves_nothing_where_the_command_runs(
    tmp_path: Path, closed: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(closed / home) if home == "missing" else home or str(closed))
    found = choose_folder(given="", source=closed)
    assert found == str(tmp_path / "tmp" / f"overtile-{os.geteuid()}")
    assert list((tmp_path / "here").iterdir()) == []


def _open_to_all(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)


def _open_to_the_group(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o770)


def _of_another(folder: Path) -> None:
    if os.geteuid():
        pytest.skip("only root may give a folder away")
    folder.mkdir(mode=0o700)
    os.chown(folder, 65534, 65534)


def _link(folder: Path) -> None:
    (folder.parent / "other").mkdir(mode=0o700)
    folder.symlink_to(folder.parent / "other")


def _file(folder: Path) -> None:
    folder.touch(mode=0o600)


def _replaceable(folder: Path) -> None:
    folder.parent.chmod(0o777)  # not sticky: anybody may rename it


def _below_another(folder: Path) -> None:
    if os.geteuid():
        pytest.skip("only root may give a folder away")
    os.chown(folder.parent, 65534, 65534)


@pytest.mark.parametrize(
    "planted",
    [_open_to_all, _open_to_the_group, _of_another, _link, _file, _replaceable, _below_another],
)
def test_a_folder_in_which_others_could_put_code_is_not_used(
    tmp_path: Path, closed: Path, planted: Callable[[Path], None]
) -> None:
    folder = tmp_path / "tmp" / f"overtile-{os.geteuid()}"
    planted(folder)
    assert choose_folder(given="", source=closed) is None
    if folder.is_dir():
        assert list(folder.iterdir()) == []


@pytest.mark.parametrize("planted", [_open_to_all, _of_another])
def test_nor_is_such_a_cache_of_the_user(
    tmp_path: Path, closed: Path, monkeypatch: pytest.MonkeyPatch, planted: Callable[[Path], None]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    planted(tmp_path / "cache")
    assert choose_folder(given="", source=closed) == str(
        tmp_path / "tmp" / f"overtile-{os.geteuid()}"
    )
