"""When a region runs next."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger

from pipeline.config.region import Schedule
from pipeline.errors import ConfigError

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")


def trigger(schedule: Schedule) -> CronTrigger:
    """Return what computes the moments of a schedule.

    Weekdays are crontab's, 0 and 7 being Sunday; the library counts from Monday, so that
    it is given names.

    Raises:
        ConfigError: The cron line is none.
    """
    *others, days = schedule.cron.split(" ")
    try:
        return CronTrigger.from_crontab(
            " ".join([*others, _named(days)]), timezone=ZoneInfo(schedule.timezone)
        )
    except (ValueError, LookupError) as error:
        raise ConfigError(f"schedule.cron {schedule.cron!r}: {error}") from error


def next_run(schedule: Schedule, now: datetime) -> datetime | None:
    """Return the first moment of a schedule after ``now``; None where there is none.

    An hour that comes twice, when clocks are set back, counts once unless the schedule runs
    every hour anyway; one that is skipped moves by as much as the clocks do.
    """
    moments = trigger(schedule)
    found: datetime | None = now
    while found is not None:
        # In UTC: in the hour that comes twice, moments of two zones never compare as equal,
        # and the library would give the same one again.
        after = found.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1)
        found = moments.get_next_fire_time(None, after)
        if found is None or not found.fold or "*" in schedule.cron.split(" ")[1]:
            break
    return found


def _named(days: str) -> str:
    """Return weekdays by name; a range over Sunday becomes a list."""
    parts = []
    for part in days.split(","):
        span = re.fullmatch(r"([0-7])-([0-7])(?:/(\d+))?", part)
        if span is not None and int(span[1]) <= int(span[2]):
            step = int(span[3] or 1) or 1
            parts += [_DAYS[day] for day in range(int(span[1]), int(span[2]) + 1, step)]
        else:
            parts.append(re.sub(r"(?<![\w/])[0-7](?!\w)", lambda found: _DAYS[int(found[0])], part))
    return ",".join(dict.fromkeys(parts))
