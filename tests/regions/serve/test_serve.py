"""``overtile region serve``: a real process that runs what is due, and stops."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from apscheduler.schedulers.background import BackgroundScheduler

from pipeline.config.region import Schedule
from pipeline.errors import ConfigError
from pipeline.regions.ledger.ledger import open_ledger
from pipeline.regions.serve.next_runs import NextRuns
from pipeline.regions.serve.serve import keep_time, set_at_signal
from pipeline.regions.serve.served import served
from pipeline.regions.serve.subprocesses import RunProcesses
from tests.processes import descendants, gone
from tests.regions.places import town

HOURLY = "schedule: {cron: '0 * * * *'}\n"


@contextmanager
def _server(*places: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-Pm", "pipeline.cli.__main__", "region", "serve"]
    process = subprocess.Popen(
        [*command, *map(str, places)],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        # A shell's background ignores it, and so would this.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def _line(process: subprocess.Popen[str], wanted: str) -> str:
    """Return the next line of a server's log that holds a text."""
    assert process.stderr is not None
    return next(line for line in process.stderr if wanted in line)


def _overdue(file: Path) -> None:
    """Note a run of long ago, so that an hourly region is due at once."""
    ledger = open_ledger(file.parent / "out", region="town")
    ledger.begin(holder="before", now=datetime(2024, 1, 1, tzinfo=UTC).timestamp())
    ledger.close()


@pytest.mark.slow
def test_what_is_due_is_run_and_its_page_written_and_sigterm_ends_it(tmp_path: Path) -> None:
    file = town(tmp_path / "town", scenes=1, text=HOURLY)
    (file.parent / "out").mkdir()
    _overdue(file)
    with _server(tmp_path) as process:
        assert _line(process, "town: now")
        assert _line(process, "town: ended with code 0")
        page = (file.parent / "out" / "report.html").read_text("utf-8")
        assert re.search(r'"next": ?"', page)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


@pytest.mark.slow
def test_a_run_under_way_is_stopped_and_goes_on_at_the_next_start(tmp_path: Path) -> None:
    file = town(tmp_path, scenes=2, text=HOURLY)
    (tmp_path / "out").mkdir()
    _overdue(file)
    with _server(file) as process:
        assert _line(process, "town: begins")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    with _server(file) as process:
        assert _line(process, "town: ended with code 0")
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
    with _server(file) as process:
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


def test_a_region_whose_file_went_wrong_ends_alone_and_nothing_starts_after_the_end(
    tmp_path: Path,
) -> None:
    told: list[str] = []
    children = RunProcesses(report=told.append)
    file = tmp_path / "gone.yaml"
    children.run(file, "gone")
    assert any(str(file) in line for line in told)
    assert told[-1] == "gone: ended with code 2"
    children.stop(within_s=1)
    children.run(file, "gone")
    assert told[-1] == "gone: ended with code 2"
    assert len(told) == 3
