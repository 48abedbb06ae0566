"""What a region's run would do: which scenes are new, changed, due again, or done."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from pipeline.core.redaction import redact
from pipeline.errors import ConfigError, SceneError
from pipeline.gdal.raster_guard import install_guard
from pipeline.mapping.publish import MANIFEST
from pipeline.regions.ledger.ledger import NAME, open_ledger
from pipeline.regions.ledger.records import RunRow, SceneRow
from pipeline.regions.pending import OTHER, WorkItem, changed_settings, resolve_work_item, work_item
from pipeline.regions.removal import WITHDRAWN, planned_removals
from pipeline.regions.resolved_region import SCENES, ResolvedRegion
from pipeline.regions.sources import Candidate, Listing, listings
from pipeline.regions.sync_sinks import check_sinks
from pipeline.scenes.open import fingerprint

_AT_ONCE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionPlan:
    """What a run would do."""

    todos: tuple[WorkItem, ...]
    """One for each listed scene, by name."""
    withdrawn: tuple[SceneRow, ...]
    """Scenes that their source no longer lists."""
    faults: tuple[str, ...]
    """What is wrong with sources and their entries."""


def plan_region(
    site: ResolvedRegion, known: Mapping[str, SceneRow], *, now: float, runs: Sequence[RunRow] = ()
) -> RegionPlan:
    """Return what a run would do. No model is loaded, and what did not change is not read.

    Args:
        site: The region.
        known: Records of the ledger.
        now: Seconds since 1970.
        runs: The region's runs: what they were mapped with, to find what has changed.

    Raises:
        ConfigError: The region's file must be changed.
    """
    install_guard()
    found = listings(site.region, root=site.root, area=site.area)
    candidates = sorted((c for one in found for c in one.candidates), key=lambda c: c.scene)
    policies = site.region.policies
    asked = [one for one in candidates if not _same(one, known.get(one.scene))]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        prints = dict(zip((c.scene for c in asked), pool.map(_print, asked), strict=True))
    finished = {row.key: row for row in known.values() if row.key and _there(site, row)}
    other = changed_settings(site, next((r.settings for r in reversed(runs) if r.settings), None))
    todos = []
    for candidate in candidates:
        todo = work_item(site, candidate, known.get(candidate.scene), prints.get(candidate.scene))
        if todo.why == OTHER:
            todo = replace(todo, why=other)
        if todo.state == "map":
            todo = resolve_work_item(
                site, todo, known.get(candidate.scene), finished, policies, now
            )
            if todo.state == "map" and todo.row.wanted is not None:
                # Twins among the new ones: the first is mapped, the others follow it.
                finished.setdefault(todo.row.wanted, replace(todo.row, folder=todo.folder))
        todos.append(todo)
    withdrawn = _withdrawn(found, known)
    return RegionPlan(
        todos=tuple(todos),
        withdrawn=withdrawn,
        faults=tuple(redact(fault) for one in found for fault in one.faults),
    )


def plan_summary(site: ResolvedRegion, *, now: float) -> dict[str, Any]:
    """Return what a run would do, for `overtile region plan`; nothing is written.

    Raises:
        ConfigError: The region's file must be changed, or the ledger cannot be read.
    """
    known: Mapping[str, SceneRow] = {}
    runs: Sequence[RunRow] = ()
    if site.ledger_url is not None or (site.out / NAME).is_file():
        ledger = open_ledger(site.out, region=site.region.name, url=site.ledger_url)
        try:
            known, runs = ledger.scenes(), ledger.runs()
        finally:
            ledger.close()
    plan = plan_region(site, known, now=now, runs=runs)
    faults = list(plan.faults)
    try:
        check_sinks(site)
    except ConfigError as error:
        faults.append(f"a run would end at once: {error}")
    counts: dict[str, int] = {}
    for todo in plan.todos:
        counts[todo.state] = counts.get(todo.state, 0) + 1
    return {
        "region": site.region.name,
        "counts": dict(sorted(counts.items())),
        "why": dict(sorted(Counter(_reason(t) for t in plan.todos if t.state == "map").items())),
        "scenes": [
            {"scene": t.candidate.scene, "state": t.state, "why": t.why}
            | {"key": t.row.wanted, "attempts": t.row.attempts}
            for t in plan.todos
        ],
        "withdrawn": [row.scene for row in plan.withdrawn],
        "results": planned_removals(site, plan.withdrawn),
        "faults": faults,
        "failed": len(faults) + counts.get("unreadable", 0),
    }


def _reason(todo: WorkItem) -> str:
    """Return why a scene is mapped, short enough to be counted."""
    return todo.why.partition(":")[0].partition(";")[0]


def _same(candidate: Candidate, row: SceneRow | None) -> bool:
    """Return whether the content is known without looking."""
    return (
        row is not None
        and candidate.token is not None
        and row.token == candidate.token
        and row.fingerprint is not None
    )


def _print(candidate: Candidate) -> str | SceneError:
    checksum = dict(candidate.ref.options).get("sha256")
    if checksum and "://" in candidate.ref.href:
        return f"sha256:{checksum}"
    try:
        return fingerprint(candidate.ref)
    except SceneError as error:
        return error


def _there(site: ResolvedRegion, row: SceneRow) -> bool:
    if row.folder is None:
        return False
    places = (f"{site.out}/{SCENES}", f"{site.out}/{WITHDRAWN}")
    return any(os.path.isfile(f"{place}/{row.folder}/{MANIFEST}") for place in places)  # noqa: PTH113 - speed


def _withdrawn(found: list[Listing], known: Mapping[str, SceneRow]) -> tuple[SceneRow, ...]:
    """Return scenes that a source no longer lists, except where its listing failed."""
    listed = {candidate.scene for one in found for candidate in one.candidates}
    listed |= {name for one in found for name in one.broken}
    unsure = {one.source for one in found if not one.complete or not one.candidates}
    return tuple(
        row
        for name, row in sorted(known.items())
        if name not in listed and row.source not in unsure
    )
