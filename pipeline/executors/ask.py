"""The same done by every worker of a Dask cluster, those that hang left aside."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import ParamSpec

from distributed import Client, KilledWorker, wait

from pipeline.executors.executor import Result

FETCH_S = 30.0
"""Longest transfer of a result from its worker, in seconds; a few hundred bytes."""
Given = ParamSpec("Given")


def result_or_error(
    task: Callable[Given, Result], *args: Given.args, **kwargs: Given.kwargs
) -> Result | Exception:
    """Return what a task gives, or its error: a worker logs no failure of its own then."""
    try:
        return task(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - whatever a task raises is its outcome
        return error


def call_on_workers(
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
        worker: client.submit(result_or_error, task, pure=False, workers=[worker])
        for worker in workers
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
