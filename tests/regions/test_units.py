"""systemd's timers and crontab's lines come due when the region's schedule does."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config import Region, load_region
from pipeline.config.region import Schedule
from pipeline.errors import ConfigError
from pipeline.regions.schedule.schedule import next_run
from pipeline.regions.schedule.units import cron_fields, crontab, on_calendar, units
from tests.strategies import examples

NOW = datetime(2024, 5, 6, 2, 30, tzinfo=UTC)
EXAMPLE = Path(__file__).resolve().parents[2] / "configs" / "regions" / "example.yaml"
HARD = r"""/opt/it's 100% "$HOME" \n/overtile"""


def _field(low: int, high: int) -> st.SearchStrategy[str]:
    numbers = st.lists(st.integers(low, high), min_size=1, max_size=4, unique=True)
    spans = st.tuples(st.integers(low, high), st.integers(low, high)).map(sorted)
    return st.one_of(
        st.just("*"),
        st.sampled_from(["*/2", "*/5", f"{low}-{high}/3"]),
        numbers.map(lambda found: ",".join(map(str, found))),
        spans.map(lambda ends: f"{ends[0]}-{ends[1]}"),
    )


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    day, weekday = draw(
        st.one_of(st.tuples(_field(1, 28), st.just("*")), st.tuples(st.just("*"), _field(0, 6)))
    )
    cron = f"{draw(_field(0, 59))} {draw(_field(0, 23))} {day} {draw(_field(1, 12))} {weekday}"
    # Places without daylight saving; where there is one, systemd leaves a skipped moment out.
    zone = draw(st.sampled_from(["UTC", "Asia/Kathmandu", "America/Phoenix"]))
    return Schedule(cron=cron, timezone=zone)


def _region(schedule: Schedule | None = None, **fields: object) -> Region:
    return load_region(EXAMPLE).model_copy(update={"schedule": schedule, **fields})


@settings(max_examples=examples(30))
@given(schedule=schedules())
def test_the_line_of_a_crontab_says_what_the_schedule_says(schedule: Schedule) -> None:
    again = Schedule(cron=cron_fields(schedule), timezone=schedule.timezone)
    now: datetime | None = NOW
    for _ in range(3):
        assert now is not None
        wanted = next_run(schedule, now)
        assert next_run(again, now) == wanted
        now = wanted


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd here")
@settings(max_examples=examples(10))
@given(schedule=schedules())
def test_systemd_computes_the_same_next_moment(schedule: Schedule) -> None:
    command = ["systemd-analyze", "calendar", "--base-time=2024-05-06 02:30:00 UTC"]
    told = subprocess.run(
        [*command, on_calendar(schedule)],
        capture_output=True, text=True, check=True, env=os.environ | {"TZ": "UTC"}, timeout=60,
    ).stdout  # fmt: skip
    elapse = next(line for line in told.splitlines() if "Next elapse:" in line)
    wanted = next_run(schedule, NOW)
    assert wanted is not None
    assert elapse.partition(": ")[2] == wanted.astimezone(UTC).strftime("%a %Y-%m-%d %H:%M:%S UTC")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd here")
def test_systemd_finds_no_fault_in_the_units(tmp_path: Path) -> None:
    program = tmp_path / "a 100% program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    region = load_region(EXAMPLE).model_copy(update={"ledger_env": "OVERTILE_LEDGER"})
    made = units(region, [str(program), "region", "run", HARD], now=NOW)
    for name, text in made.items():
        (tmp_path / name).write_text(text, "utf-8")
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(tmp_path / name for name in made)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    ours = [line for line in verified.stderr.splitlines() if "overtile-town" in line]
    assert (verified.returncode, ours) == (0, [])


def test_a_service_runs_once_and_its_timer_makes_up_for_what_was_slept_through() -> None:
    made = units(load_region(EXAMPLE), ["/bin/overtile", "region", "run", "/r.yaml"], now=NOW)
    service, timer = made["overtile-town.service"], made["overtile-town.timer"]
    assert 'ExecStart="/bin/overtile" "region" "run" "/r.yaml"\n' in service
    assert "Type=oneshot" in service
    assert "OnCalendar=Mon *-*-* 02:30:00 Asia/Kathmandu\n" in timer
    assert "Persistent=true" in timer
    assert "EnvironmentFile" not in service


def test_secrets_are_named_and_not_held() -> None:
    region = load_region(EXAMPLE).model_copy(update={"ledger_env": "OVERTILE_LEDGER"})
    assert (
        "EnvironmentFile=/etc/overtile/overtile-town.env"
        in units(region, ["x"], now=NOW)["overtile-town.service"]
    )
    assert "OVERTILE_LEDGER=..." in crontab(region, ["x"], now=NOW)


def test_the_command_of_a_crontab_reaches_the_program_as_it_is() -> None:
    command = ["printf", r"%s\n", HARD, "two words"]
    *_, zone, line = crontab(load_region(EXAMPLE), command, now=NOW).splitlines()
    assert zone == "CRON_TZ=Asia/Kathmandu"
    assert line.startswith("30 2 * * 1 printf ")
    # What cron does before it asks the shell: \% becomes %, a bare % would end the command.
    shell = line.removeprefix("30 2 * * 1 ").replace(r"\%", "\0")
    assert "%" not in shell
    told = subprocess.run(
        ["sh", "-c", shell.replace("\0", "%")],
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    ).stdout
    assert told == f"{HARD}\ntwo words\n"
    assert shlex.split(shell.replace("\0", "%")) == command


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (None, "has no schedule; add for example"),
        (Schedule(cron="0 0 last * *"), "only `overtile region serve` knows 'last'"),
        (Schedule(cron="0 0 30 2 *"), "that day never comes"),
        (Schedule(cron="0 99 * * *"), "schedule.cron '0 99"),
    ],
)
def test_what_a_timer_cannot_say_is_refused(schedule: Schedule | None, message: str) -> None:
    for make in (units, crontab):
        with pytest.raises(ConfigError) as refused:
            make(_region(schedule), ["x"], now=NOW)
        assert message in str(refused.value)


def test_a_path_with_a_line_break_is_refused() -> None:
    for make in (units, crontab):
        with pytest.raises(ConfigError, match="control characters"):
            make(load_region(EXAMPLE), ["/a\nExecStartPre=/bin/rm"], now=NOW)


def test_a_program_that_systemd_cannot_start_is_refused() -> None:
    with pytest.raises(ConfigError, match="starts no program with such a name"):
        units(load_region(EXAMPLE), ["/opt/$HOME/overtile"], now=NOW)
