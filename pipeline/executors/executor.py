"""Executors of tasks."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, TypeVar, runtime_checkable

Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What a worker must meet before its first job."""

    check: Callable[[], str]
    """Run once in each worker; returns what does not fit, nothing if all does."""
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Sent with each job: a worker that has not met these conditions returns the job."""


@runtime_checkable
class Executor(Protocol):
    """Carries out tasks that share nothing, in any order, some perhaps twice."""

    def run(
        self, task: Callable[[Job], Result], jobs: Iterable[Job]
    ) -> Iterator[tuple[Job, Result | Exception]]:
        """Yield each job with its result, or with the error that it ended in, as they end.

        Jobs are taken from the iterable only as fast as they can be carried out.
        """
        ...

    def everywhere(self, task: Callable[[], Result]) -> list[Result]:
        """Return what a task gives in each process that carries out jobs."""
        ...

    def require(self, conditions: Conditions) -> None:
        """Give jobs only to workers that meet conditions, those that join later included."""
        ...

    def close(self) -> None:
        """Give back what the executor holds."""
        ...
