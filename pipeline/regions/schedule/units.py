"""A region's schedule as systemd units, or as lines of a crontab."""

from __future__ import annotations

import calendar
import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipeline.config import Region
from pipeline.config.region import Schedule
from pipeline.errors import ConfigError
from pipeline.outputs.atomic import write_atomically
from pipeline.regions.schedule.schedule import next_run, trigger

_NEW_YEAR = datetime(2024, 1, 1, tzinfo=UTC)  # a Monday
_MOMENTS = {
    "minute": [_NEW_YEAR + timedelta(minutes=at) for at in range(60)],
    "hour": [_NEW_YEAR + timedelta(hours=at) for at in range(24)],
    "day": [_NEW_YEAR + timedelta(days=at) for at in range(31)],
    "month": [_NEW_YEAR.replace(month=at + 1) for at in range(12)],
    "day_of_week": [_NEW_YEAR + timedelta(days=at) for at in range(7)],
}


def command_of(file: Path, *, root: Path | None = None) -> list[str]:
    """Return what maps a region, with whole paths: timers start in another folder."""
    beside = Path(sys.executable).with_name("overtile")
    program = (
        [str(beside)] if beside.is_file() else [sys.executable, "-Pm", "pipeline.cli.__main__"]
    )
    where = [] if root is None else ["--root", str(root.resolve())]
    return [*program, "region", "run", str(file.resolve()), *where]


def write_units(made: Mapping[str, str], out: Path) -> list[Path]:
    """Write units into a folder and return their paths.

    Raises:
        ExportError: A file could not be written.
    """
    for name, text in made.items():
        with write_atomically(out / name) as part:
            part.write_text(text, "utf-8")
    return [out / name for name in made]


def units(region: Region, command: Sequence[str], *, now: datetime) -> dict[str, str]:
    """Return a systemd service and its timer, by file name.

    The service runs once and ends; the timer makes up for a moment that was slept through.

    Args:
        region: The region.
        command: What maps it: program and arguments, with whole paths.
        now: The region must come due after this moment.

    Raises:
        ConfigError: It has no schedule, or one that systemd cannot express.
    """
    when = on_calendar(_schedule(region, now))
    name = f"overtile-{region.name}"
    needs = _variables(region)
    environment = [
        f"# It must set {', '.join(needs)}.",
        f"EnvironmentFile=/etc/overtile/{name}.env",
    ]
    service = [
        "[Unit]",
        f"Description=Map what is new in the region {region.name}",
        "Wants=network-online.target",
        "After=network-online.target",
        "",
        "[Service]",
        "Type=oneshot",
        *(environment if needs else []),
        f"ExecStart={' '.join([_program(command[0]), *map(_word, command[1:])])}",
        "# Another run holds the region: nothing to do. Stopped by hand: it goes on next time.",
        "SuccessExitStatus=75 130",
        "KillSignal=SIGINT",
        "Nice=10",
    ]
    timer = [
        "[Unit]",
        f"Description=When the region {region.name} is mapped",
        "",
        "[Timer]",
        f"OnCalendar={when}",
        "Persistent=true",
        "",
        "[Install]",
        "WantedBy=timers.target",
    ]
    return {f"{name}.service": _text(service), f"{name}.timer": _text(timer)}


def crontab(region: Region, command: Sequence[str], *, now: datetime) -> str:
    """Return lines for a crontab.

    ``CRON_TZ`` is cronie's; Debian's cron goes by the machine's clock alone.

    Args:
        region: The region.
        command: What maps it: program and arguments, with whole paths.
        now: The region must come due after this moment.

    Raises:
        ConfigError: It has no schedule, or one that crontab cannot express.
    """
    schedule = _schedule(region, now)
    needs = _variables(region)
    # In a crontab a percent sign ends the command, within quotes too.
    line = shlex.join([_printable(part) for part in command]).replace("%", r"\%")
    found = [
        f"# Cron must know CRON_TZ (cronie does), or the machine's clock be {schedule.timezone}'s.",
        *(f"# {name}=... belongs above the line." for name in needs),
        f"CRON_TZ={schedule.timezone}",
        f"{cron_fields(schedule)} {line}",
    ]
    return _text(found)


def on_calendar(schedule: Schedule) -> str:
    """Return a schedule as systemd's calendar event: ``Mon *-*-* 02:30:00 Asia/Kathmandu``.

    Source: systemd.time(7), calendar events.
    """
    values = _values(schedule)
    minute, hour, day, month = (
        _joined(values[name], name, to="..", digits=2)
        for name in ("minute", "hour", "day", "month")
    )
    weekdays = values["day_of_week"]
    days = "" if len(weekdays) == 7 else ",".join(calendar.day_abbr[at] for at in weekdays) + " "
    return f"{days}*-{month}-{day} {hour}:{minute}:00 {schedule.timezone}"


def cron_fields(schedule: Schedule) -> str:
    """Return a schedule as five fields that every cron reads alike: numbers, ranges, lists."""
    values = _values(schedule)
    fields = [
        _joined(values[name], name, to="-", digits=1) for name in ("minute", "hour", "day", "month")
    ]
    weekdays = sorted((at + 1) % 7 for at in values["day_of_week"])
    return " ".join([*fields, _joined(weekdays, "day_of_week", to="-", digits=1)])


def _schedule(region: Region, now: datetime) -> Schedule:
    schedule = region.schedule
    if schedule is None:
        raise ConfigError(
            f"region {region.name} has no schedule; add for example "
            "schedule: {cron: '30 2 * * 1', timezone: UTC}"
        )
    if next_run(schedule, now) is None:
        raise ConfigError(f"schedule.cron {schedule.cron!r}: that day never comes; change it")
    return schedule


def _values(schedule: Schedule) -> dict[str, list[int]]:
    """Return what each field of a cron line matches; weekdays from Monday, 0."""
    if "last" in schedule.cron.lower():
        raise ConfigError(
            f"schedule.cron {schedule.cron!r}: only `overtile region serve` knows 'last'; "
            "name days by number"
        )
    found = {}
    for field in trigger(schedule).fields:
        if field.name in _MOMENTS:
            moments = _MOMENTS[field.name]
            found[field.name] = [
                field.get_value(at)
                for at in moments
                if field.get_next_value(at) == field.get_value(at)
            ]
    return found


def _joined(values: Sequence[int], name: str, *, to: str, digits: int) -> str:
    """Return numbers as ``*``, or as a list of numbers and ranges."""
    if len(values) == len(_MOMENTS[name]):
        return "*"
    spans: list[list[int]] = []
    for value in values:
        if spans and value == spans[-1][1] + 1:
            spans[-1][1] = value
        else:
            spans.append([value, value])
    return ",".join(
        f"{low:0{digits}}" if low == high else f"{low:0{digits}}{to}{high:0{digits}}"
        for low, high in spans
    )


def _variables(region: Region) -> list[str]:
    """Return the environment variables that a region's file names."""
    named = [region.ledger_env, *(sink.url_env for sink in region.sinks)]
    return sorted({name for name in named if name is not None})


def _program(path: str) -> str:
    """Return the first word of ``ExecStart``; systemd takes no quotes or variables in it."""
    if set(path) & set("\"'\\$"):
        raise ConfigError(f"{path}: systemd starts no program with such a name; move it")
    return _word(path)


def _word(text: str) -> str:
    """Return a word of ``ExecStart``, quoted. Source: systemd.service(5), command lines."""
    quoted = _printable(text).replace("\\", r"\\").replace('"', r"\"")
    return '"' + quoted.replace("%", "%%").replace("$", "$$") + '"'


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ConfigError(f"{text!r}: a path with control characters fits no timer; rename it")
    return text


def _text(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"
