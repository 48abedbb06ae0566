"""Tasks on Dask: threads of this process, or the workers of a cluster."""

from __future__ import annotations

import logging
import threading
import time
from asyncio import CancelledError
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice

from distributed import Client, LocalCluster

from pipeline.core.redaction import redact
from pipeline.errors import ConfigError, PipelineError
from pipeline.executors.ask import Setup, ask
from pipeline.executors.executor import Executor, Job, Result
from pipeline.executors.flights import FETCH_S, LOOK_S, Flights
from pipeline.executors.tls import security_for

LOOPBACK = "127.0.0.1:0"
"""Any free port that only this machine reaches; Dask's own default is every interface."""
AHEAD = 2
"""Jobs a thread has waiting beside the one under way."""
ATTEMPTS = 2
"""How often a job is begun that takes longer than it may."""
RESTART_S = 180
"""How long a worker may take to start again, or a new one to join."""
READY_S = 120.0
"""How long a worker may take over what all do before the first job: loading a model, say."""


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
        cluster: LocalCluster | None = None,
        timeout_s: float | None = None,
        ready_s: float = READY_S,
    ) -> None:
        """Use a client.

        Args:
            client: Of the cluster.
            cluster: Of our own, closed with the client.
            timeout_s: How long a job may take from when a worker begins it.
            ready_s: How long a worker may take to do what all do.
        """
        self._client = client
        self._cluster = cluster
        self._timeout_s = timeout_s
        self._ready_s = ready_s
        self._left: set[str] = set()

    @classmethod
    def local(cls, *, threads: int, timeout_s: float | None = None) -> Dask:
        """Return an executor on threads of this process; Dask's status pages are on loopback.

        A thread that hangs cannot be ended: new ones take its place.
        """
        logging.getLogger("distributed").setLevel(logging.ERROR)
        cluster = LocalCluster(
            n_workers=1,
            threads_per_worker=threads,
            processes=False,
            protocol="inproc://",
            dashboard_address=LOOPBACK,
            worker_dashboard_address=LOOPBACK,
            memory_limit=0,
        )
        return cls(Client(cluster), cluster=cluster, timeout_s=timeout_s)

    @classmethod
    def connect(
        cls,
        address: str,
        *,
        setup: Callable[[], None],
        connect_s: float = 20,
        timeout_s: float | None = None,
    ) -> Dask:
        """Return an executor on an existing cluster.

        Args:
            address: The scheduler's, such as ``tcp://host:8786`` or ``tls://host:8786``.
            setup: Run once in every worker before its first job.
            connect_s: How long to wait for the scheduler and its first worker.
            timeout_s: How long a job may take from when a worker begins it.

        Raises:
            ConfigError: Nobody answers there, no worker joins, or a certificate is refused.
        """
        security, shown = security_for(address), redact(address)
        try:
            client = Client(address, timeout=connect_s, security=security)
        except (OSError, ValueError, TimeoutError) as error:
            raise ConfigError(
                f"--executor {shown}: no Dask scheduler answers there ({redact(str(error))}); "
                "start one with `dask scheduler` (one that speaks TLS is at tls://...), "
                "or use --executor local"
            ) from error
        try:
            client.wait_for_workers(1, timeout=connect_s)
        except TimeoutError as error:
            client.close()
            raise ConfigError(
                f"--executor {shown}: the scheduler has no workers; "
                f"start some with `dask worker {shown}`"
            ) from error
        try:
            client.register_plugin(Setup(setup))
        except OSError as error:  # Dask's CommClosedError is one
            client.close()
            raise ConfigError(
                f"--executor {shown}: a worker was lost while the run began "
                f"({redact(str(error))}); run the same command again"
            ) from error
        return cls(client, timeout_s=timeout_s)

    def run(
        self, task: Callable[[Job], Result], jobs: Iterable[Job]
    ) -> Iterator[tuple[Job, Result | Exception]]:
        """Yield each job with its result or error, as they end."""
        waiting, looked = iter(jobs), time.monotonic()
        fetch_s = None if self._timeout_s is None else min(FETCH_S, self._timeout_s)
        with Flights(self._client, task, fetch_s=fetch_s) as flights:
            while True:
                while len(flights) < self._room():
                    following = list(islice(waiting, 1))
                    if not following:
                        break
                    flights.begin(following[0], workers=self._fit())
                if not len(flights):
                    return
                yield from flights.ended()
                if self._timeout_s is not None and time.monotonic() - looked > LOOK_S / 2:
                    yield from self._overdue(flights, self._timeout_s)
                    looked = time.monotonic()

    def _overdue(
        self, flights: Flights[Job, Result], timeout_s: float
    ) -> Iterator[tuple[Job, Exception]]:
        """Begin again elsewhere what takes too long; yield what did so too often.

        Raises:
            PipelineError: No worker is left.
        """
        overdue = flights.overdue(timeout_s)
        hanging = {flight.worker for flight in overdue} | flights.silent(timeout_s)
        given_up = [flight for flight in overdue if flight.attempt >= ATTEMPTS]
        again = [flight for flight in flights.stuck(hanging) if flight not in given_up]
        if not hanging:
            again = flights.stranded(self._fit() or []) if self._left else []
        flights.drop([*given_up, *again])
        for worker in sorted(hanging):
            self._leave(worker)
        for flight in again:
            late = flight in overdue
            flights.begin(flight.job, workers=self._fit(), attempt=flight.attempt + late)
        for flight in given_up:
            told = f"no end after {timeout_s:g} s, tried {ATTEMPTS} times; see --tile-timeout"
            yield flight.job, PipelineError(told)

    def _leave(self, worker: str) -> None:
        """Give no more jobs to a worker; have another in its place if possible."""
        self._left.add(worker)
        if self._cluster is not None:
            count = len(self._cluster.workers) + 1
            self._cluster.scale(count)
            self._client.wait_for_workers(count, timeout=RESTART_S)
            return
        # The others go on meanwhile.
        threading.Thread(target=self._restart, args=(worker,), daemon=True).start()

    def _restart(self, worker: str) -> None:
        # It may have no nanny, or be gone.
        with suppress(LookupError, ValueError, OSError, RuntimeError, CancelledError):
            self._client.restart_workers([worker], timeout=RESTART_S, raise_for_error=False)

    def _fit(self) -> list[str] | None:
        """Return the workers that take jobs; None for all.

        Raises:
            PipelineError: There is none.
        """
        if not self._left:
            return None
        end = time.monotonic() + RESTART_S
        while not (fit := sorted(self._there() - self._left)) and time.monotonic() < end:
            time.sleep(LOOK_S)  # until a nanny has started another
        if not fit:
            raise PipelineError(
                f"all {len(self._left)} workers hang; start others (`dask worker` with its nanny "
                "starts again by itself), then run the same command again"
            )
        return fit

    def _there(self) -> set[str]:
        return set(self._client.scheduler_info(n_workers=-1)["workers"])

    def everywhere(self, task: Callable[[], Result]) -> list[Result]:
        """Return what a task gives in each worker that answers; others get no jobs.

        Raises:
            PipelineError: None answers.
            Exception: The task's own.
        """
        workers = self._fit() or sorted(self._there())
        answers, silent = ask(self._client, task, workers, within_s=self._ready_s)
        for worker in silent:
            self._leave(worker)
        if not answers:
            raise PipelineError(
                f"none of {len(silent)} workers answered within {self._ready_s:g} s; look why they "
                "hang or end, then run the same command again"
            )
        return answers

    def close(self) -> None:
        """Leave the cluster; a cluster of our own ends."""
        self._client.close()
        if self._cluster is not None:
            # Threads that hang are not waited for; the process ends without them.
            with suppress(TimeoutError):
                self._cluster.close(timeout=2 if self._left else None)

    def _room(self) -> int:
        if self._cluster is None:
            counts = self._client.nthreads()
        else:
            counts = {w.address: w.state.nthreads for w in self._cluster.workers.values()}
        threads: int = sum(count for worker, count in counts.items() if worker not in self._left)
        return max(1, threads) * (1 + AHEAD)


_: type[Executor] = Dask
