"""A scheduler that is lost ends a run with a message; a good run ends without a word."""

from __future__ import annotations

import gc
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from distributed import Client, LocalCluster

from pipeline.errors import ClusterError
from pipeline.executors import connection
from pipeline.executors.dask import Dask
from tests.end_to_end.test_cluster import free_port


def _nothing() -> None:
    pass


def _square(job: int) -> int:
    time.sleep(0.01)
    return job * job


@contextmanager
def cluster() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run a scheduler in a process of its own, with a worker of one thread in this one."""
    address = f"tcp://127.0.0.1:{free_port()}"
    port = address.rpartition(":")[2]
    quiet = subprocess.DEVNULL
    scheduler = subprocess.Popen(
        [sys.executable, "-m", "dask", "scheduler", "--no-dashboard", "--host", "127.0.0.1",
         "--port", port],
        stdout=quiet, stderr=quiet,
    )  # fmt: skip
    worker = subprocess.Popen(
        [sys.executable, "-m", "dask", "worker", address, "--no-dashboard", "--host", "127.0.0.1",
         "--nthreads", "1", "--no-nanny", "--death-timeout", "60"],
        stdout=quiet, stderr=quiet,
    )  # fmt: skip
    try:
        with Client(address, timeout=60) as client:
            client.wait_for_workers(1, timeout=60)
        yield address, scheduler
    finally:
        for process in (worker, scheduler):
            process.kill()
            process.wait()


def _kill(scheduler: subprocess.Popen[bytes]) -> None:
    scheduler.kill()
    scheduler.wait()


def _stop(scheduler: subprocess.Popen[bytes]) -> None:
    scheduler.send_signal(signal.SIGSTOP)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fate", "reason"), [(_kill, "the connection broke"), (_stop, "no response within 5 s")]
)
def test_a_scheduler_that_is_lost_midway_ends_the_run_with_a_message(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fate: Callable[[subprocess.Popen[bytes]], None],
    reason: str,
) -> None:
    with cluster() as (address, scheduler):
        executor = Dask.connect(address, setup=_nothing)
        running = executor.run(_square, range(10_000))
        for _ in range(5):
            next(running)
        monkeypatch.setattr(connection, "ANSWER_S", 5.0)
        fate(scheduler)
        began = time.monotonic()
        with pytest.raises(ClusterError) as lost:
            list(running)
        assert f"the Dask scheduler at {address} was lost ({reason})" in str(lost.value)
        assert "run the same command to go on" in str(lost.value)
        for ask in (lambda: executor.everywhere(os.getpid), lambda: list(executor.run(abs, [1]))):
            with pytest.raises(ClusterError, match="was lost"):
                ask()
        executor.close()
        assert time.monotonic() - began < 40
    gc.collect()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_connection_that_breaks_for_a_moment_ends_the_run_as_well() -> None:
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, protocol="tcp://",
        host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=logging.CRITICAL,
    ) as made:  # fmt: skip
        executor = Dask.connect(made.scheduler_address, setup=_nothing)
        running = executor.run(_square, range(10_000))
        next(running)
        for comm in made.scheduler.client_comms.values():
            made.loop.add_callback(comm.abort)
        with pytest.raises(ClusterError, match=r"was lost \(the connection broke\)"):
            list(running)
        executor.close()


_INTERRUPTED = """
import asyncio, logging, signal, sys, time
from distributed.utils import LoopRunner, sync
from pipeline.executors import connection

logging.basicConfig()
connection.silence_dask_logs()
runner = LoopRunner(asynchronous=False)
runner.start()
# The loop is busy: the call is queued, then what the interruption has Dask cancel.
runner.loop.add_callback(time.sleep, 1.5)
signal.signal(signal.SIGALRM, signal.default_int_handler)
try:
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    sync(runner.loop, asyncio.sleep, 30)
except KeyboardInterrupt:
    print("interrupted")


def fails():
    raise NameError("of another origin", name="future")


runner.loop.add_callback(fails)
sync(runner.loop, asyncio.sleep, 0.1)
runner.stop()
"""


def test_an_interrupt_before_dask_began_a_call_leaves_no_traceback() -> None:
    run = subprocess.run(
        [sys.executable, "-c", _INTERRUPTED], capture_output=True, text=True, timeout=60
    )
    assert run.stdout == "interrupted\n", run.stderr
    assert run.stderr.count("Traceback") == 1
    assert "NameError: of another origin" in run.stderr
