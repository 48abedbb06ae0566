"""The status of all served regions, as a page and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from pipeline.core.redaction import redact_values
from pipeline.errors import PipelineError
from pipeline.regions.report.status import status
from pipeline.regions.resolved_region import resolve_region
from pipeline.regions.serve.served import Served
from pipeline.regions.serve.subprocesses import Outcome

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif;
  --paper: light-dark(#fbfaf7, #14181b); --card: light-dark(#fff, #1c2125);
  --ink: light-dark(#1b1f23, #eceae4); --soft: light-dark(#5b636b, #a3a9ad);
  --line: light-dark(#e0ddd4, #33393e); --bad: light-dark(#b3261e, #ff8a80);
  --good: light-dark(#12756d, #4fd1c5); }
body { margin: 2.5rem auto; max-width: 76rem; padding: 0 1.2rem; background: var(--paper);
  color: var(--ink); }
h1 { font: 400 2.2rem/1.2 Georgia, "DejaVu Serif", serif; margin: 0 0 .3rem; }
p, small, td::before { color: var(--soft); }
a { color: var(--good); }
table { border-collapse: collapse; width: 100%; background: var(--card);
  border: 1px solid var(--line); }
th, td { border-bottom: 1px solid var(--line); padding: .7rem 1rem; text-align: left; }
th { color: var(--soft); font-weight: 500; white-space: nowrap; }
td { vertical-align: top; overflow-wrap: anywhere; }
td:first-child { min-width: 11rem; }
small { display: block; font-size: .85em; }
.bad { color: var(--bad); }
summary { cursor: pointer; }
ul { margin: .3rem 0 0; padding-left: 1.2rem; }
@media (max-width: 46rem) {
  thead { display: none; }
  tr, td { display: block; border: 0; }
  tr { border-bottom: 1px solid var(--line); padding: .6rem 0; }
  td { padding: .2rem 1rem; }
  td[data-name]::before { content: attr(data-name) ": "; }
  td:first-child { font-size: 1.15em; }
}
"""
_COLUMNS = ("Region", "Now", "Last run", "Next run", "Scenes", "Mapped")
_MOST_FAILURES = 50


def region_states(
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
        f"<h1>Regions</h1>\n<p>{escape(_moment(now.isoformat()))}; anew every 30 seconds, "
        '<a href="status.json">as JSON</a></p>\n'
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
            row |= status(resolve_region(one.file), now=now)
        except PipelineError as error:
            row["fault"] = str(error)
    shown: dict[str, Any] = redact_values(row)
    return shown


def _html(row: Mapping[str, Any]) -> str:
    file = Path(row["file"])
    name = file.name if row["region"] == row["file"] else row["region"]
    head = f"<td><strong>{_text(name)}</strong><small>{_text(file)}</small></td>"
    if row["fault"] is not None:
        return f'<tr>{head}<td class="bad" colspan="5">{_text(row["fault"])}</td></tr>'
    scenes = ", ".join(f"{count} {state}" for state, count in row["scenes"].items())
    cells = [
        _now(row.get("here"), row["running"]),
        _run(row["last"]) + _faults(row["last"]),
        _moment(row["next"]) if row["next"] else "no schedule",
        _text(scenes or "none yet") + _failures(row["failures"]),
        f"{_text(_area(row['km2']))} km\u00b2<small>{row['mpx']:,.1f} Mpx</small>",
    ]
    told = "".join(
        f'<td data-name="{name}">{cell}</td>'
        for name, cell in zip(_COLUMNS[1:], cells, strict=True)
    )
    return f"<tr>{head}{told}</tr>"


def _now(here: Mapping[str, Any] | None, running: Mapping[str, Any] | None) -> str:
    if here is not None and here["code"] is None:
        return f"runs<small>since {_moment(here['began'])}</small>"
    if running is not None:
        return f"runs<small>{_text(running['holder'])}</small>"
    if here is None or here["code"] == 0:
        return "waits"
    return f'<span class="bad">ended with {_text(here["code"])}: {_text(here["line"])}</span>'


def _run(run: Mapping[str, Any] | None) -> str:
    if run is None:
        return "none yet"
    bad = run["state"] not in ("done", "interrupted")
    told = f"run {run['run']} {run['state']}"
    counts = "" if run["mapped"] is None else f": {run['mapped']} mapped, {run['failed']} failed"
    reason = f": {run['reason']}" if run["reason"] else ""
    shown = f"{_text(told)}{_text(counts)}{_text(reason)}"
    return (f'<span class="bad">{shown}</span>' if bad else shown) + (
        f"<small>{_moment(run['began'])}</small>"
    )


def _faults(run: Mapping[str, Any] | None) -> str:
    return _folded([_text(one) for one in (run or {}).get("faults", [])], "fault")


def _failures(failures: Sequence[Mapping[str, Any]]) -> str:
    form = "{scene} ({attempts} attempts): {reason}"
    return _folded([_text(form.format_map(one)) for one in failures], "failure")


def _folded(lines: Sequence[str], word: str) -> str:
    """Return a list that opens when it is asked for; what is in it is escaped."""
    if not lines:
        return ""
    shown = "".join(f"<li>{line}</li>" for line in lines[:_MOST_FAILURES])
    more = len(lines) - _MOST_FAILURES
    rest = f"<li>and {more} more: overtile region status</li>" if more > 0 else ""
    many = "" if len(lines) == 1 else "s"
    return (
        f'<details><summary class="bad">{len(lines)} {word}{many}</summary>'
        f"<ul>{shown}{rest}</ul></details>"
    )


def _area(km2: float) -> str:
    return f"{km2:,.3f}" if km2 < 100 else f"{km2:,.0f}"


def _moment(when: str) -> str:
    """Return a moment as people read it, with its zone."""
    told = datetime.fromisoformat(when)
    zone = told.strftime("%z")
    return f"{told:%a %Y-%m-%d %H:%M} {'UTC' if zone == '+0000' else f'{zone[:3]}:{zone[3:5]}'}"


def _text(value: object) -> str:
    return escape(str(value))
