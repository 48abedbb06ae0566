"""The status of all served regions, as a page and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError
from pipeline.runs.region.serve.children import Outcome
from pipeline.runs.region.serve.served import Served
from pipeline.runs.region.site import open_site
from pipeline.runs.region.status import status

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 75rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid #8885; padding: .4rem .8rem .4rem 0; text-align: left; }
td { vertical-align: top; overflow-wrap: anywhere; }
.bad { color: #c0392b; }
small, summary { opacity: .75; }
"""
_COLUMNS = ("Region", "Now", "Last run", "Next run", "Scenes", "Mapped")
_MOST_FAILURES = 50


def standing(
    regions: Sequence[Served], outcomes: Mapping[Path, Outcome], *, now: datetime
) -> list[dict[str, Any]]:
    """Return how each region stands: its ledger's word, and what this server saw.

    A region that cannot be read has a ``fault``, and the others are told of.
    """
    return [_row(one, outcomes.get(one.file), now) for one in regions]


def page(rows: Sequence[Mapping[str, Any]], *, now: datetime) -> str:
    """Return the status as HTML that loads nothing; whatever came from files is escaped."""
    head = "".join(f"<th>{name}</th>" for name in _COLUMNS)
    body = "\n".join(_html(row) for row in rows)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="refresh" content="30">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Regions</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>Regions</h1>\n<p>{escape(now.isoformat(timespec='seconds'))}, "
        'every 30 seconds; <a href="status.json">as JSON</a></p>\n'
        f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n"
        "</body>\n</html>\n"
    )


def _row(one: Served, outcome: Outcome | None, now: datetime) -> dict[str, Any]:
    row: dict[str, Any] = {"region": one.name, "file": str(one.file), "fault": one.fault}
    row["schedule"] = None if one.schedule is None else one.schedule.model_dump()
    if outcome is not None:
        began = datetime.fromtimestamp(outcome.began, UTC).isoformat(timespec="seconds")
        row["here"] = {"began": began, "code": outcome.code, "line": outcome.line}
    if one.fault is None:
        try:
            row |= status(open_site(one.file), now=now)
        except PipelineError as error:
            row["fault"] = str(error)
    return row


def _html(row: Mapping[str, Any]) -> str:
    name = f"<td>{_text(row['region'])}<br><small>{_text(row['file'])}</small></td>"
    if row["fault"] is not None:
        return f'<tr>{name}<td class="bad" colspan="5">{_text(row["fault"])}</td></tr>'
    scenes = ", ".join(f"{count} {state}" for state, count in row["scenes"].items())
    cells = [
        _now(row.get("here")),
        _run(row["last"]),
        _text(row["next"] or "- (no schedule)"),
        _text(scenes or "none yet") + _failures(row["failures"]),
        _text(f"{row['km2']:,.3f} km2, {row['mpx']:,.1f} Mpx"),
    ]
    return f"<tr>{name}{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _now(here: Mapping[str, Any] | None) -> str:
    if here is None:
        return "waits"
    if here["code"] is None:
        return f"runs since {_text(here['began'])}"
    if here["code"] == 0:
        return "waits"
    return f'<span class="bad">ended with {_text(here["code"])}: {_text(here["line"])}</span>'


def _run(run: Mapping[str, Any] | None) -> str:
    if run is None:
        return "-"
    told = f"{run['run']} {run['state']}, {run['mapped']} mapped, {run['failed']} failed"
    return f"{_text(told)}<br><small>{_text(run['began'])}</small>"


def _failures(failures: Sequence[Mapping[str, Any]]) -> str:
    if not failures:
        return ""
    shown = "".join(
        f"<li>{_text('{scene} ({attempts} attempts): {reason}'.format_map(one))}</li>"
        for one in failures[:_MOST_FAILURES]
    )
    more = len(failures) - _MOST_FAILURES
    rest = f"<li>and {more} more: overtile region status</li>" if more > 0 else ""
    return (
        f'<details><summary class="bad">{len(failures)} failures</summary>'
        f"<ul>{shown}{rest}</ul></details>"
    )


def _text(value: object) -> str:
    return escape(str(value))
