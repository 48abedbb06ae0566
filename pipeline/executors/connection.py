"""The connection to a Dask scheduler: how its loss is noticed and reported, how it is closed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from typing import Any

from distributed import Client
from distributed.client import ClosedClientError
from distributed.utils import LoopRunner, sync

from pipeline.core.redaction import redact
from pipeline.errors import ClusterError

ANSWER_S = 60.0
"""How long a scheduler may take over a short question before it counts as lost."""
CLOSE_S = 10.0
"""Longest close of a connection, in seconds."""
SETTLE_S = 0.05
"""Longer than Dask waits to send messages together (1 to 10 ms)."""
_BROKE = "the connection broke"


class _CancelledBeforeStart(logging.Filter):
    """Leaves out one record: Dask's `sync` cancels a call whose future does not exist yet.

    Where a signal interrupts `distributed.utils.sync` before the event loop began the call, its
    callback reads a variable that was never set; tornado logs the NameError with a traceback,
    though nothing was begun that would have to be cancelled.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is logged."""
        _, error, trace = record.exc_info or (None, None, None)
        if not isinstance(error, NameError) or error.name != "future" or trace is None:
            return True
        while trace.tb_next is not None:
            trace = trace.tb_next
        return trace.tb_frame.f_code.co_qualname != "sync.<locals>.cancel"


_CANCELLED_BEFORE_START = _CancelledBeforeStart()


def silence_dask_logs() -> None:
    """Leave out what Dask logs of connections that come and go: a lost one is reported by us."""
    logging.getLogger("distributed").setLevel(logging.ERROR)
    logging.getLogger("tornado.application").addFilter(_CANCELLED_BEFORE_START)


def connection_lost(client: Client, reason: str) -> ClusterError:
    """Return the error for a lost scheduler."""
    # A client that has been closed no longer knows.
    address = redact(str(getattr(client.scheduler, "address", "")))
    return ClusterError(
        f"the Dask scheduler{f' at {address}' if address else ''} was lost ({reason}); no data was "
        "lost: start the cluster again, then run the same command to go on"
    )


@contextmanager
def cluster_errors(client: Client) -> Iterator[None]:
    """Turn what Dask raises where the scheduler was lost into a `ClusterError`.

    Raises:
        ClusterError: The scheduler ended, or does not answer.
    """
    try:
        yield
    except TimeoutError as error:
        raise connection_lost(client, f"no response within {ANSWER_S:g} s") from error
    # Dask cancels what was submitted when the connection breaks; its CommClosedError is an OSError.
    except (CancelledError, asyncio.CancelledError, ClosedClientError, OSError) as error:
        raise connection_lost(client, _BROKE) from error


def workers_of(client: Client) -> dict[str, dict[str, Any]]:
    """Return the scheduler's record of each worker, by address.

    Raises:
        ClusterError: The scheduler ended, or does not answer.
    """
    if client.status != "running" or client.scheduler is None:
        raise connection_lost(client, _BROKE)
    with cluster_errors(client):
        found = client.sync(client.scheduler.identity, n_workers=-1, callback_timeout=ANSWER_S)
    return dict(found["workers"])


def close_client(client: Client, *more: Callable[[], object]) -> None:
    """Close a client, then what else shares its event loop.

    The loop is stopped last, once the timers of Dask's senders have run. One that ran in the
    loop's very last iteration left an exception that was not retrieved: "Future exception was never
    retrieved" on the standard error of a good run, once in about 200.

    Args:
        client: Dask's.
        more: Called once the client is closed.
    """
    if client.status != "running":
        # Dask logs, with tracebacks, that it tried to connect again; the loss was reported.
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    runner = LoopRunner(loop=client.loop)
    runner.start()
    try:
        # A scheduler that was lost or hangs cannot end the tasks any more.
        with suppress(OSError, CancelledError, ClosedClientError):
            client.close(timeout=CLOSE_S)
        for one in more:
            one()
        with suppress(TimeoutError):
            sync(runner.loop, asyncio.sleep, SETTLE_S, callback_timeout=CLOSE_S)
    finally:
        runner.stop()
