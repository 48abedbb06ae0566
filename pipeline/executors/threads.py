"""Tasks on threads of this process: one is predicted while others are read, traced or written."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic

from pipeline.errors import PipelineError, interrupted
from pipeline.executors.executor import Conditions, Executor, Job, Result

ATTEMPTS = 2
"""How often a job is begun that takes longer than it may."""
AHEAD = 2
"""Jobs that wait for each thread, so that it never waits for them."""
LOOK_S = 1.0
"""Longest time between two looks at what takes too long."""
LEAVE_S = 2.0
"""How long threads are waited for at the end where one of them hangs."""


@dataclass(eq=False, slots=True)
class _Attempt(Generic[Job]):
    """One attempt at a job."""

    job: Job
    number: int
    """The first is 1."""
    since: float | None = None
    """When a thread began it; None: it waits."""
    given_up: bool = False
    """Its thread hangs, and has been replaced."""


class Threads:
    """Carries out jobs on threads; one that hangs cannot be ended: a new one takes its place."""

    def __init__(self, *, threads: int, timeout_s: float | None = None) -> None:
        """Start the threads.

        Args:
            threads: Jobs under way at once.
            timeout_s: How long a job may take; None: for ever.
        """
        self._count, self._timeout_s = threads, timeout_s
        self._waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._hanging = 0
        for _ in range(threads):
            self._start()

    def run(
        self, task: Callable[[Job], Result], jobs: Iterable[Job]
    ) -> Iterator[tuple[Job, Result | Exception]]:
        """Yield each job with its result or error, as they end."""
        left, under_way = iter(jobs), set[_Attempt[Job]]()
        ended: queue.SimpleQueue[tuple[_Attempt[Job], Any]] = queue.SimpleQueue()

        def begin(job: Job, number: int = 1) -> None:
            attempt = _Attempt(job, number)
            under_way.add(attempt)
            self._waiting.put((attempt, task, ended))

        try:
            while True:
                for job in islice(left, self._count * (1 + AHEAD) - len(under_way)):
                    begin(job)
                if not under_way:
                    return
                try:
                    attempt, outcome = ended.get(timeout=LOOK_S)
                except queue.Empty:
                    yield from self._late(under_way, begin)
                    continue
                if attempt in under_way:  # not given up before
                    under_way.remove(attempt)
                    _raise_interrupt(outcome)
                    yield attempt.job, outcome
        finally:
            for attempt in under_way:
                attempt.given_up = True  # one that waits is not begun

    def everywhere(self, task: Callable[[], Result]) -> list[Result]:
        """Return what a task gives in this process."""
        return [task()]

    def require(self, conditions: Conditions) -> None:
        """Do nothing: the process that plans is the one that works."""

    def close(self) -> None:
        """End the threads once they have ended what is under way; those that hang are left."""
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join(LEAVE_S if self._hanging else None)

    def _start(self) -> None:
        # Daemons: the process ends without those that hang.
        thread = threading.Thread(target=_work, args=(self._waiting,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _late(
        self, under_way: set[_Attempt[Job]], begin: Callable[[Job, int], None]
    ) -> Iterator[tuple[Job, Exception]]:
        """Begin again what takes too long; yield what did so too often."""
        for late in self._overdue(under_way):
            under_way.remove(late)
            if late.number < ATTEMPTS:
                begin(late.job, late.number + 1)
                continue
            text = f"no end after {self._timeout_s:g} s, tried {ATTEMPTS} times; see --tile-timeout"
            yield late.job, PipelineError(text)

    def _overdue(self, under_way: Iterable[_Attempt[Job]]) -> list[_Attempt[Job]]:
        """Return the attempts that take too long; their threads are replaced."""
        if self._timeout_s is None:
            return []
        before = time.monotonic() - self._timeout_s
        late = [one for one in under_way if one.since is not None and one.since < before]
        for attempt in late:
            attempt.given_up = True
            self._hanging += 1
            self._start()
        return late


def _raise_interrupt(outcome: object) -> None:
    """Raise what is no fault of a job: a signal to stop, the interpreter's end."""
    if isinstance(outcome, BaseException) and (
        interrupted(outcome) or not isinstance(outcome, Exception)
    ):
        raise outcome


def _work(waiting: queue.SimpleQueue[Any]) -> None:
    """Carry out jobs until there is None, or one has been given up meanwhile."""
    while (given := waiting.get()) is not None:
        attempt, task, ended = given
        if attempt.given_up:
            continue
        attempt.since = time.monotonic()
        try:
            outcome = task(attempt.job)
        except BaseException as error:  # noqa: BLE001 - whatever a task raises
            outcome = error
        if attempt.given_up:
            return  # another thread has its place
        ended.put((attempt, outcome))
        del given, attempt, task, ended, outcome


_: type[Executor] = Threads
