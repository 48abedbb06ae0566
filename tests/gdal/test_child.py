"""Calls in a child process end within their limits, and with the process that made them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.errors import ConfigError
from pipeline.gdal.child import (
    ChildCall,
    ChildError,
    ChildLimits,
    ChildMemoryError,
    ChildTimeError,
    call_in_child,
    end_children,
)

pytestmark = pytest.mark.mapping

LIMITS = ChildLimits(memory_bytes=300_000_000, seconds=20, answer_bytes=1_000_000)
MADE = """
import os, sys, time

def act(arguments, files):
    what = arguments["what"]
    if what == "spin":
        while True:
            pass
    if what == "sleep":
        time.sleep(60)
    if what == "take":
        return {"size": len(bytearray(10**9))}, None
    if what == "grow":
        rows = []
        while True:
            rows.append([0.0] * 1000)
    if what == "abort":
        os.abort()
    if what == "exit":
        os._exit(7)
    if what == "refuse":
        from pipeline.errors import ConfigError
        raise ConfigError("a.geojson: no; do")
    if what == "fault":
        raise KeyError("k")
    if what == "long":
        return {"text": "x" * 5_000_000}, None
    return {"pid": os.getpid(), "read": os.pread(files[0], 99, 0).decode(), **{
        name: os.environ.get(name) for name in arguments.get("names", ())}}, None
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("made")
    (folder / "made_for_children.py").write_text(MADE)
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(folder)
    yield
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


@pytest.fixture
def act(made: None, tmp_path: Path) -> Any:  # noqa: ARG001 - on the children's path
    end_children()  # those that other tests started do not see the module

    def run(what: str, limits: ChildLimits = LIMITS, **arguments: Any) -> dict[str, Any]:
        path = tmp_path / "file"
        path.write_text("content")
        with path.open("rb") as file:
            call = ChildCall(
                function="made_for_children:act", arguments={"what": what, **arguments}
            )
            return call_in_child(call, files=[file.fileno()], limits=limits)[0]

    return run


def test_a_call_returns_what_the_function_does_and_reads_the_open_file(act: Any) -> None:
    first, second = act("read"), act("read")
    assert first["read"] == "content"
    assert first["pid"] != second["pid"]
    assert os.getpid() not in (first["pid"], second["pid"])


@pytest.mark.parametrize("what", ["take", "grow", "long", "abort"])
def test_a_call_that_takes_too_much_memory_is_ended(act: Any, what: str) -> None:
    with pytest.raises(ChildMemoryError):
        act(what)
    assert act("read")["read"] == "content"


@pytest.mark.parametrize("what", ["spin", "sleep"])
def test_a_call_that_takes_too_long_is_ended(act: Any, what: str) -> None:
    start = time.monotonic()
    with pytest.raises(ChildTimeError, match="longer than 1 s"):
        act(what, ChildLimits(memory_bytes=10**9, seconds=1, answer_bytes=10**6))
    assert time.monotonic() - start < 20
    assert act("read")["read"] == "content"


def test_a_crash_and_errors_arrive_as_what_they_are(act: Any) -> None:
    with pytest.raises(ChildError, match="exit status 7"):
        act("exit")
    with pytest.raises(ChildError, match="KeyError: 'k'"):
        act("fault")
    with pytest.raises(ConfigError, match=r"^a\.geojson: no; do$"):
        act("refuse")


def test_settings_of_gdal_and_proj_in_the_environment_do_not_reach_a_child(
    act: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("GDAL_SKIP", "OGR_GEOJSON_MAX_OBJ_SIZE", "PROJ_DATA", "GDAL_DRIVER_PATH", "SECRET")
    for name in names:
        monkeypatch.setenv(name, "/nowhere")
    found = act("read", names=[*names, "GDAL_CONFIG_FILE"])
    assert [found[name] for name in names] == [None] * len(names)
    assert found["GDAL_CONFIG_FILE"] == os.devnull


def test_modules_of_the_current_folder_are_not_imported(
    act: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "resource.py").write_text("raise SystemExit('mine')")
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "__init__.py").write_text("raise SystemExit('mine')")
    monkeypatch.chdir(tmp_path)
    assert act("read")["read"] == "content"


def test_calls_of_several_threads_and_of_a_forked_process_do_not_mix(act: Any) -> None:
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(act("read")["pid"])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 4
    fork = os.fork()
    if fork == 0:
        try:
            os._exit(0 if act("read")["read"] == "content" else 1)
        finally:
            os._exit(2)
    assert os.waitpid(fork, 0)[1] == 0
    assert act("read")["read"] == "content"


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_no_child_outlives_the_process_that_asked(how: int) -> None:
    code = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in background
from pipeline.gdal.child import ChildCall, ChildLimits, call_in_child
file = os.open(os.devnull, os.O_RDONLY)
limits = ChildLimits(memory_bytes=10**9, seconds=60, answer_bytes=10**6)
call = ChildCall(function="made_for_children:act", arguments={"what": "spin"})
try:
    call_in_child(call, files=[file], limits=limits)
except KeyboardInterrupt:
    sys.exit(9)
"""
    checkout = Path(__file__).resolve().parents[2]
    process = subprocess.Popen([sys.executable, "-c", code], cwd=checkout)
    asked = psutil.Process(process.pid)
    end = time.monotonic() + 60
    while len(family := asked.children(recursive=True)) < 2:
        assert time.monotonic() < end, "no child was started"
        time.sleep(0.02)
    process.send_signal(how)
    assert process.wait(30) == (9 if how == signal.SIGINT else -how)
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []
