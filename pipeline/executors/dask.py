"""Tasks on Dask: threads of this process, or the workers of a cluster."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from distributed import Client, Future, LocalCluster, WorkerPlugin, as_completed

from pipeline.errors import ConfigError
from pipeline.executors.executor import Executor, Job, Result

LOOPBACK = "127.0.0.1:0"
"""Any free port that only this machine reaches; Dask's own default is every interface."""
AHEAD = 2
"""Jobs a thread has waiting beside the one under way."""


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


class Dask:
    """Carries out jobs on a Dask cluster, a few ahead for each thread.

    A worker that dies loses nothing: its jobs are given to others, and what it had
    written already is found there.
    """

    def __init__(self, client: Client, *, cluster: LocalCluster | None = None) -> None:
        """Use a client; ``cluster`` is closed with it."""
        self._client = client
        self._cluster = cluster

    @classmethod
    def local(cls, *, threads: int) -> Dask:
        """Return an executor on threads of this process; Dask's status pages are on loopback."""
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
        return cls(Client(cluster), cluster=cluster)

    @classmethod
    def connect(cls, address: str, *, setup: Callable[[], None], timeout_s: float = 20) -> Dask:
        """Return an executor on an existing cluster.

        Args:
            address: The scheduler's, such as ``tcp://host:8786``.
            setup: Run once in every worker before its first job.
            timeout_s: How long to wait for the scheduler and its first worker.

        Raises:
            ConfigError: Nobody answers there, or no worker joins.
        """
        try:
            client = Client(address, timeout=timeout_s)
        except (OSError, ValueError, TimeoutError) as error:
            raise ConfigError(
                f"--executor {address}: no Dask scheduler answers there ({error}); "
                "start one with `dask scheduler`, or use --executor local"
            ) from error
        try:
            client.wait_for_workers(1, timeout=timeout_s)
        except TimeoutError as error:
            client.close()
            raise ConfigError(
                f"--executor {address}: the scheduler has no workers; "
                f"start some with `dask worker {address}`"
            ) from error
        client.register_plugin(Setup(setup))
        return cls(client)

    def run(
        self, task: Callable[[Job], Result], jobs: Iterable[Job]
    ) -> Iterator[tuple[Job, Result | Exception]]:
        """Yield each job with its result or error, as they end."""
        waiting = iter(jobs)
        jobs_of: dict[Future[Any], Job] = {}
        ended = as_completed()

        def submit() -> bool:
            for job in waiting:
                future = self._client.submit(_attempt, task, job, pure=False)
                jobs_of[future] = job
                ended.add(future)
                return True
            return False

        try:
            while len(jobs_of) < self._room() and submit():
                pass
            for future in ended:
                job = jobs_of.pop(future)
                error = future.exception()
                outcome: Result | Exception = future.result() if error is None else _plain(error)
                while len(jobs_of) < self._room() and submit():
                    pass
                yield job, outcome
        finally:
            self._client.cancel(list(jobs_of), force=True)

    def everywhere(self, task: Callable[[], Result]) -> list[Result]:
        """Return what a task gives in each worker."""
        return list(self._client.run(task).values())

    def close(self) -> None:
        """Leave the cluster; a cluster of our own ends."""
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()

    def _room(self) -> int:
        threads = sum(self._client.nthreads().values()) if self._cluster is None else 0
        if self._cluster is not None:
            threads = sum(worker.state.nthreads for worker in self._cluster.workers.values())
        return max(1, threads) * (1 + AHEAD)


def _attempt(task: Callable[[Job], Result], job: Job) -> Result | Exception:
    # An error that is returned is not logged by the worker as its own failure.
    try:
        return task(job)
    except Exception as error:  # noqa: BLE001 - whatever a task raises is its outcome
        return error


def _plain(error: BaseException) -> Exception:
    return error if isinstance(error, Exception) else RuntimeError(repr(error))


_: type[Executor] = Dask
