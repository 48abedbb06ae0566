"""A region's report, from its ledger: written anew at the end of every run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.core.redaction import redact, redact_values
from pipeline.regions.layer.changes import Amount, ChangeSummary
from pipeline.regions.ledger.ledger import Ledger
from pipeline.regions.ledger.records import RunRow, SceneRow
from pipeline.regions.publish import run_folder
from pipeline.regions.report.report import (
    ReportChanges,
    ReportHeader,
    ReportRun,
    ReportScene,
    write_region_report,
)
from pipeline.regions.resolved_region import ResolvedRegion
from pipeline.regions.schedule.schedule import next_run

NAME = "report.html"


def write_page(site: ResolvedRegion, ledger: Ledger, *, now: datetime) -> Path:
    """Write ``report.html`` beside the runs, and return it; no layer depends on it.

    Raises:
        ConfigError: The changes of the last layer cannot be read.
        ExportError: The page could not be written, or the ledger not be read.
    """
    runs = ledger.runs()
    scenes = sorted(ledger.scenes().items())
    path = site.out / NAME
    schedule = site.region.schedule
    coming = None if schedule is None else next_run(schedule, now)
    write_region_report(
        path,
        header=ReportHeader(
            region=site.region.name,
            written=_moment(now.timestamp()),
            next_run=None if coming is None else _moment(coming.timestamp()),
        ),
        scenes=[_scene(row) for _, row in scenes],
        runs=_history(runs),
        changes=_changes(site, runs),
    )
    return path


def _scene(row: SceneRow) -> ReportScene:
    return ReportScene(
        key=row.scene,
        state=row.state,
        area=bytes.fromhex(row.coverage) if row.coverage else None,
        datetime=row.datetime,
        km2=row.km2 if row.folder else None,
        attempts=row.attempts,
        reason=None if row.reason is None else redact(row.reason),
    )


def _history(runs: Sequence[RunRow]) -> list[ReportRun]:
    """Return all runs; one that built no layer shows the one before."""
    found, footprints = [], None
    for run in runs:
        summary = _summary(run)
        changes = summary.get("changes") or {}
        if "layer" in summary:
            footprints = int(summary["layer"]["footprints"])
        found.append(
            ReportRun(
                run=str(run.run),
                began=_moment(run.began_at),
                state=f"{run.state}: {summary['reason']}" if "reason" in summary else run.state,
                mapped=run.mapped,
                failed=run.failed,
                footprints=footprints,
                faults=tuple(summary.get("faults") or ()),
                notes=_notes(summary),
                **{
                    kind: changes[kind]["count"] if changes else None
                    for kind in ("added", "removed", "changed")
                },
            )
        )
    return found


def _notes(summary: dict[str, Any]) -> tuple[str, ...]:
    """Return counts of results that the layer no longer uses."""
    results = summary.get("results") or {}
    detail = {
        "set_aside": "Results of withdrawn scenes that were set aside, and go with the next run",
        "removed": "Results that no layer uses any more, and were removed",
    }
    return tuple(f"{text}: {results[kind]}." for kind, text in detail.items() if results.get(kind))


def _changes(site: ResolvedRegion, runs: Sequence[RunRow]) -> ReportChanges | None:
    """Return what the current layer changed; None for a first one."""
    built = [run for run in runs if run.state == "done" and "layer" in _summary(run)]
    if len(built) < 2:
        return None
    detail = _summary(built[-1]).get("changes")
    layer = run_folder(site.out, f"{built[-1].run:06d}") / "changes" / "changes.parquet"
    if detail is None or not layer.is_file():
        return None
    return ReportChanges(
        before=str(built[-2].run),
        after=str(built[-1].run),
        summary=ChangeSummary(**{name: Amount(**amount) for name, amount in detail.items()}),
        layer=layer,
    )


def _summary(run: RunRow) -> dict[str, Any]:
    found: dict[str, Any] = redact_values(json.loads(run.summary)) if run.summary else {}
    return found


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
