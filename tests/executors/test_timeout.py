"""A job that hangs is tried elsewhere, and given up in words; the others go on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import PipelineError
from pipeline.executors.dask import Dask

LONG_S = 60.0


@pytest.fixture
def local() -> Iterator[Dask]:
    executor = Dask.local(threads=2, timeout_s=3.0)
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
def test_what_hangs_once_is_done_elsewhere(tmp_path: Path, local: Dask) -> None:
    jobs = [(number, str(tmp_path)) for number in range(12)]
    began = time.monotonic()
    outcomes = dict(local.run(_hang_once, jobs))
    assert outcomes == {job: job[0] for job in jobs}
    assert time.monotonic() - began < LONG_S
    # The two that hung, each at its first attempt.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3", "8"]


@pytest.mark.slow
def test_what_hangs_again_is_given_up_and_the_others_are_done(local: Dask) -> None:
    outcomes: dict[int, Any] = dict(local.run(_hang, range(9)))
    given_up = outcomes.pop(4)
    assert isinstance(given_up, PipelineError)
    assert "no end after 3 s, tried 2 times" in str(given_up)
    assert outcomes == {job: job for job in range(9) if job != 4}
    # Nothing of this is left for the next jobs.
    assert dict(local.run(_hang, range(4))) == {job: job for job in range(4)}
