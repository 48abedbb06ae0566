"""Chosen scenes of a region, for orchestrators that keep a task for each scene."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from pipeline.errors import ConfigError
from pipeline.regions.clock import Clock, utc_now
from pipeline.regions.ledger.ledger import Ledger, open_ledger
from pipeline.regions.ledger.lock import lock_holder, lock_region, lock_region_folder
from pipeline.regions.pending import WorkItem
from pipeline.regions.plan import plan_region
from pipeline.regions.resolved_region import ResolvedRegion
from pipeline.regions.run import stop_summary, write_area
from pipeline.regions.scenes import Reporter, map_region


def map_selected(
    site: ResolvedRegion, scenes: Collection[str], *, report: Reporter, clock: Clock = utc_now
) -> dict[str, Any]:
    """Map those of some scenes that are due, note them in the ledger, and return a summary.

    The layer stays as it is: the next whole run brings it up to date.

    Args:
        site: The region.
        scenes: Their names, as the plan gives them.
        report: Takes lines of progress.
        clock: Source of the current time.

    Raises:
        ConfigError: The region's file must be changed, or no source lists a scene.
        ModelError: The model cannot be used.
        ExportError: The disk is full, or a database does not answer.
        LockedError: Another run holds the region.
    """
    with lock_region_folder(site.out):
        ledger = open_ledger(site.out, region=site.region.name, url=site.ledger_url)
        try:
            with lock_region(ledger, holder=lock_holder(clock())):
                if site.area is not None:
                    write_area(site)
                return _map(site, scenes, ledger, clock=clock, report=report)
        finally:
            ledger.close()


def _map(
    site: ResolvedRegion, scenes: Collection[str], ledger: Ledger, *, clock: Clock, report: Reporter
) -> dict[str, Any]:
    known = ledger.scenes()
    plan = plan_region(site, known, now=clock().timestamp())
    missing = sorted(set(scenes) - {todo.candidate.scene for todo in plan.todos})
    if missing:
        raise ConfigError(
            f"--scene {missing[0]}: no source of {site.region.name} lists it; "
            "`overtile region plan` names those that there are"
        )
    there = {row.key for row in known.values() if row.key}
    todos = [_by_itself(t, there) for t in plan.todos if t.candidate.scene in scenes]
    # They count as results of the run that will put them into the layer.
    run = max((row.run for row in ledger.runs()), default=0) + 1
    chosen = replace(plan, todos=tuple(todos), withdrawn=())
    mapped = map_region(site, chosen, ledger, run=run, clock=clock, report=report)
    left = {t.candidate.scene: t.why for t in todos if t.state in ("waiting", "given up")}
    return {
        "region": site.region.name,
        "mapped": mapped.mapped,
        "linked": mapped.linked,
        "unchanged": sum(todo.state in ("done", "outside") for todo in todos),
        "failed": mapped.failed + len(left),
        "touched": list(mapped.rows),
        "not_due": left,
    } | stop_summary(mapped)


def _by_itself(todo: WorkItem, there: Collection[str | None]) -> WorkItem:
    """Return what to do about a scene when others with its content are not mapped before it."""
    if todo.state == "link" and todo.row.wanted not in there:
        return replace(todo, state="map")
    return todo
