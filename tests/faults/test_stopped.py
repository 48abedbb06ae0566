"""Interrupted, a run ends in words, and goes on to the same bytes."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.forked import Limits, Started, map_arguments, overtile
from tests.runs.scenery import blobs, contents, run, write_scene

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("scene")
    return write_scene(place / "s.tif", blobs(4, height=300, width=400)[None])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, scene: Path) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("undisturbed")
    run(scene, out, tile=64)
    return contents(out / "s")


def tiles(out: Path) -> int:
    return len(list((out / ".work" / "s" / "tiles").glob("*.tile")))


def started(place: Path, scene: Path, out: Path, *more: str) -> Started:
    return Started(place, map_arguments(scene, out, *more), Limits())


@pytest.mark.parametrize("executor", ["serial", "local"])
def test_an_interrupted_run_says_how_to_go_on(
    tmp_path: Path, scene: Path, undisturbed: dict[str, bytes], executor: str
) -> None:
    out = tmp_path / "out"
    command = started(tmp_path, scene, out, "--executor", executor)
    assert command.wait_until(lambda: tiles(out) >= 6)
    command.send(signal.SIGINT)
    ended = command.wait()
    assert ended.code == 130, ended.said
    assert "stopped; run the same command again to go on where it stopped" in ended.said
    assert "Traceback" not in ended.said
    assert ended.stdout == ""
    assert not (out / "s").exists()
    assert not list((out / ".work" / "s").glob("join-*"))
    there = tiles(out)
    again = overtile(tmp_path, *map_arguments(scene, out))
    assert again.code == 0, again.said
    assert contents(out / "s") == undisturbed
    log = (out / "s" / "log.jsonl").read_text("utf-8")
    assert log.count('"reused": true') == there
