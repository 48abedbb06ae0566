"""The same done by every worker of a Dask cluster, those that hang left aside."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress

from distributed import Client, KilledWorker, WorkerPlugin, wait

from pipeline.executors.executor import Result
from pipeline.executors.flights import FETCH_S, outcome


class Setup(WorkerPlugin):
    """Runs a function once in every worker, those that join later included."""

    def __init__(self, task: Callable[[], None]) -> None:
        """Remember the function; it must be importable by name."""
        self._task = task
        self.name = f"overtile-{task.__name__}"
        self.idempotent = True

    def setup(self, worker: object) -> None:  # noqa: ARG002 - Dask names it
        """Run it."""
        self._task()


def ask(
    client: Client, task: Callable[[], Result], workers: Iterable[str], *, within_s: float
) -> tuple[list[Result], list[str]]:
    """Return what a task gives in each worker, and the workers that did not answer.

    Args:
        client: Dask's.
        task: Begun on a thread of each worker, so that it goes on telling that it lives.
        workers: Their addresses.
        within_s: How long they have.

    Raises:
        Exception: The task's own.
    """
    asked = {
        worker: client.submit(outcome, task, pure=False, workers=[worker]) for worker in workers
    }
    with suppress(TimeoutError):
        wait(list(asked.values()), timeout=within_s)
    answers: list[Result] = []
    silent: list[str] = []
    for worker, future in asked.items():
        try:
            answer = future.result(timeout=FETCH_S if future.done() else 0)
        except (TimeoutError, KilledWorker):
            future.cancel(force=True)
            silent.append(worker)
            continue
        if isinstance(answer, Exception):
            raise answer
        answers.append(answer)
    return answers, silent
