"""Every executor keeps the promises of `Executor`; serial is the reference."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pipeline.errors import SceneError
from pipeline.executors.executor import Executor
from pipeline.executors.serial import Serial
from pipeline.executors.threads import Threads
from pipeline.gdal.raster_guard import install_guard


@contextmanager
def _serial() -> Iterator[Executor]:
    yield Serial()


@contextmanager
def _threads() -> Iterator[Executor]:
    executor = Threads(threads=2)
    yield executor
    executor.close()


@contextmanager
def _dask() -> Iterator[Executor]:
    from distributed import LocalCluster

    from pipeline.executors.dask import Dask

    with LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, protocol="tcp://",
        host="127.0.0.1", dashboard_address="127.0.0.1:0",
    ) as cluster:  # fmt: skip
        executor = Dask.connect(cluster.scheduler_address, setup=install_guard)
        yield executor
        executor.close()


@pytest.fixture(scope="module", params=[_serial, _threads, _dask])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    """Return each executor."""
    with request.param() as made:
        yield made


def _square(job: int) -> int:
    return job * job


def _odd_ones_fail(job: int) -> int:
    if job % 2:
        raise SceneError(f"{job}.tif", "is odd", "give an even one")
    return job


def test_every_job_ends_once_with_its_own_result(executor: Executor) -> None:
    assert isinstance(executor, Executor)
    assert sorted(executor.run(_square, range(50))) == [(job, job * job) for job in range(50)]


def test_no_jobs_have_no_results(executor: Executor) -> None:
    assert list(executor.run(_square, [])) == []


def test_an_error_is_its_jobs_outcome_and_the_others_go_on(executor: Executor) -> None:
    outcomes: dict[int, Any] = dict(executor.run(_odd_ones_fail, range(20)))
    assert len(outcomes) == 20
    for job, outcome in outcomes.items():
        if job % 2:
            assert isinstance(outcome, SceneError)
            assert outcome.scene == f"{job}.tif"
        else:
            assert outcome == job


def test_jobs_are_taken_only_as_fast_as_they_are_done(executor: Executor) -> None:
    taken = 0

    def jobs() -> Iterator[int]:
        nonlocal taken
        for job in range(10_000):
            taken += 1
            yield job

    running = executor.run(_square, jobs())
    for _ in range(5):
        next(running)
    assert taken <= 20
    running.close()  # type: ignore[attr-defined]  # all of ours are generators


def test_everywhere_answers_at_least_once(executor: Executor) -> None:
    assert set(executor.everywhere(int)) == {0}
