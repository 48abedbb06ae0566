"""Moments of a schedule when clocks change, and what was missed while nobody served."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pipeline.config.region import Schedule
from pipeline.regions.ledger.records import RunRow
from pipeline.regions.serve.next_runs import NextRuns, first_moment

BERLIN = Schedule(cron="30 2 * * *", timezone="Europe/Berlin")
NOW = datetime(2024, 5, 6, 12, tzinfo=UTC)


def _utc(month: int, day: int, hour: int, minute: int = 30) -> datetime:
    return datetime(2024, month, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("start", "wanted"),
    [
        # 31 March: 02:30 is skipped, and comes as 03:30 summer time.
        (_utc(3, 30, 12), [_utc(3, 31, 1), _utc(4, 1, 0), _utc(4, 2, 0)]),
        # 27 October: 02:30 comes twice, and counts once, in summer time.
        (_utc(10, 26, 12), [_utc(10, 27, 0), _utc(10, 28, 1), _utc(10, 29, 1)]),
    ],
)
def test_a_day_on_which_clocks_change_has_one_run(start: datetime, wanted: list[datetime]) -> None:
    trigger, found, moment = NextRuns(BERLIN), [], None
    for _ in wanted:
        moment = trigger.get_next_fire_time(moment, moment or start)
        assert moment is not None
        found.append(moment.astimezone(UTC))
    assert found == wanted


def test_every_hour_is_every_hour_when_clocks_are_set_back() -> None:
    trigger = NextRuns(Schedule(cron="30 * * * *", timezone="Europe/Berlin"))
    moment: datetime | None = _utc(10, 26, 22)
    for hour in (23, 0, 1, 2):
        moment = trigger.get_next_fire_time(moment, _utc(10, 26, 22))
        assert moment is not None
        assert moment.astimezone(UTC).hour == hour


def test_moments_slept_through_are_given_one_by_one_for_the_library_to_join() -> None:
    trigger, asleep = NextRuns(BERLIN), _utc(5, 1, 0)
    late = trigger.get_next_fire_time(asleep, asleep + timedelta(days=3))
    assert late is not None
    assert late.astimezone(UTC) == _utc(5, 2, 0)


def _run(state: str, began: datetime) -> RunRow:
    return RunRow(run=1, state=state, holder="me", began_at=began.timestamp())


@pytest.mark.parametrize(
    ("last", "due"),
    [
        (None, False),  # as systemd does: a region that never ran waits for its moment
        (_run("done", NOW - timedelta(hours=1)), False),
        (_run("done", NOW - timedelta(days=2)), True),
        (_run("stopped", NOW - timedelta(days=2)), True),
        (_run("running", NOW - timedelta(minutes=1)), True),
        (_run("interrupted", NOW - timedelta(minutes=1)), True),
        (_run("failed", NOW - timedelta(minutes=1)), False),
        # The clock was set back: what began "tomorrow" missed nothing.
        (_run("done", NOW + timedelta(days=1)), False),
    ],
)
def test_what_was_missed_or_not_ended_is_due_at_once(last: RunRow | None, due: bool) -> None:
    found = first_moment(BERLIN, last, NOW)
    assert found is not None
    assert found.astimezone(UTC) == (NOW if due else _utc(5, 7, 0))
