"""Names that lead nowhere, for ever, or to what is no file: refused in words, at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.cli.exits import report
from pipeline.errors import ConfigError
from pipeline.scenes.find import find_scenes


@pytest.fixture(autouse=True)
def _at_once() -> Iterator[None]:
    signal.alarm(60)
    yield
    signal.alarm(0)


@pytest.mark.parametrize("suffix", ["tif", "png", "json", "sgy"])
def test_a_pipe_is_not_read(tmp_path: Path, suffix: str) -> None:
    pipe = tmp_path / f"scene.{suffix}"
    os.mkfifo(pipe)
    (failure,) = find_scenes([str(pipe)]).failures
    assert str(failure) == f"{pipe}: it is no regular file; name a file"


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/stdin"])
def test_a_device_is_not_read(tmp_path: Path, device: str) -> None:
    link = tmp_path / "scene.sgy"
    link.symlink_to(device)
    (failure,) = find_scenes([str(link)]).failures
    assert failure.reason in {"it is no regular file", "it is a link to itself"}


def test_a_link_to_itself_is_refused_and_the_others_go_on(tmp_path: Path) -> None:
    link = tmp_path / "loop.tif"
    link.symlink_to(link)
    os.mkfifo(tmp_path / "pipe.tif")
    (tmp_path / "folder.tif").mkdir()
    (tmp_path / "scene.tif").write_bytes(b"II*\0")
    found = find_scenes([str(tmp_path)])
    assert [Path(ref.href).name for ref in found.refs] == ["scene.tif"]
    assert [failure.reason for failure in found.failures] == [
        "it is a link to itself",
        "it is no regular file",
    ]
    (failure,) = find_scenes([str(link)]).failures
    assert failure.scene == str(link)


def test_a_name_that_no_summary_could_hold_is_refused(tmp_path: Path) -> None:
    named = os.fsencode(tmp_path) + b"/\xff.tif"
    Path(os.fsdecode(named)).write_bytes(b"II*")
    (failure,) = find_scenes([os.fsdecode(named)]).failures
    assert (
        str(failure)
        .encode("utf-8")
        .endswith(b"\\udcff.tif: its name is no UTF-8; give it another name")
    )


@pytest.mark.parametrize(
    "name",
    [
        "a" * 5000 + ".tif",
        "~no-such-user-here/scene.tif",
        "/vsizip/scenes.zip/a.tif",
        "GTIFF_DIR:1:scene.tif",
        "NETCDF:scene.nc:band",
        "/vsicurl/http://127.0.0.1/scene.tif",
        "file:///etc/passwd",
        "",
    ],
)
def test_what_is_no_path_is_a_wrong_call(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError):
        find_scenes([name if name else str(tmp_path / "none" / "x.tif")])


def test_a_terminal_obeys_no_file_name(capfd: pytest.CaptureFixture[str]) -> None:
    report("a\x1b[2J\nb\udcff é: refused")
    assert capfd.readouterr().err == "a\\x1b[2J\\nb\\udcff é: refused\n"
