"""Who carries tasks out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar, runtime_checkable

Job = TypeVar("Job")
Result = TypeVar("Result")


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

    def close(self) -> None:
        """Give back what the executor holds."""
        ...
