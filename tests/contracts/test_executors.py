"""Every executor keeps the promises of `Executor`; serial is the reference."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.errors import SceneError
from pipeline.executors.executor import Executor
from pipeline.executors.serial import Serial


def _local() -> Executor:
    from pipeline.executors.dask import Dask

    return Dask.local(threads=2)


@pytest.fixture(scope="module", params=[Serial, _local], ids=["serial", "dask"])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    """Return each executor that needs no cluster."""
    made: Executor = request.param()
    yield made
    made.close()


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
