"""Schedules: crontab's weekdays, the clocks of a place, and the hour that is not there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.region import Schedule
from pipeline.errors import ConfigError
from pipeline.regions.schedule.schedule import next_run

NOW = datetime(2024, 5, 6, 2, 30, tzinfo=UTC)  # a Monday


@pytest.mark.parametrize(
    ("cron", "weekday"),
    [("0 0 * * 0", 6), ("0 0 * * 7", 6), ("0 0 * * 1", 0), ("0 0 * * sat", 5), ("0 0 * * 2-3", 1)],
)
def test_weekdays_are_crontabs(cron: str, weekday: int) -> None:
    found = next_run(Schedule(cron=cron), NOW)
    assert found is not None
    assert found.weekday() == weekday


@given(days=st.lists(st.integers(0, 6), min_size=1, unique=True), ahead=st.integers(0, 400))
def test_the_next_run_is_the_first_day_that_fits(days: list[int], ahead: int) -> None:
    now = NOW + timedelta(days=ahead)
    found = next_run(Schedule(cron=f"0 0 * * {','.join(map(str, days))}"), now)
    after = [now.replace(hour=0, minute=0) + timedelta(days=at) for at in range(1, 9)]
    wanted = next(day for day in after if day.isoweekday() % 7 in days)
    assert found == wanted


def test_a_range_of_weekdays_may_have_steps_and_end_on_sunday() -> None:
    found = next_run(Schedule(cron="0 0 * * 5-7"), NOW)
    assert found is not None
    assert found.weekday() == 4


def test_an_hour_that_daylight_saving_skips_or_repeats_runs_once_that_day() -> None:
    schedule = Schedule(cron="30 2 * * *", timezone="Europe/Berlin")
    for start in (datetime(2024, 3, 30, 12, tzinfo=UTC), datetime(2024, 10, 26, 12, tzinfo=UTC)):
        moments, now = [], start
        for _ in range(3):
            found = next_run(schedule, now)
            assert found is not None
            moments.append(found.astimezone(UTC))
            now = found.astimezone(UTC) + timedelta(seconds=1)
        days = [moment.date() for moment in moments]
        assert len(set(days)) == 3


@given(minutes=st.integers(0, 6 * 60), cron=st.sampled_from(["30 2 * * *", "*/7 * * * *"]))
def test_the_next_run_comes_later_also_while_clocks_change(minutes: int, cron: str) -> None:
    schedule = Schedule(cron=cron, timezone="Europe/Berlin")
    for day in (datetime(2024, 3, 30, 22, tzinfo=UTC), datetime(2024, 10, 26, 22, tzinfo=UTC)):
        now = day + timedelta(minutes=minutes)
        found = next_run(schedule, now)
        assert found is not None
        assert found.astimezone(UTC) > now


def test_a_line_that_is_no_cron_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"schedule\.cron '61 0"):
        next_run(Schedule(cron="61 0 * * *"), NOW)


def test_a_day_that_never_comes_has_no_next_run() -> None:
    assert next_run(Schedule(cron="0 0 30 2 *"), NOW) is None
