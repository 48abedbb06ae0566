"""When a served region comes due: its schedule's moments, and what was missed before."""

from __future__ import annotations

from datetime import UTC, datetime

from apscheduler.triggers.base import BaseTrigger

from pipeline.config.region import Schedule
from pipeline.regions.ledger.records import RunRow
from pipeline.regions.schedule.schedule import next_run


class NextRuns(BaseTrigger):  # type: ignore[misc]  # the library has no types
    """The moments of a schedule, as `next_run` computes them, for APScheduler."""

    def __init__(self, schedule: Schedule) -> None:
        """Take the schedule."""
        self.schedule = schedule

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime | None:
        """Return the moment after ``previous``, be it past; the first one after ``now``.

        APScheduler asks until it has reached the present, and runs what was missed once.
        """
        # Counted in UTC: two moments an hour apart may show the same time of day.
        return next_run(self.schedule, (now if previous is None else previous).astimezone(UTC))


def first_moment(schedule: Schedule, last: RunRow | None, now: datetime) -> datetime | None:
    """Return when a region is due that begins to be served.

    At once, where its last run was stopped or a moment has passed since that began.
    """
    if last is not None:
        began = datetime.fromtimestamp(last.began_at, UTC)
        missed = next_run(schedule, min(began, now))
        if last.state in ("running", "interrupted") or (
            missed is not None and missed <= now and began <= now
        ):
            return now
    return next_run(schedule, now)
