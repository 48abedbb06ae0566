"""Jobs under way on a Dask cluster: who does which since when, and what has ended."""

from __future__ import annotations

import logging
import math
import queue
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic

from distributed import Client, Future, get_worker
from distributed.client import AllExit

from pipeline.executors.executor import Job, Result

LOOK_S = 1.0
"""How long nothing may end before it is looked what takes too long."""
FETCH_S = 30.0
"""How long a result may take to come from who has it: a few hundred bytes."""


@dataclass(eq=False, slots=True, kw_only=True)
class Flight(Generic[Job]):
    """One attempt at a job."""

    job: Job
    """What is done."""
    attempt: int
    """The first is 1."""
    future: Future[Any]
    """Dask's."""
    worker: str = ""
    """Who began it; nobody yet if empty."""
    since: float = 0.0
    """When that was heard of, on our own clock."""
    workers: frozenset[str] | None = None
    """Who may do it; anybody if None."""


class Flights(Generic[Job, Result]):
    """Jobs that were given out and have not come back."""

    def __init__(
        self, client: Client, task: Callable[[Job], Result], *, fetch_s: float | None = None
    ) -> None:
        """Give out jobs of one task through a client.

        Args:
            client: Dask's.
            task: What is done.
            fetch_s: How long a result may take to come before its job is overdue.
        """
        logging.getLogger("asyncio").addFilter(_left_over)
        self._client = client
        self._fetch_s = fetch_s
        self._task = task
        self._topic = f"overtile-{uuid.uuid4().hex}"
        self._flights: dict[Any, Flight[Job]] = {}
        self._ended: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
        self._heard = time.monotonic()
        # Workers tell the scheduler that they begin, and the scheduler tells us.
        client.subscribe_topic(self._topic, self._began)

    def __len__(self) -> int:
        """Return how many jobs are under way or waiting."""
        return len(self._flights)

    def begin(self, job: Job, *, workers: list[str] | None, attempt: int = 1) -> None:
        """Give a job out, to one of ``workers`` if they are named."""
        future = self._client.submit(
            _attempt, self._task, job, self._topic, pure=False, workers=workers
        )
        among = None if workers is None else frozenset(workers)
        self._flights[future.key] = Flight(job=job, attempt=attempt, future=future, workers=among)
        self._heard = time.monotonic()
        future.add_done_callback(self._ended.put)

    def ended(self) -> Iterator[tuple[Job, Result | Exception]]:
        """Wait a little; yield what ended, with its result or error."""
        try:
            future = self._ended.get(timeout=LOOK_S)
        except queue.Empty:
            return
        flight = self._flights.pop(future.key, None)
        if flight is None:
            return  # given up before
        self._heard = time.monotonic()
        error = future.exception()
        try:
            told: Result | Exception = (
                future.result(timeout=self._fetch_s) if error is None else _plain(error)
            )
        except TimeoutError:
            # Who did it hangs with the result: as late as what never ended.
            flight.since = -math.inf
            self._flights[future.key] = flight
            return
        yield flight.job, told

    def overdue(self, timeout_s: float) -> list[Flight[Job]]:
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
        """Return who was given jobs, has begun none, and stands still with all others."""
        waiting = {key for key, flight in self._flights.items() if not flight.worker}
        if not waiting or self._heard > time.monotonic() - timeout_s:
            return set()
        self._heard = time.monotonic()
        given: dict[str, Iterable[Any]] = self._client.processing()
        return {worker for worker, keys in given.items() if not waiting.isdisjoint(keys)}

    def stranded(self, fit: Iterable[str]) -> list[Flight[Job]]:
        """Return what was given to workers that are all gone."""
        there = set(fit)
        return [
            flight
            for flight in self._flights.values()
            if flight.workers is not None and there.isdisjoint(flight.workers)
        ]

    def stuck(self, workers: Iterable[str]) -> list[Flight[Job]]:
        """Return what these workers have begun, and what nobody has: it may wait for them.

        A scheduler takes a thread for free as soon as its job is taken back.
        """
        named = {"", *workers}
        return [flight for flight in self._flights.values() if flight.worker in named]

    def drop(self, flights: Iterable[Flight[Job]]) -> None:
        """Wait for these no more."""
        dropped = [self._flights.pop(flight.future.key) for flight in flights]
        self._client.cancel([flight.future for flight in dropped], force=True)

    def __enter__(self) -> Flights[Job, Result]:
        """Return this."""
        return self

    def __exit__(self, *_: object) -> None:
        """Take back what has not ended."""
        self.drop(list(self._flights.values()))
        self._client.unsubscribe_topic(self._topic)

    def _began(self, event: tuple[float, dict[str, str]]) -> None:
        flight = self._flights.get(event[1]["key"])
        if flight is not None:
            flight.worker, flight.since = event[1]["worker"], time.monotonic()
            self._heard = flight.since


def _attempt(task: Callable[[Job], Result], job: Job, topic: str) -> Result | Exception:
    worker = get_worker()
    worker.log_event(topic, {"key": worker.get_current_task(), "worker": worker.address})
    return outcome(partial(task, job))


def outcome(task: Callable[[], Result]) -> Result | Exception:
    """Return what a task gives, or its error: a worker logs no failure of its own then."""
    try:
        return task()
    except Exception as error:  # noqa: BLE001 - whatever a task raises is its outcome
        return error


def _plain(error: BaseException) -> Exception:
    return error if isinstance(error, Exception) else RuntimeError(repr(error))


def _left_over(record: logging.LogRecord) -> bool:
    """Leave out what Dask drops on the way: a result that went with its worker."""
    return not (record.exc_info and isinstance(record.exc_info[1], AllExit))
