"""Admission of workers: each is checked before its first job, late ones as well."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from distributed import Client, Future, KilledWorker

from pipeline.executors.ask import FETCH_S, result_or_error
from pipeline.executors.environment import differences, environment
from pipeline.executors.executor import Conditions

_CALL = "exec(source) or environment()"
"""Evaluated in the worker; `exec` returns None."""
_met: set[str] = set()
"""Tokens of the conditions that this process has met, where it is a worker."""


def meets(conditions: Conditions) -> str:
    """Check conditions in a worker; return what does not fit, nothing if all does."""
    text = conditions.check()
    if not text:
        _met.add(conditions.token)
    return text


def has_met(token: str) -> bool:
    """Return whether this process was checked against the conditions of a token."""
    return token in _met


@dataclass(eq=False, slots=True, kw_only=True)
class _Worker:
    """A worker that is checked, or was."""

    identity: str
    """Differs where another process has taken its address."""
    name: str
    """For people."""
    since: float
    """When the check began, on our own clock."""
    future: Future[Any] | None
    """The check under way."""
    sent: bool = False
    """Whether the conditions were sent: its versions fit."""
    refusal: str = ""
    """Why it takes no jobs."""


class Admission:
    """Checks the workers of a cluster against conditions, without waiting for slow ones.

    First their versions, by a script that any Python runs; then the conditions, which need
    this version of Overtile.
    """

    def __init__(
        self,
        client: Client,
        conditions: Conditions,
        *,
        within_s: float,
        report: Callable[[str], None],
    ) -> None:
        """Begin with no worker.

        Args:
            client: Dask's.
            conditions: What workers must meet.
            within_s: How long a check may take.
            report: Takes a line for each worker that is refused.
        """
        self.token = conditions.token
        self.silent: set[str] = set()
        """Addresses of workers whose check did not end in time; the caller empties it."""
        self._client = client
        self._conditions = conditions
        self._within_s = within_s
        self.report = report
        self._workers: dict[str, _Worker] = {}

    @property
    def admitted(self) -> frozenset[str]:
        """Addresses of the workers that take jobs."""
        return frozenset(a for a, w in self._workers.items() if w.future is None and not w.refusal)

    @property
    def pending(self) -> bool:
        """Whether a check is under way."""
        return any(worker.future is not None for worker in self._workers.values())

    @property
    def refusals(self) -> dict[str, str]:
        """Why workers take no jobs, by name."""
        return {worker.name: worker.refusal for worker in self._workers.values() if worker.refusal}

    def look(self, workers: Mapping[str, Mapping[str, Any]]) -> None:
        """Begin checks of new workers, and take in the results of those that have ended.

        Args:
            workers: What the scheduler knows of each, by address.
        """
        for address in self._workers.keys() - workers.keys():
            self.forget(address)
        for address, known in workers.items():
            # Each process has a folder of its own.
            identity = str(known.get("local_directory"))
            worker = self._workers.get(address)
            if worker is not None and worker.identity != identity:
                self.forget(address)
                worker = None
            if worker is None:
                self._workers[address] = self._begin(address, identity, str(known.get("name")))
            elif worker.future is not None:
                self._take(address, worker, worker.future)

    def forget(self, address: str) -> None:
        """Have a worker checked anew, should it be there."""
        worker = self._workers.pop(address, None)
        if worker is not None and worker.future is not None:
            worker.future.cancel(force=True)

    def _begin(self, address: str, identity: str, name: str) -> _Worker:
        future = self._client.submit(
            eval, _CALL, {"source": _script()}, pure=False, workers=[address]
        )
        shown = address if name == address else f"{address} ({name})"
        return _Worker(identity=identity, name=shown, since=time.monotonic(), future=future)

    def _take(self, address: str, worker: _Worker, future: Future[Any]) -> None:
        """Take in a check that has ended, or that takes too long."""
        if not future.done():
            if time.monotonic() - worker.since > self._within_s:
                self._silence(address)
            return
        try:
            answer = future.result(timeout=FETCH_S)
        except (CancelledError, KilledWorker, TimeoutError):
            self._silence(address)
            return
        except Exception as error:  # noqa: BLE001 - whatever a strange worker raises
            self._refuse(worker, f"its check failed: {error!r}")
            return
        if not worker.sent:
            text = differences(answer, dict(_here()))
            if text:
                self._refuse(worker, text)
                return
            worker.sent = True
            worker.future = self._client.submit(
                result_or_error, meets, self._conditions, pure=False, workers=[address]
            )
        elif answer:
            self._refuse(worker, str(answer))
        else:
            worker.future = None

    def _refuse(self, worker: _Worker, reason: str) -> None:
        worker.future, worker.refusal = None, reason
        self.report(f"worker {worker.name} takes no tiles: {reason}; start it like the others")

    def _silence(self, address: str) -> None:
        self.forget(address)
        self.silent.add(address)


@cache
def _script() -> str:
    return files("pipeline.executors").joinpath("environment.py").read_text("utf-8")


@cache
def _here() -> tuple[tuple[str, str], ...]:
    return tuple(environment().items())
