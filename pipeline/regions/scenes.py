"""Mapping a region's scenes, each result noted before the next one begins."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.core.redaction import redact
from pipeline.errors import ClusterError, SceneError
from pipeline.labels.repair import count_noun
from pipeline.mapping.publish import current_manifest, manifest_of
from pipeline.mapping.run import ANOTHER_PLAN, crew_of, map_scene
from pipeline.mapping.tiles.workers import CheckedWorkers
from pipeline.outputs.rasters.coverage import coverage
from pipeline.regions.clock import Clock
from pipeline.regions.ledger.ledger import Ledger
from pipeline.regions.ledger.records import SceneRow
from pipeline.regions.pending import WorkItem
from pipeline.regions.plan import RegionPlan
from pipeline.regions.resolved_region import SCENES, ResolvedRegion

Reporter = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedScenes:
    """Results of a run's scenes."""

    mapped: int
    """Scenes mapped, or found mapped where a run was killed."""
    linked: int
    """Scenes whose content was mapped before."""
    failed: int
    """Scenes that failed now, or have tiles that did."""
    over_budget: bool
    """Whether the run stopped because too many did."""
    rows: tuple[dict[str, Any], ...]
    """A row for each scene that was touched."""
    lost: str
    """Why the run ended early, if the cluster was lost; no scene is at fault."""


def map_region(
    site: ResolvedRegion,
    plan: RegionPlan,
    ledger: Ledger,
    *,
    run: int,
    clock: Clock,
    report: Reporter,
) -> MappedScenes:
    """Map the scenes of a plan, one after the other.

    Raises:
        ConfigError: The request must be changed; no scene can be mapped.
        ModelError: The model cannot be used.
        ExportError: The disk is full, or the ledger cannot be written.
    """
    rows: list[dict[str, Any]] = []
    lost = ""
    counts = {"done": 0, "link": 0, "failed": 0}
    budget = site.region.policies.error_budget
    quiet = [t.row for t in plan.todos if t.state in ("done", "outside")]
    ledger.put([_noted(row) if row.key == row.wanted else _outside(row) for row in quiet])
    with crew_of(site.request, site.task, report) as crew:
        # Content that others have too is mapped before them.
        for todo in sorted(plan.todos, key=lambda todo: todo.state == "link"):
            if todo.state in ("map", "link", "unreadable"):
                try:
                    row, tiles, state = _one(site, todo, ledger, crew=crew, report=report)
                except ClusterError as error:
                    lost = redact(str(error))
                    report(f"error: {lost}")
                    break
                row = _dated(row, run=run, now=clock().timestamp())
                ledger.record(row, tiles)
                counts[state] += 1
                rows.append({"scene": row.scene, "state": row.state, "reason": row.reason})
            if counts["failed"] > budget:
                what = count_noun(counts["failed"], "scene")
                report(f"{what} failed, the error budget is {budget}; stopped")
                break
    return MappedScenes(
        mapped=counts["done"],
        linked=counts["link"],
        failed=counts["failed"],
        over_budget=counts["failed"] > budget,
        rows=tuple(rows),
        lost=lost,
    )


def _noted(row: SceneRow) -> SceneRow:
    # Listed again after it was withdrawn, or back after a change that failed.
    return row if row.state == "partial" else replace(row, state="done")


def _outside(row: SceneRow) -> SceneRow:
    return replace(row, state="outside", key=None, folder=None, coverage=None)


def _one(
    site: ResolvedRegion, todo: WorkItem, ledger: Ledger, *, crew: CheckedWorkers, report: Reporter
) -> tuple[SceneRow, dict[int, str], str]:
    """Return the row of a scene, its failed tiles, and how it counts."""
    if todo.state == "unreadable":
        report(todo.why)
        return replace(todo.row, state="failed"), {}, "failed"
    if todo.state == "link":
        same = (row for row in ledger.scenes().values() if row.key == todo.row.wanted)
        twin = next(same, None)
        if twin is not None:
            return _like(todo.row, twin), {}, "link"
        # The one with the same content failed; so would this one.
        text = "another scene with the same content failed in this run"
        return replace(todo.row, state="failed", attempts=1, reason=text), {}, "failed"
    report(f"{todo.candidate.scene}: {todo.why}")
    name = todo.folder
    target = site.request.out / name
    manifest = _results(target)
    if manifest is None:
        found = _map(site, todo, crew=crew, report=report)
        if found["state"] == "failed":
            return _failed(todo.row, str(found["reason"])), {}, "failed"
        manifest = manifest_of(target) or {}
    if _moved_on(todo.row, manifest):
        shutil.rmtree(target, ignore_errors=True)
        reason = f"{todo.candidate.scene}: it changed between planning and mapping; run again"
        return _failed(todo.row, reason), {}, "failed"
    try:
        covered = coverage(target / "mask.tif")
    except SceneError as error:
        return _failed(todo.row, str(error)), {}, "failed"
    tiles = {int(one["tile"]): str(one["reason"]) for one in manifest["tiles_failed"]}
    pixels = manifest["pixels"]
    row = replace(
        todo.row,
        state="partial" if tiles else "done",
        attempts=todo.row.attempts + 1 if tiles else 0,
        reason=f"{count_noun(len(tiles), 'tile')} failed, the first: {next(iter(tiles.values()))}"
        if tiles
        else None,
        key=todo.row.wanted,
        folder=name,
        datetime=manifest["scene"]["datetime"],
        coverage=covered.wkb.hex(),
        pixels=sum(count for kind, count in pixels.items() if kind != "nodata"),
        km2=covered.km2,
    )
    return row, tiles, "failed" if tiles else "done"


def _results(target: Path) -> dict[str, Any] | None:
    """Return the manifest of results that are there whole; their folder's name is their key.

    So they are of this content, task and weights, whichever version made them, and whether
    the ledger knows of them or was lost.
    """
    manifest = current_manifest(target) if target.is_dir() else None
    return None if manifest is None or manifest["tiles_failed"] else manifest


def _map(
    site: ResolvedRegion, todo: WorkItem, *, crew: CheckedWorkers, report: Reporter
) -> dict[str, Any]:
    """Map a scene; what cannot be gone on with in its folder is replaced."""
    target = site.request.out / todo.folder
    if manifest_of(target) is None:
        shutil.rmtree(target, ignore_errors=True)  # half removed
    found = map_scene(site.request, crew, todo.candidate.ref, todo.folder, report)
    if found["state"] == "failed" and ANOTHER_PLAN in str(found["reason"]):
        # Some of its tiles failed, and another version or device goes on: from the start.
        shutil.rmtree(target, ignore_errors=True)
        found = map_scene(site.request, crew, todo.candidate.ref, todo.folder, report)
    return found


def _moved_on(row: SceneRow, manifest: dict[str, Any]) -> bool:
    """Return whether what was mapped is not what was planned."""
    was, mapped = str(row.fingerprint), str(manifest.get("scene", {}).get("fingerprint"))
    # A catalogue's checksum and a server's answer cannot be compared.
    return was.partition(":")[0] == mapped.partition(":")[0] and was != mapped


def _failed(row: SceneRow, reason: str) -> SceneRow:
    return replace(row, state="failed", attempts=row.attempts + 1, reason=reason)


def _like(row: SceneRow, twin: SceneRow) -> SceneRow:
    """Return a scene with the results of another that has the same content, be that withdrawn."""
    torn = twin.attempts > 0 and twin.wanted == twin.key
    return replace(
        row,
        state="partial" if torn else "done",
        key=twin.key,
        folder=twin.folder,
        datetime=twin.datetime,
        coverage=twin.coverage,
        pixels=twin.pixels,
        km2=twin.km2,
        attempts=0,
        reason=twin.reason if torn else None,
    )


def _dated(row: SceneRow, *, run: int, now: float) -> SceneRow:
    if row.state in ("failed", "partial"):
        row = replace(row, tried_at=now)
    if row.state == "failed":
        return row
    return replace(row, first_run=row.first_run or run, last_run=run)


def footprint_file(site: ResolvedRegion, row: SceneRow) -> Path:
    """Return the footprints of a scene."""
    return site.out / SCENES / str(row.folder) / "polygons.parquet"
