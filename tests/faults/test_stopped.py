"""Interrupted or killed, a run goes on to the same bytes."""

from __future__ import annotations

import ctypes
import itertools
import random
import shutil
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipeline.mapping.lock import lock_folder
from tests.faults.watched import check_results, check_whole, started, tiles
from tests.forked import Limits, Started, map_arguments, overtile
from tests.mapping.scenery import contents
from tests.processes import descendants, gone
from tests.regions.places import town

pytestmark = pytest.mark.slow

KILLS = 12


@pytest.mark.parametrize(
    ("executor", "number"), [("serial", signal.SIGINT), ("local", signal.SIGTERM)]
)
def test_an_interrupted_run_says_how_to_go_on(
    tmp_path: Path,
    scene: Path,
    undisturbed: dict[str, bytes],
    executor: str,
    number: signal.Signals,
) -> None:
    out = tmp_path / "out"
    command = started(tmp_path, scene, out, "--executor", executor)
    assert command.wait_until(lambda: tiles(out) >= 6)
    command.send(number)
    ended = command.wait()
    assert ended.code == 128 + number, ended.said
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


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_twice_it_ends_at_once_and_goes_on_later(
    tmp_path: Path, scene: Path, undisturbed: dict[str, bytes], second: signal.Signals
) -> None:
    out = tmp_path / "out"
    command = started(tmp_path, scene, out, "--executor", "local")
    assert command.wait_until(lambda: tiles(out) >= 6)
    command.send(signal.SIGINT)
    command.send(second)
    ended = command.wait(timeout_s=60)
    # The first may have ended it before the second came.
    assert ended.code in {130, 128 + second}, ended.said
    assert "Traceback" not in ended.said
    assert not (out / "s").exists()
    assert overtile(tmp_path, *map_arguments(scene, out)).code == 0
    check_whole(out, undisturbed)


def hold_a_tile(number: int = 7) -> None:
    """Have a tile hold the GIL for ever, by code that no signal interrupts."""
    from pipeline.models.engines.threshold import Threshold

    predict, library, mutex = Threshold.predict, ctypes.PyDLL(None), ctypes.create_string_buffer(99)
    count = itertools.count()

    def held(*arguments: Any) -> Any:
        if next(count) == number - 1:
            library.pthread_mutex_lock(mutex)
            library.pthread_mutex_lock(mutex)
        return predict(*arguments)

    Threshold.predict = held  # type: ignore[assignment, method-assign]


@pytest.mark.parametrize(
    ("executor", "first", "second"),
    [("serial", signal.SIGTERM, signal.SIGTERM), ("local", signal.SIGINT, signal.SIGTERM)],
)
def test_a_run_that_holds_the_interpreter_ends_at_the_second_signal_and_goes_on_later(
    tmp_path: Path,
    scene: Path,
    undisturbed: dict[str, bytes],
    executor: str,
    first: signal.Signals,
    second: signal.Signals,
) -> None:
    out = tmp_path / "out"
    asked = map_arguments(scene, out, "--executor", executor)
    command = Started(tmp_path, asked, Limits(), hold_a_tile)
    # Threads may hold the last of the six while it is written.
    assert command.wait_until(lambda: tiles(out) >= 4)
    time.sleep(1)
    below = descendants(command.pid)
    command.send(first)
    time.sleep(0.5)
    assert below
    command.send(second)
    assert command.wait(timeout_s=30).code == -signal.SIGKILL
    assert gone(below)
    assert not (out / "s").exists()
    with lock_folder(out):  # the folder is free again
        pass
    again = overtile(tmp_path, *map_arguments(scene, out))
    assert again.code == 0, again.said
    check_whole(out, undisturbed)


def test_a_region_that_is_held_ends_at_the_second_signal_and_goes_on_later(
    tmp_path: Path,
) -> None:
    file = town(tmp_path / "town", scenes=3)
    command = ("region", "run", str(file))
    held = Started(tmp_path, command, Limits(), partial(hold_a_tile, 2))
    assert held.wait_until(lambda: len([*file.parent.glob("out/scenes/s*/run.json")]) == 1)
    time.sleep(1)
    held.send(signal.SIGINT)
    time.sleep(0.3)
    held.send(signal.SIGINT)
    assert held.wait(timeout_s=30).code == -signal.SIGKILL
    again = overtile(tmp_path, *command)
    assert again.code == 0, again.said
    assert len([*file.parent.glob("out/scenes/s*/run.json")]) == 3


def test_killed_at_any_instant_nothing_is_lost(
    tmp_path: Path, scene: Path, undisturbed: dict[str, bytes]
) -> None:
    rng = random.Random(20)
    out = tmp_path / "out"
    began = time.monotonic()
    assert overtile(tmp_path, *map_arguments(scene, out)).code == 0
    took = time.monotonic() - began
    shutil.rmtree(out)
    kills = 0
    for _ in range(5 * KILLS):
        command = started(tmp_path, scene, out)
        due = time.monotonic() + rng.uniform(0, 0.7 * took)
        if command.wait_until(lambda due=due: time.monotonic() >= due):  # type: ignore[misc]
            command.send(signal.SIGKILL)
        ended = command.wait()
        assert ended.code in {0, -signal.SIGKILL}, ended.said
        kills += ended.code != 0
        if kills == KILLS:
            break
        if (out / "s").exists():
            # Results appear whole, however soon the kill came after that.
            check_results(out, undisturbed)
            shutil.rmtree(out)
    assert kills == KILLS
    assert overtile(tmp_path, *map_arguments(scene, out)).code == 0
    check_whole(out, undisturbed)
