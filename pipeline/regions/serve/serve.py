"""Regions run on their schedules by one process: APScheduler starts a subprocess for each run."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from types import FrameType

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from pipeline.errors import PipelineError
from pipeline.regions.clock import Clock, utc_now
from pipeline.regions.ledger.ledger import NAME, open_ledger
from pipeline.regions.ledger.records import RunRow
from pipeline.regions.resolved_region import resolve_region
from pipeline.regions.scenes import Reporter
from pipeline.regions.schedule.schedule import next_run
from pipeline.regions.serve.next_runs import NextRuns, first_moment
from pipeline.regions.serve.served import Served
from pipeline.regions.serve.subprocesses import RunProcesses

_STOP_WITHIN_S = 30.0  # systemd kills after 90
_HEARTBEAT_S = 30.0


def serve(
    regions: Sequence[Served], *, at_once: int, report: Reporter, clock: Clock = utc_now
) -> None:
    """Run regions on their schedules until SIGTERM or SIGINT; the main thread calls it.

    No state is kept but the regions' own ledgers: what came due while no server ran, or was
    stopped midway, is run at the start, once. The page of a region is its ``report.html``.

    Args:
        regions: As `served` finds them.
        at_once: Number of regions mapped side by side.
        report: Receives lines for people.
        clock: Source of the current time.
    """
    children = RunProcesses(report=report)
    scheduler = _scheduler(at_once)
    for one in regions:
        _add(scheduler, one, children, clock=clock, report=report)
    with set_at_signal() as stop:
        scheduler.start()
        while not stop.wait(_HEARTBEAT_S):
            keep_time(scheduler, now=clock())
        report("stopping; what is under way goes on at the next start")
        scheduler.shutdown(wait=False)
        children.stop(within_s=_STOP_WITHIN_S)


@contextmanager
def set_at_signal() -> Iterator[threading.Event]:
    """Yield an event that is set at the first SIGTERM or SIGINT.

    A second one of either goes to the handler before: the command line ends at once.
    SIGINT stays ignored where it is (in a shell's background).
    """
    stop = threading.Event()
    before = {
        number: handler
        for number in (signal.SIGTERM, signal.SIGINT)
        if (handler := signal.getsignal(number)) is not signal.SIG_IGN
    }

    def note(number: int, frame: FrameType | None) -> None:
        stop.set()
        for either, handler in before.items():
            signal.signal(either, handler)
        first = before[signal.Signals(number)]
        if callable(first):
            with suppress(KeyboardInterrupt):
                first(number, frame)

    for number in before:
        signal.signal(number, note)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def keep_time(scheduler: BackgroundScheduler, *, now: datetime) -> None:
    """Bring the scheduler back to a clock that was set, or a machine that slept.

    It waits by a clock that stands still in sleep, so that it is woken; and where the clock
    was set back, it would wait for moments that lie too far ahead.
    """
    for job in scheduler.get_jobs():
        coming = next_run(job.trigger.schedule, now)
        if coming is not None and job.next_run_time is not None and coming < job.next_run_time:
            job.modify(next_run_time=coming)
    scheduler.wakeup()


def _scheduler(at_once: int) -> BackgroundScheduler:
    return BackgroundScheduler(
        timezone=UTC,
        executors={"default": ThreadPoolExecutor(at_once)},
        # Late is better than not at all, after a sleep or behind another region; of several
        # moments that were missed one run makes up for all.
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
    )


def _add(
    scheduler: BackgroundScheduler,
    one: Served,
    children: RunProcesses,
    *,
    clock: Clock,
    report: Reporter,
) -> None:
    if one.fault is not None or one.schedule is None:
        report(f"{one.name}: {one.fault or 'no schedule; run it by hand'}")
        return
    now = clock()
    first = first_moment(one.schedule, _last_run(one, report), now)
    if first is None:
        report(f"{one.name}: schedule.cron {one.schedule.cron!r}: that day never comes; change it")
        return
    report(f"{one.name}: {'now' if first <= now else first.isoformat(timespec='minutes')}")
    scheduler.add_job(
        children.run,
        trigger=NextRuns(one.schedule),
        args=(one.file, one.name),
        id=str(one.file),
        next_run_time=first,
    )


def _last_run(one: Served, report: Reporter) -> RunRow | None:
    """Return the last run that the ledger knows; None where it cannot be read now."""
    try:
        site = resolve_region(one.file)
        if site.ledger_url is None and not (site.out / NAME).is_file():
            return None
        ledger = open_ledger(site.out, region=site.region.name, url=site.ledger_url)
        try:
            runs = ledger.runs()
        finally:
            ledger.close()
    except PipelineError as error:
        report(f"{one.name}: {error}")
        return None
    return runs[-1] if runs else None
