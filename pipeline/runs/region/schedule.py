"""When a region runs next."""

from __future__ import annotations

import re
from datetime import datetime
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
    """Return the first moment of a schedule after ``now``; None where there is none."""
    found: datetime | None = trigger(schedule).get_next_fire_time(now, now)
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
