"""``overtile region serve``: a real process that runs what is due, shows it, and stops."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from apscheduler.schedulers.background import BackgroundScheduler

from pipeline.config.region import Schedule
from pipeline.errors import ConfigError
from pipeline.regions.ledger.ledger import open_ledger
from pipeline.regions.serve.http import serving_page
from pipeline.regions.serve.next_runs import NextRuns
from pipeline.regions.serve.page import page, region_states
from pipeline.regions.serve.serve import keep_time, set_at_signal
from pipeline.regions.serve.served import served
from pipeline.regions.serve.subprocesses import Outcome, RunProcesses
from tests.processes import descendants, gone
from tests.regions.places import Clock, town

HOURLY = "schedule: {cron: '0 * * * *'}\n"
HAYWIRE = "<script>alert('&')</script>"


def _get(port: int, path: str, host: str = "127.0.0.1") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path, headers={"Host": f"{host}:{port}"})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


@contextmanager
def _server(*places: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = [sys.executable, "-Pm", "pipeline.cli.__main__", "region", "serve"]
    process = subprocess.Popen(
        [*command, *map(str, places), "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        # A shell's background ignores it, and so would this.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    with process:
        try:
            assert process.stderr is not None
            told = next(line for line in process.stderr if "status at" in line)
            yield process, int(told.rpartition(":")[2].strip().strip("/"))
        finally:
            process.kill()


def _until(port: int, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    for _ in range(600):
        row: dict[str, Any] = json.loads(_get(port, "/status.json")[1])[0]
        if wanted(row):
            return row
        time.sleep(0.25)
    raise TimeoutError(str(row))


def _overdue(file: Path) -> None:
    """Note a run of long ago, so that an hourly region is due at once."""
    ledger = open_ledger(file.parent / "out", region="town")
    ledger.begin(holder="before", now=datetime(2024, 1, 1, tzinfo=UTC).timestamp())
    ledger.close()


@pytest.mark.slow
def test_what_is_due_is_run_and_shown_and_sigterm_ends_it(tmp_path: Path) -> None:
    file = town(tmp_path / "town", scenes=1, text=HOURLY)
    (file.parent / "out").mkdir()
    _overdue(file)
    with _server(tmp_path) as (process, port):
        row = _until(port, lambda row: row.get("here", {}).get("code") is not None)
        assert (row["here"]["code"], row["scenes"]) == (0, {"done": 1})
        assert row["last"]["state"] == "done"
        status, html = _get(port, "/")
        assert status == 200
        assert "1 done" in html
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    with pytest.raises(OSError, match="refused"):
        _get(port, "/")


@pytest.mark.slow
def test_a_run_under_way_is_stopped_and_goes_on_at_the_next_start(tmp_path: Path) -> None:
    file = town(tmp_path, scenes=2, text=HOURLY)
    (tmp_path / "out").mkdir()
    _overdue(file)
    with _server(file) as (process, port):
        _until(port, lambda row: bool(row.get("here")))
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    with _server(file) as (process, port):
        row = _until(port, lambda row: row.get("here", {}).get("code") is not None)
        assert (row["here"]["code"], row["scenes"]) == (0, {"done": 2})
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


def test_folders_are_searched_and_the_example_is_left_out(tmp_path: Path) -> None:
    town(tmp_path / "a", scenes=1, text=HOURLY)
    town(tmp_path, scenes=1, text=HOURLY)
    (tmp_path / "region.yaml").rename(tmp_path / "b.yaml")
    (tmp_path / "b.yaml").write_text((tmp_path / "b.yaml").read_text().replace("town", "village"))
    (tmp_path / "example.yaml").write_text((tmp_path / "b.yaml").read_text())
    (tmp_path / "c.yaml").write_text("name: [")
    found = served([tmp_path])
    assert [one.file.name for one in found] == ["region.yaml", "b.yaml", "c.yaml"]
    assert [one.fault is None for one in found] == [True, True, False]
    # By itself the example is served as any other.
    assert len(served([tmp_path / "example.yaml"])) == 1


def test_regions_of_one_name_are_not_served(tmp_path: Path) -> None:
    for name in "ab":
        town(tmp_path / name, scenes=1, text=HOURLY)
    other = town(tmp_path / "c", scenes=1, text=HOURLY)
    other.write_text(other.read_text().replace("name: town", "name: village"))
    found = served([tmp_path])
    assert [one.fault is None for one in found] == [False, False, True]
    assert f"name: town is also the name of {tmp_path}/b/region.yaml; rename one" in str(
        found[0].fault
    )


def test_a_clock_that_was_set_back_brings_moments_back() -> None:
    now = datetime(2024, 5, 6, 12, 30, tzinfo=UTC)
    scheduler = BackgroundScheduler(timezone=UTC)
    schedule = Schedule(cron="0 * * * *")
    scheduler.add_job(print, trigger=NextRuns(schedule), next_run_time=now + timedelta(minutes=30))
    scheduler.start(paused=True)
    try:
        (job,) = scheduler.get_jobs()
        keep_time(scheduler, now=now + timedelta(minutes=5))
        assert job.next_run_time == now + timedelta(minutes=30)
        keep_time(scheduler, now=now - timedelta(days=1))
        assert scheduler.get_jobs()[0].next_run_time == now - timedelta(days=1, minutes=-30)
        # What is due stays due, however late it is.
        keep_time(scheduler, now=now + timedelta(days=3))
        assert scheduler.get_jobs()[0].next_run_time == now - timedelta(days=1, minutes=-30)
    finally:
        scheduler.shutdown(wait=False)


def test_nothing_to_serve_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file or folder"):
        served([tmp_path / "nothing"])
    with pytest.raises(ConfigError, match=r"no region with a schedule among 0.*put some there"):
        served([tmp_path])
    file = town(tmp_path, scenes=1, text="schedule: {cron: '61 * * * *'}\n")
    with pytest.raises(ConfigError, match=r"among 1 region files.*schedule\.cron '61"):
        served([file])


def test_the_page_escapes_what_came_from_files(tmp_path: Path) -> None:
    folder = tmp_path / HAYWIRE.replace("/", "_")
    good, bad = town(folder / "a", scenes=1, text=HOURLY), folder / "b.yaml"
    bad.write_text(f"name: '{HAYWIRE}'\n".replace("alert('&')", "alert(1)"))
    outcome = Outcome(began=0.0, code=2, line=HAYWIRE)
    regions = served([folder])
    now = Clock()()
    rows = region_states(regions, {good.resolve(): outcome}, now=now)
    rows[0]["failures"] = [{"scene": HAYWIRE, "attempts": 2, "reason": HAYWIRE}] * 60
    html = page(rows, now=now)
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "and 10 more" in html
    assert "name: " in str(rows[1]["fault"])


def _raw(port: int, request: str) -> tuple[str, dict[str, str], str]:
    """Send a request as it is; return status line, headers and body."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(request.encode("latin-1"))
        answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    head, _, body = answer.partition("\r\n\r\n")
    status, *lines = head.split("\r\n")
    return status, dict(line.split(": ", 1) for line in lines), body


@pytest.mark.parametrize(
    ("path", "more", "status"),
    [
        ("/", "", 200),
        ("/status.json", "", 200),
        ("/missing", "", 404),
        ("/", "If-None-Match: *\r\nIf-Modified-Since: Mon, 06 May 2024 00:00:00 GMT\r\n", 200),
        ("/status.json", "Range: bytes=0-1\r\n", 200),
    ],
)
def test_head_is_answered_with_the_headers_of_get_and_no_body(
    path: str, more: str, status: int
) -> None:
    with serving_page(0, rows=lambda: [{"name": "é"}], html=lambda _: "pägé") as port:
        tail = f"{path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{more}\r\n"
        line, headers, body = _raw(port, f"HEAD {tail}")
        assert line.split()[1] == str(status)
        assert body == ""
        got_line, got, content = _raw(port, f"GET {tail}")
        for one in (headers, got):
            one.pop("Date")
        assert (line, headers) == (got_line, got)
        assert headers["Content-Length"] == str(len(content.encode()))
        other = tail.replace("Host: 127.0.0.1", "Host: evil.example")
        assert _raw(port, f"HEAD {other}")[0].split()[1] == "403"


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "M-SEARCH", "_answer"]
)
def test_other_methods_are_not_allowed_and_those_that_are_named(method: str) -> None:
    with serving_page(0, rows=list, html=lambda _: "page") as port:
        host = f"Host: 127.0.0.1:{port}\r\n"
        line, headers, body = _raw(port, f"{method} / HTTP/1.1\r\n{host}\r\n")
        assert line.split()[1] == "405"
        assert headers["Allow"] == "GET, HEAD"
        assert "Content-Security-Policy" in headers
        assert body == "Method Not Allowed\n"
        # It goes on serving.
        assert _get(port, "/") == (200, "page")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ("GET / HTTP/x\r\n\r\n", "400"),
        ("GET / / HTTP/1.1 \r\n\r\n", "400"),
        (f"GET /{'a' * 70_000} HTTP/1.1\r\n\r\n", "414"),
        ("GET / HTTP/1.1\r\n" + "a: b\r\n" * 200 + "\r\n", "431"),
        ("HEAD / HTTP/3.0\r\n\r\n", "505"),
    ],
)
def test_a_request_that_is_none_is_refused_without_a_word_of_it(request_: str, status: str) -> None:
    with serving_page(0, rows=list, html=lambda _: "page") as port:
        try:
            line, headers, body = _raw(port, request_)
        except ConnectionResetError:  # the answer can be lost where not all was read
            line, headers, body = f"HTTP/1.0 {status}", {"Content-Security-Policy": ""}, ""
        assert line.split()[1] == status
        assert "Content-Security-Policy" in headers
        assert "aaa" not in body
        assert _get(port, "/") == (200, "page")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_sets_the_event_and_counts_where_the_second_goes(
    number: signal.Signals,
) -> None:
    came: list[int] = []

    def raising(number: int, _: object) -> None:
        came.append(number)
        raise KeyboardInterrupt

    both = (signal.SIGTERM, signal.SIGINT)
    before = {one: signal.signal(one, raising) for one in both}
    try:
        with set_at_signal() as stop:
            assert not stop.is_set()
            os.kill(os.getpid(), number)
            assert stop.wait(10)
            assert came == [number]
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGTERM)
            assert came == [number, signal.SIGTERM]
        # What is ignored stays ignored.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with set_at_signal() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert not stop.wait(0.1)
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _held_run(server: int) -> int:
    """Stop the run that a server begins, so that no signal to stop reaches it; return it."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        for pid in descendants(server):
            with suppress(OSError):
                if b"\0run\0" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGSTOP)
                    return pid
        time.sleep(0.05)
    raise TimeoutError("no run was begun")


@pytest.mark.slow
def test_the_second_signal_ends_the_server_and_the_run_under_way(tmp_path: Path) -> None:
    file = town(tmp_path, scenes=2, text=HOURLY)
    (tmp_path / "out").mkdir()
    _overdue(file)
    with _server(file) as (process, _):
        run = _held_run(process.pid)
        below = descendants(process.pid)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        time.sleep(1)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        # Both in one go where it had no time between them.
        assert process.wait(60) in {128 + signal.SIGINT, 128 + signal.SIGTERM}
        assert time.monotonic() - began < 20
        assert gone(below | {run})
    again = subprocess.run(
        [sys.executable, "-Pm", "pipeline.cli.__main__", "region", "run", str(file)],
        capture_output=True,
        check=True,
    )
    assert json.loads(again.stdout)["failed"] == 0


def test_the_page_is_for_this_machine_alone() -> None:
    with serving_page(0, rows=list, html=lambda _: "page") as port:
        assert _get(port, "/") == (200, "page")
        assert _get(port, "/status.json") == (200, "[]\n")
        assert _get(port, "/", host="evil.example")[0] == 403
        assert _get(port, "/../etc/passwd")[0] == 404
        with (
            pytest.raises(ConfigError, match=f"--port {port}: cannot be used"),
            serving_page(port, rows=list, html=str),
        ):
            pass


def test_a_region_whose_file_went_wrong_ends_alone_and_nothing_starts_after_the_end(
    tmp_path: Path,
) -> None:
    told: list[str] = []
    children = RunProcesses(clock=Clock(), report=told.append)
    file = tmp_path / "gone.yaml"
    children.run(file, "gone")
    assert children.outcomes()[file].code == 2
    assert str(file) in children.outcomes()[file].line
    assert told[-1] == "gone: ended with code 2"
    children.stop(within_s=1)
    children.run(file, "gone")
    assert told[-1] == "gone: ended with code 2"
    assert len(told) == 3
