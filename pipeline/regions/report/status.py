"""How a region stands: scenes by state, failures and why, runs, what is mapped."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pipeline.core.redaction import redact_values
from pipeline.regions.ledger.ledger import NAME, open_ledger
from pipeline.regions.ledger.lock import is_held
from pipeline.regions.ledger.records import RunRow, SceneRow
from pipeline.regions.report.page import NAME as PAGE
from pipeline.regions.resolved_region import ResolvedRegion
from pipeline.regions.schedule.schedule import next_run


def status(site: ResolvedRegion, *, now: datetime) -> dict[str, Any]:
    """Return how a region stands, by its ledger alone; sources are not asked.

    Returns:
        ``scenes`` (count by state), ``failures`` (scene, attempts, reason), ``last`` and
        ``running`` (run, or None), ``next`` (by the schedule, or None), ``mpx`` and ``km2``
        mapped (each scene by itself, overlaps twice), ``runs`` (the last ten, newest first),
        ``report`` (the page of the last run, or None).

    Raises:
        ConfigError: The ledger cannot be used.
        ExportError: The database does not answer.
    """
    scenes: dict[str, SceneRow] = {}
    runs: list[RunRow] = []
    if site.ledger_url is not None or (site.out / NAME).is_file():
        ledger = open_ledger(site.out, region=site.region.name, url=site.ledger_url)
        try:
            scenes, runs = ledger.scenes(), ledger.runs()
            if runs and runs[-1].state == "running" and not is_held(ledger, holder=runs[-1].holder):
                runs[-1] = replace(runs[-1], state="interrupted")  # it was killed
        finally:
            ledger.close()
    mapped = [row for row in scenes.values() if row.folder is not None]
    ended = [run for run in runs if run.state != "running"]
    schedule, page = site.region.schedule, site.out / PAGE
    coming = None if schedule is None else next_run(schedule, now)
    found = {
        "region": site.region.name,
        "scenes": dict(sorted(Counter(row.state for row in scenes.values()).items())),
        "failures": [
            {"scene": row.scene, "state": row.state, "attempts": row.attempts, "reason": row.reason}
            for _, row in sorted(scenes.items())
            if row.state in ("failed", "partial")
        ],
        "running": _told(runs[-1]) if runs and runs[-1].state == "running" else None,
        "last": _told(ended[-1]) if ended else None,
        "next": None if coming is None else coming.isoformat(timespec="minutes"),
        "mpx": round(sum(row.pixels or 0 for row in mapped) / 1e6, 3),
        "km2": round(sum(row.km2 or 0.0 for row in mapped), 6),
        "runs": [_told(run) for run in reversed(runs[-10:])],
        "report": str(page) if page.is_file() else None,
    }
    # A ledger of an earlier version may hold what is not stored any more.
    shown: dict[str, Any] = redact_values(found)
    return shown


def lines(found: dict[str, Any]) -> Iterator[str]:
    """Yield a status as lines for people."""
    states = ", ".join(f"{count} {state}" for state, count in found["scenes"].items())
    yield f"region    {found['region']}"
    yield f"scenes    {states or 'none yet; overtile region run maps them'}"
    yield f"mapped    {found['mpx']:,.3f} Mpx, {found['km2']:,.3f} km2"
    for name in ("running", "last"):
        run = found[name]
        yield f"{name:9} {_line(run) if run else '-'}"
    yield f"next      {found['next'] or '- (no schedule)'}"
    yield f"report    {found['report'] or '-'}"
    for fault in (found["last"] or {}).get("faults", []):
        yield f"fault     {fault}"
    if found["failures"]:
        yield "failures"
    for one in found["failures"]:
        yield f"  {one['scene']} ({one['state']}, {one['attempts']} attempts): {one['reason']}"


def _line(run: dict[str, Any]) -> str:
    counts = "" if run["mapped"] is None else f", {run['mapped']} mapped, {run['failed']} failed"
    ended = f" to {run['ended']}" if run["ended"] else f", {run['holder']}"
    reason = f": {run['reason']}" if run["reason"] else ""
    return f"run {run['run']} {run['state']}{counts}, {run['began']}{ended}{reason}"


def _told(run: RunRow) -> dict[str, Any]:
    summary = json.loads(run.summary) if run.summary else {}
    return {
        "run": run.run,
        "state": run.state,
        "holder": run.holder,
        "began": _moment(run.began_at),
        "ended": None if run.ended_at is None else _moment(run.ended_at),
        "mapped": run.mapped,
        "failed": run.failed,
        "layer": run.layer,
        "changes": summary.get("changes"),
        "reason": summary.get("reason"),
        "faults": summary.get("faults") or [],
    }


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
