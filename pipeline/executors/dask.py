"""Tasks on Dask: threads of this process, or the workers of a cluster."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice

from distributed import Client

from pipeline.core.redaction import redact
from pipeline.errors import ClusterError, ConfigError, PipelineError
from pipeline.executors.ask import FETCH_S, call_on_workers
from pipeline.executors.connection import close_client, cluster_errors, silence_dask_logs
from pipeline.executors.executor import Conditions, Executor, Job, Result
from pipeline.executors.in_flight import ATTEMPTS, LOOK_S, Attempt, JobsInFlight
from pipeline.executors.tls import security_for
from pipeline.executors.workers import ClusterWorkers

Reporter = Callable[[str], None]
_log = logging.getLogger(__name__)
AHEAD = 2
"""Jobs a thread has waiting beside the one under way."""
READY_S = 120.0
"""Longest set-up of a worker before its first job, such as loading a model, in seconds."""


class Dask:
    """Carries out jobs on a Dask cluster, a few ahead for each thread.

    A worker that dies loses nothing: its jobs are given to others, and what it had
    written already is found there. One that hangs is left out (its nanny, if it has one,
    starts it again), and what it was at is tried once more elsewhere.
    """

    def __init__(
        self,
        client: Client,
        *,
        timeout_s: float | None = None,
        ready_s: float = READY_S,
        report: Reporter = _log.warning,
    ) -> None:
        """Use a client.

        Args:
            client: Of the cluster.
            timeout_s: How long a job may take from when a worker begins it.
            ready_s: How long a worker may take to do what all do.
            report: Takes a line for each worker that is refused, and for each wait.
        """
        self._client = client
        self._timeout_s = timeout_s
        self._ready_s = ready_s
        self._workers = ClusterWorkers(client, ready_s=ready_s, report=report)

    @classmethod
    def connect(
        cls,
        address: str,
        *,
        setup: Callable[[], None],
        connect_s: float = 20,
        timeout_s: float | None = None,
        report: Reporter = _log.warning,
    ) -> Dask:
        """Return an executor on an existing cluster.

        Args:
            address: The scheduler's, such as ``tcp://host:8786`` or ``tls://host:8786``.
            setup: Run once in every worker before its first job.
            connect_s: How long to wait for the scheduler and its first worker.
            timeout_s: How long a job may take from when a worker begins it.
            report: Takes a line for each worker that is refused, and for each wait.

        Raises:
            ConfigError: There is no scheduler, no worker joins, one has other versions, or a
                certificate is refused.
            ClusterError: The scheduler ended meanwhile.
        """
        silence_dask_logs()
        security, shown = security_for(address), redact(address)
        try:
            client = Client(address, timeout=connect_s, security=security)
        except (OSError, ValueError, TimeoutError) as error:
            raise ConfigError(
                f"--executor {shown}: no Dask scheduler responds there ({redact(str(error))}); "
                "start one with `dask scheduler` (one with TLS is at tls://...), "
                "or use --executor local"
            ) from error
        executor = cls(client, timeout_s=timeout_s, report=report)
        try:
            executor._begin(shown, setup, connect_s=connect_s)
        except BaseException:
            executor.close()
            raise
        return executor

    def _begin(self, shown: str, setup: Callable[[], None], *, connect_s: float) -> None:
        """Wait for a worker, and set up all that are there.

        Raises:
            ConfigError: None joins, or one has other versions; nothing ran.
            ClusterError: The scheduler was lost.
        """
        with cluster_errors(self._client):
            try:
                self._client.wait_for_workers(1, timeout=connect_s)
            except TimeoutError as error:
                raise ConfigError(
                    f"--executor {shown}: the scheduler has no workers; "
                    f"start some with `dask worker {shown}`"
                ) from error
        refused = self._workers.require(Conditions(check=partial(_set_up, setup)), strict=True)
        if refused:
            text = "; ".join(f"{name}: {why}" for name, why in sorted(refused.items()))
            raise ConfigError(
                f"workers cannot do this run: {text}; start all with this version of Overtile "
                "and of its packages"
            )

    def require(self, conditions: Conditions) -> None:
        """Give jobs only to workers that meet conditions, those that join later included.

        Raises:
            ClusterError: The scheduler was lost.
        """
        self._workers.require(conditions)

    def run(
        self, task: Callable[[Job], Result], jobs: Iterable[Job]
    ) -> Iterator[tuple[Job, Result | Exception]]:
        """Yield each job with its result or error, as they end.

        Raises:
            ClusterError: The scheduler was lost, or no worker is left that takes jobs.
        """
        waiting, looked = iter(jobs), time.monotonic()
        fetch_s = FETCH_S if self._timeout_s is None else min(FETCH_S, self._timeout_s)
        token = self._workers.token
        with JobsInFlight(self._client, task, token=token, fetch_s=fetch_s) as flights:
            while True:
                while len(flights) < self._room():
                    following = list(islice(waiting, 1))
                    if not following:
                        break
                    flights.begin(following[0], workers=self._workers.fit())
                if not len(flights):
                    return
                yield from flights.ended()
                if time.monotonic() - looked > LOOK_S / (10 if self._workers.checking else 2):
                    self._workers.look()
                    yield from self._overdue(flights)
                    looked = time.monotonic()
                for worker, flight in flights.returned():
                    self._workers.recheck(worker)
                    flights.begin(flight.job, workers=self._workers.fit(), attempt=flight.attempt)

    def _overdue(self, flights: JobsInFlight[Job, Result]) -> Iterator[tuple[Job, Exception]]:
        """Begin again elsewhere what takes too long; yield what did so too often.

        Raises:
            ClusterError: No worker is left.
        """
        hanging: set[str] = set()
        late: list[Attempt[Job]] = []
        if self._timeout_s is not None:
            late = flights.overdue(self._timeout_s)
            hanging = {flight.worker for flight in late} | flights.silent(self._timeout_s)
        given_up = [flight for flight in late if flight.attempt >= ATTEMPTS]
        if hanging:
            again = [flight for flight in flights.stuck(hanging) if flight not in given_up]
        else:
            again = flights.stranded(self._workers.fit())
        flights.drop([*given_up, *again])
        for worker in sorted(hanging):
            self._workers.leave(worker)
        for flight in again:
            attempt = flight.attempt + (flight in late)
            flights.begin(flight.job, workers=self._workers.fit(), attempt=attempt)
        for flight in given_up:
            text = f"no end after {self._timeout_s:g} s, tried {ATTEMPTS} times; see --tile-timeout"
            yield flight.job, PipelineError(text)

    def everywhere(self, task: Callable[[], Result]) -> list[Result]:
        """Return a task's result in each worker that responds; others get no jobs.

        Raises:
            ClusterError: No worker responds, or the scheduler is gone.
            Exception: The task's own.
        """
        self._workers.look()
        workers = self._workers.fit() or sorted(self._workers.takers())
        with cluster_errors(self._client):
            answers, silent = call_on_workers(self._client, task, workers, within_s=self._ready_s)
        for worker in silent:
            self._workers.leave(worker)
        if not answers:
            raise ClusterError(
                f"none of {len(silent)} workers answered within {self._ready_s:g} s; look why they "
                "hang or end, then run the same command again"
            )
        return answers

    def close(self) -> None:
        """Leave the cluster."""
        close_client(self._client)

    def _room(self) -> int:
        """Return how many jobs may be under way: one a thread, and some ahead."""
        return max(1, sum(self._workers.takers().values())) * (1 + AHEAD)


def _set_up(setup: Callable[[], None]) -> str:
    setup()
    return ""


_: type[Executor] = Dask
