"""A job that hangs is tried elsewhere, and given up in words; the others go on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, LocalCluster

from pipeline.errors import PipelineError
from pipeline.executors.dask import Dask
from pipeline.executors.threads import Threads
from pipeline.gdal.raster_guard import install_guard

LONG_S = 60.0


@pytest.fixture
def local() -> Iterator[Threads]:
    executor = Threads(threads=2, timeout_s=3.0)
    yield executor
    executor.close()


def _hang_once(job: tuple[int, str]) -> int:
    number, place = job
    seen = Path(place) / str(number)
    if number % 5 == 3 and not seen.exists():
        seen.touch()
        time.sleep(LONG_S)
    return number


def _hang(job: int) -> int:
    if job == 4:
        time.sleep(LONG_S)
    return job


@pytest.mark.slow
def test_what_hangs_once_is_done_elsewhere(tmp_path: Path, local: Threads) -> None:
    jobs = [(number, str(tmp_path)) for number in range(12)]
    began = time.monotonic()
    outcomes = dict(local.run(_hang_once, jobs))
    assert outcomes == {job: job[0] for job in jobs}
    assert time.monotonic() - began < LONG_S
    # The two that hung, each at its first attempt.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3", "8"]


@pytest.mark.slow
def test_what_hangs_again_is_given_up_and_the_others_are_done(local: Threads) -> None:
    outcomes: dict[int, Any] = dict(local.run(_hang, range(9)))
    given_up = outcomes.pop(4)
    assert isinstance(given_up, PipelineError)
    assert "no end after 3 s, tried 2 times" in str(given_up)
    assert outcomes == {job: job for job in range(9) if job != 4}
    # Nothing of this is left for the next jobs.
    assert dict(local.run(_hang, range(4))) == {job: job for job in range(4)}


class _Heavy:
    """A result whose worker stops, once, in the midst of sending it."""

    def __init__(self, place: str) -> None:
        self.place = place

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        seen = Path(self.place)
        if not seen.exists():
            seen.touch()
            os.kill(os.getpid(), signal.SIGSTOP)
        return str, ("sent",)


def _heavy(job: str) -> _Heavy:
    return _Heavy(job)


@pytest.mark.slow
def test_a_worker_that_hangs_with_its_result_is_not_waited_for(tmp_path: Path) -> None:
    with LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as cluster:
        executor = Dask.connect(cluster.scheduler_address, setup=install_guard, timeout_s=5.0)
        began = time.monotonic()
        outcomes: list[Any] = [told for _, told in executor.run(_heavy, [str(tmp_path / "seen")])]
        assert outcomes == ["sent"]
        # Dask lets go of a silent worker after five minutes.
        assert time.monotonic() - began < 240
        executor.close()


@pytest.mark.slow
def test_a_worker_that_does_not_answer_gets_no_jobs() -> None:
    with LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as cluster:
        Dask.connect(cluster.scheduler_address, setup=install_guard).close()
        executor = Dask(Client(cluster.scheduler_address), ready_s=3.0)
        stopped, other = executor.everywhere(os.getpid)
        os.kill(stopped, signal.SIGSTOP)
        assert executor.everywhere(os.getpid) == [other]
        assert dict(executor.run(_hang, range(4))) == {job: job for job in range(4)}
        # Its nanny has started another in its place, which is asked from then on.
        deadline = time.monotonic() + 60
        while len(executor.everywhere(os.getpid)) < 2 and time.monotonic() < deadline:
            time.sleep(0.5)
        assert stopped not in executor.everywhere(os.getpid)
        executor.close()


def _worker(job: int) -> tuple[int, int]:
    time.sleep(0.05)
    return job, os.getpid()


@pytest.mark.slow
def test_jobs_of_a_worker_that_hangs_before_it_begins_them_are_done_elsewhere() -> None:
    with LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as cluster:
        executor = Dask.connect(cluster.scheduler_address, setup=install_guard, timeout_s=15.0)
        stopped, other = executor.everywhere(os.getpid)
        os.kill(stopped, signal.SIGSTOP)
        began = time.monotonic()
        running = executor.run(_worker, range(40))
        outcomes: list[Any] = [next(running)[1] for _ in range(5)]
        outcomes.extend(told for _, told in running)
        assert sorted(job for job, _ in outcomes) == list(range(40))
        assert stopped not in {pid for _, pid in outcomes}
        assert time.monotonic() - began < 240
        os.kill(other, signal.SIGKILL)
        assert sorted(job for job, _ in executor.run(_worker, range(10))) == list(range(10))
        executor.close()
