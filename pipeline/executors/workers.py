"""Workers that take jobs: threads of this process, or the workers of a cluster."""

from __future__ import annotations

import threading
import time
from asyncio import CancelledError
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from distributed import Client

from pipeline.errors import ClusterError
from pipeline.executors.admission import Admission
from pipeline.executors.connection import cluster_errors, workers_of
from pipeline.executors.executor import Conditions
from pipeline.executors.in_flight import LOOK_S

RESTART_S = 180.0
"""How long a worker that hung may take to start again."""
JOIN_S = 60.0
"""How long another worker may take to join where none is left."""
_PAUSE_S = 0.05


class ClusterWorkers:
    """Workers of a cluster that have met conditions, if there are any."""

    def __init__(
        self,
        client: Client,
        *,
        ready_s: float,
        join_s: float = JOIN_S,
        report: Callable[[str], None],
    ) -> None:
        """Query the cluster when it is first needed.

        Args:
            client: Dask's.
            ready_s: How long a worker may take to be checked.
            join_s: How long another one may take to join where none is left.
            report: Takes a line for each worker that is refused, and for each wait.
        """
        self._client = client
        self._ready_s = ready_s
        self._join_s = join_s
        self._report = report
        self._admission: Admission | None = None
        self._known: dict[str, dict[str, Any]] = {}
        self._left: dict[str, str] = {}

    @property
    def token(self) -> str:
        """Token of the conditions that they have met; empty: there are none."""
        return "" if self._admission is None else self._admission.token

    @property
    def left(self) -> bool:
        """Whether one was left out."""
        return bool(self._left)

    @property
    def checking(self) -> bool:
        """Whether one is being checked."""
        return self._admission is not None and self._admission.pending

    def require(self, conditions: Conditions, *, strict: bool = False) -> dict[str, str]:
        """Check the workers that are there, and later ones as they join.

        Args:
            conditions: What they must meet.
            strict: Leave it to the caller to report refusals.

        Returns:
            Why workers were refused, by name.

        Raises:
            ClusterError: The scheduler was lost.
        """
        admission = Admission(
            self._client,
            conditions,
            within_s=self._ready_s,
            report=(lambda _: None) if strict else self._report,
        )
        self._admission = admission
        self.look()
        while admission.pending:
            time.sleep(_PAUSE_S)
            self.look()
        admission.report = self._report
        return admission.refusals

    def look(self) -> None:
        """Update the workers that joined or left, and go on checking new ones.

        Raises:
            ClusterError: The scheduler was lost.
        """
        self._known = workers_of(self._client)
        for worker, folder in list(self._left.items()):
            # Another process at the address of one that hung is another worker.
            if worker in self._known and folder != _folder(self._known[worker]):
                del self._left[worker]
        if self._admission is not None:
            there = {w: known for w, known in self._known.items() if w not in self._left}
            with cluster_errors(self._client):
                self._admission.look(there)
            while self._admission.silent:
                self.leave(self._admission.silent.pop())

    def takers(self) -> dict[str, int]:
        """Return the threads of each worker that takes jobs, by address."""
        if not self._known:
            self.look()
        admitted = self._known.keys() if self._admission is None else self._admission.admitted
        return {
            worker: int(known["nthreads"])
            for worker, known in self._known.items()
            if worker in admitted and worker not in self._left
        }

    def fit(self) -> list[str] | None:
        """Return the workers that take jobs; None for all. Waits where there is none.

        Raises:
            ClusterError: None is left, and none joined in time.
        """
        if self._admission is None and not self._left:
            return None
        return sorted(self.takers()) or self._joined()

    def _joined(self) -> list[str]:
        """Wait for a worker that takes jobs."""
        wait_s = RESTART_S if self._left else self._join_s
        end, text = time.monotonic() + wait_s, False
        while True:
            self.look()
            if fit := self.takers():
                return sorted(fit)
            if self.checking:
                time.sleep(_PAUSE_S)
                continue
            if time.monotonic() > end:
                raise ClusterError(
                    f"{self._shortage()}; no data was lost: start others (`dask worker` with its "
                    "nanny starts again by itself), then run the same command to go on"
                )
            if not text:
                self._report(f"{self._shortage()}; waiting up to {wait_s:g} s for another to join")
                text = True
            time.sleep(LOOK_S)

    def leave(self, worker: str) -> None:
        """Give no more jobs to a worker, and have its nanny start another if it has one."""
        self._left[worker] = _folder(self._known.get(worker, {}))
        # The others go on meanwhile.
        threading.Thread(target=self._restart, args=(worker,), daemon=True).start()

    def recheck(self, worker: str) -> None:
        """Check a worker anew, or all if none is named."""
        if self._admission is not None:
            for one in [worker] if worker else self._admission.admitted:
                self._admission.forget(one)

    def _restart(self, worker: str) -> None:
        # It may have no nanny, or have ended.
        with suppress(LookupError, ValueError, OSError, RuntimeError, CancelledError):
            self._client.restart_workers([worker], timeout=RESTART_S, raise_for_error=False)

    def _shortage(self) -> str:
        """Return why no worker takes jobs."""
        refused = {} if self._admission is None else self._admission.refusals
        if refused:
            text = "; ".join(f"{name}: {why}" for name, why in sorted(refused.items()))
            return f"no worker can do this run ({text})"
        if self._left:
            return f"all {len(self._left)} workers hang"
        return "no worker is left"


def _folder(known: Mapping[str, Any]) -> str:
    """Return the folder of a worker's process: no two have the same."""
    return str(known.get("local_directory"))
