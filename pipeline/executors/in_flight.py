"""Jobs in flight on a Dask cluster: worker and start of each, and their results."""

from __future__ import annotations

import logging
import math
import queue
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic

from distributed import Client, Future, KilledWorker, get_worker
from distributed.client import AllExit

from pipeline.errors import ClusterError
from pipeline.executors.admission import has_met
from pipeline.executors.ask import FETCH_S, result_or_error
from pipeline.executors.connection import cluster_errors
from pipeline.executors.executor import Job, Result

ATTEMPTS = 2
"""How often a job is begun that takes longer than it may, or that cannot be begun."""
LOOK_S = 1.0
"""How long nothing may end before it is looked what takes too long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UncheckedWorker:
    """What a worker gives back that was never checked against a job's conditions."""

    worker: str
    """Its address."""


@dataclass(eq=False, slots=True, kw_only=True)
class Attempt(Generic[Job]):
    """One attempt at a job."""

    job: Job
    """What is done."""
    attempt: int
    """The first is 1."""
    future: Future[Any]
    """Dask's."""
    worker: str = ""
    """Worker that began it; empty: none yet."""
    since: float = 0.0
    """When that was heard of, on our own clock."""
    workers: frozenset[str] | None = None
    """Workers that may do it; None: all."""


class JobsInFlight(Generic[Job, Result]):
    """Jobs that were given out and have not come back."""

    def __init__(
        self,
        client: Client,
        task: Callable[[Job], Result],
        *,
        token: str = "",
        fetch_s: float = FETCH_S,
    ) -> None:
        """Give out jobs of one task through a client.

        Args:
            client: Dask's.
            task: What is done.
            token: Of the conditions that a worker must have met; empty: of none.
            fetch_s: How long a result may take to come before its job is overdue.
        """
        logging.getLogger("asyncio").addFilter(_left_over)
        self._client = client
        self._fetch_s = fetch_s
        self._task = task
        self._token = token
        self._topic = f"overtile-{uuid.uuid4().hex}"
        self._flights: dict[Any, Attempt[Job]] = {}
        self._returned: list[tuple[str, Attempt[Job]]] = []
        self._ended: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
        self._heard = time.monotonic()
        # Workers report to the scheduler that they begin, and the scheduler reports it here.
        with cluster_errors(client):
            client.subscribe_topic(self._topic, self._began)

    def __len__(self) -> int:
        """Return how many jobs are under way or waiting."""
        return len(self._flights)

    def begin(self, job: Job, *, workers: list[str] | None, attempt: int = 1) -> None:
        """Give a job out, to one of ``workers`` if they are named.

        Raises:
            ClusterError: The scheduler was lost.
        """
        sent = (self._topic, self._token)
        with cluster_errors(self._client):
            future = self._client.submit(
                _attempt, self._task, job, sent, pure=False, workers=workers
            )
        among = None if workers is None else frozenset(workers)
        self._flights[future.key] = Attempt(job=job, attempt=attempt, future=future, workers=among)
        self._heard = time.monotonic()
        future.add_done_callback(self._ended.put)

    def ended(self) -> Iterator[tuple[Job, Result | Exception]]:
        """Wait a little; yield what ended, with its result or error.

        Raises:
            ClusterError: The scheduler was lost.
        """
        try:
            future = self._ended.get(timeout=LOOK_S)
        except queue.Empty:
            return
        flight = self._flights.pop(future.key, None)
        if flight is None:
            return  # given up before
        self._heard = time.monotonic()
        with cluster_errors(self._client):
            try:
                text, error = self._fetch(future)
            except TimeoutError:
                self._flights[future.key] = flight
                if future.done():
                    # Its worker hangs with the result: treated as a task that never ended.
                    flight.since = -math.inf
                else:
                    # The result went with its worker; Dask has it done again.
                    flight.worker = ""
                    future.add_done_callback(self._ended.put)
                return
        if isinstance(text, UncheckedWorker):
            self._returned.append((text.worker, flight))
        elif self._token and flight.attempt < ATTEMPTS and _not_begun(error):
            flight.attempt += 1
            self._returned.append(("", flight))
        else:
            yield flight.job, text

    def _fetch(self, future: Future[Any]) -> tuple[Any, BaseException | None]:
        """Return a result or error, and the error if the task could not be begun or sent.

        Raises:
            TimeoutError: Its worker hangs or was lost.
        """
        end, pause = time.monotonic() + self._fetch_s, min(LOOK_S, self._fetch_s)
        while True:
            try:
                error = future.exception(timeout=pause)
                text = future.result(timeout=pause) if error is None else _plain(error)
            except TimeoutError:
                if not future.done() or time.monotonic() > end:
                    raise
            else:
                return text, error

    def returned(self) -> Iterator[tuple[str, Attempt[Job]]]:
        """Yield what workers gave back unbegun, with the address of the worker if it is known."""
        while self._returned:
            yield self._returned.pop()

    def overdue(self, timeout_s: float) -> list[Attempt[Job]]:
        """Return the attempts that were begun longer ago than that, and have not ended."""
        before = time.monotonic() - timeout_s
        return [
            flight
            for flight in self._flights.values()
            if flight.worker
            and flight.since < before
            # One that has ended may not have been taken in as yet; or its result hangs.
            and (flight.since == -math.inf or not flight.future.done())
        ]

    def silent(self, timeout_s: float) -> set[str]:
        """Return workers that were given jobs and began none, while no other works either."""
        waiting = {key for key, flight in self._flights.items() if not flight.worker}
        if not waiting or self._heard > time.monotonic() - timeout_s:
            return set()
        self._heard = time.monotonic()
        with cluster_errors(self._client):
            given: dict[str, Iterable[Any]] = self._client.processing()
        return {worker for worker, keys in given.items() if not waiting.isdisjoint(keys)}

    def stranded(self, fit: Iterable[str] | None) -> list[Attempt[Job]]:
        """Return attempts that were given to lost workers alone."""
        if fit is None:
            return []
        there = set(fit)
        return [
            flight
            for flight in self._flights.values()
            if flight.workers is not None and there.isdisjoint(flight.workers)
        ]

    def stuck(self, workers: Iterable[str]) -> list[Attempt[Job]]:
        """Return the tasks that these workers have begun, and those that none has begun.

        A scheduler takes a thread for free as soon as its job is taken back.
        """
        named = {"", *workers}
        return [flight for flight in self._flights.values() if flight.worker in named]

    def drop(self, flights: Iterable[Attempt[Job]]) -> None:
        """Wait for these no more.

        Raises:
            ClusterError: The scheduler was lost.
        """
        dropped = [self._flights.pop(flight.future.key) for flight in flights]
        with cluster_errors(self._client):
            self._client.cancel([flight.future for flight in dropped], force=True)

    def __enter__(self) -> JobsInFlight[Job, Result]:
        """Return this."""
        return self

    def __exit__(self, *_: object) -> None:
        """Cancel all attempts; nothing is left where the scheduler is lost."""
        with suppress(ClusterError), cluster_errors(self._client):
            self.drop(list(self._flights.values()))
            self._client.unsubscribe_topic(self._topic)

    def _began(self, event: tuple[float, dict[str, str]]) -> None:
        flight = self._flights.get(event[1]["key"])
        if flight is not None:
            flight.worker, flight.since = event[1]["worker"], time.monotonic()
            self._heard = flight.since


def _attempt(
    task: Callable[[Job], Result], job: Job, sent: tuple[str, str]
) -> Result | Exception | UncheckedWorker:
    topic, token = sent
    worker = get_worker()
    if token and not has_met(token):
        # Another process has taken the address of one that was checked.
        return UncheckedWorker(worker=worker.address)
    worker.log_event(topic, {"key": worker.get_current_task(), "worker": worker.address})
    return result_or_error(partial(task, job))


def _not_begun(error: BaseException | None) -> bool:
    """Return whether a job could not be unpacked where it was sent."""
    return error is not None and not isinstance(error, KilledWorker)


def _plain(error: BaseException) -> Exception:
    return error if isinstance(error, Exception) else RuntimeError(repr(error))


def _left_over(record: logging.LogRecord) -> bool:
    """Leave out what Dask drops on the way: a result that went with its worker."""
    return not (record.exc_info and isinstance(record.exc_info[1], AllExit))
