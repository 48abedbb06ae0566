"""One task after the other, in this thread: the reference that the others must equal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from pipeline.errors import interrupted
from pipeline.executors.executor import Conditions, Executor, Job, Result


class Serial:
    """Carries out jobs one by one."""

    def run(
        self, task: Callable[[Job], Result], jobs: Iterable[Job]
    ) -> Iterator[tuple[Job, Result | Exception]]:
        """Yield each job with its result or error, in order."""
        for job in jobs:
            try:
                outcome: Result | Exception = task(job)
            except Exception as error:
                if interrupted(error):
                    raise
                outcome = error  # whatever a task raises
            yield job, outcome

    def everywhere(self, task: Callable[[], Result]) -> list[Result]:
        """Return what a task gives here."""
        return [task()]

    def require(self, conditions: Conditions) -> None:
        """Do nothing: the process that plans is the one that works."""

    def close(self) -> None:
        """Do nothing."""


_: type[Executor] = Serial
