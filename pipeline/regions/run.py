"""A run of a region: scenes, layer, changes, sinks; noted in the ledger last."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace
from typing import Any

from shapely import to_geojson

from pipeline.core.redaction import redact, redact_values
from pipeline.errors import PipelineError, interrupted
from pipeline.mapping.publish import sha256
from pipeline.outputs.atomic import write_atomically
from pipeline.regions.clock import Clock, utc_now
from pipeline.regions.layer.product import publish_layer
from pipeline.regions.ledger.ledger import Ledger, open_ledger
from pipeline.regions.ledger.lock import Prove, lock_holder, lock_region, lock_region_folder
from pipeline.regions.ledger.records import RunRow
from pipeline.regions.plan import RegionPlan, plan_region
from pipeline.regions.publish import last_on_disk, remove_old_runs
from pipeline.regions.removal import remove_unused, restore_results
from pipeline.regions.report.page import write_page
from pipeline.regions.resolved_region import ResolvedRegion
from pipeline.regions.scenes import MappedScenes, Reporter, map_region
from pipeline.regions.sync_sinks import check_sinks, sync_sinks

_MOST_FAULTS = 200
"""Faults of a run that the ledger keeps."""


def run_region(site: ResolvedRegion, *, report: Reporter, clock: Clock = utc_now) -> dict[str, Any]:
    """Map what is new or changed, bring the layer up to date, and return a summary.

    Safe to repeat, and to kill at any instant: what was finished is not done again.

    Raises:
        ConfigError: The region's file must be changed.
        ModelError: The model cannot be used.
        SceneError: The results of a scene are damaged; the next run maps it again.
        ExportError: The disk is full, or a database does not answer.
        LockedError: Another run holds the region.
    """
    check_sinks(site)
    began = clock()
    with ExitStack() as stack:
        stack.enter_context(lock_region_folder(site.out))
        ledger = open_ledger(site.out, region=site.region.name, url=site.ledger_url)
        stack.callback(ledger.close)
        prove = stack.enter_context(lock_region(ledger, holder=lock_holder(began)))
        run = ledger.begin(
            holder=lock_holder(began), now=began.timestamp(), after=last_on_disk(site.out)
        )
        run = replace(run, settings=json.dumps(site.parts))
        try:
            if site.area is not None:
                write_area(site)
            run, summary, removed = _run(site, ledger, run, prove=prove, clock=clock, report=report)
        except BaseException as error:
            _note_failure(ledger, run, error, clock)
            raise
        if run.state == "done":
            _after(site, ledger, run, summary, removed=removed, clock=clock, report=report)
        try:
            summary["report"] = str(write_page(site, ledger, now=clock()))
        except PipelineError as error:
            _fault(summary, f"report: {error}", report)
        return summary


def _run(
    site: ResolvedRegion,
    ledger: Ledger,
    run: RunRow,
    *,
    prove: Prove,
    clock: Clock,
    report: Reporter,
) -> tuple[RunRow, dict[str, Any], set[str]]:
    """Map and publish; return the run's record, the summary, and the removed results."""
    watch, known = [time.monotonic()], ledger.scenes()
    plan = plan_region(site, known, now=clock().timestamp(), runs=ledger.runs())
    removed = {row.scene for row in plan.withdrawn}
    restore_results(site, known, plan.todos)
    for fault in plan.faults:
        report(fault)
    ledger.put([replace(row, state="withdrawn") for row in plan.withdrawn])
    watch.append(time.monotonic())
    mapped = map_region(site, plan, ledger, run=run.run, clock=clock, report=report)
    watch.append(time.monotonic())
    prove()
    if mapped.lost:
        summary = _summary(site, run, plan, mapped) | {"state": "failed"} | stop_summary(mapped)
        row = _ended(run, "failed", mapped, clock, summary)
        ledger.commit(row, outputs={}, timings=_timings(watch))
        return row, summary, removed
    if mapped.over_budget:
        summary = _summary(site, run, plan, mapped) | {"state": "stopped"}
        row = _ended(run, "stopped", mapped, clock, summary)
        ledger.commit(row, outputs={}, timings=_timings(watch))
        return row, summary, removed
    published, made = publish_layer(site, ledger, run)
    prove()
    watch.append(time.monotonic())
    summary = _summary(site, run, plan, mapped) | {"state": "done"} | made
    row = _ended(published, "done", mapped, clock, summary)
    files = _files(site, run) if made.get("layer_built") else {}
    ledger.commit(row, outputs=files, timings=_timings(watch))
    return row, summary, removed


def _after(  # noqa: PLR0913 - what a run has at its end
    site: ResolvedRegion,
    ledger: Ledger,
    run: RunRow,
    summary: dict[str, Any],
    *,
    removed: set[str],
    clock: Clock,
    report: Reporter,
) -> None:
    """Synchronise sinks and remove old results; failures are reported, and the run stands."""
    detail = sync_sinks(site, ledger, run, clock=clock)
    if detail:
        summary["sinks"] = detail
    for sink in detail:
        if "error" in sink:
            _fault(summary, f"sink {sink['table']}: {sink['error']}; tried again next time", report)
    try:
        _tidy(site, ledger)
        cleared = remove_unused(site, ledger, withdrawn=removed, layer=run.layer)
        summary["results"] = asdict(cleared)
    except PipelineError as error:
        _fault(summary, f"old results could not be removed: {error}", report)
    if detail or summary["faults"] or any(summary.get("results", {}).values()):
        ledger.commit(replace(run, summary=_stored(summary)), outputs={}, timings={})


def _fault(summary: dict[str, Any], fault: str, report: Reporter) -> None:
    detail = redact(fault)
    summary["faults"] = [*summary["faults"], detail]
    report(detail)


def _note_failure(ledger: Ledger, run: RunRow, error: BaseException, clock: Clock) -> None:
    """Note why a run ended early, if it did and the ledger can still be written."""
    stopped = interrupted(error)
    reason = str(error) if isinstance(error, PipelineError) else repr(error)
    row = replace(
        run,
        state="interrupted" if stopped else "failed",
        ended_at=clock().timestamp(),
        summary=json.dumps({"reason": "stopped by hand" if stopped else redact(reason)}),
    )
    with suppress(PipelineError):
        # One that is stopped as its last transaction ends is done.
        if any(one.run == run.run and one.state == "running" for one in ledger.runs()):
            ledger.commit(row, outputs={}, timings={})


def _summary(
    site: ResolvedRegion, run: RunRow, plan: RegionPlan, mapped: MappedScenes
) -> dict[str, Any]:
    states = [todo.state for todo in plan.todos]
    return {
        "region": site.region.name,
        "run": run.run,
        "scenes": len(plan.todos),
        "mapped": mapped.mapped,
        "linked": mapped.linked,
        "unchanged": states.count("done"),
        "outside": states.count("outside"),
        "waiting": states.count("waiting"),
        "given_up": states.count("given up"),
        "withdrawn": len(plan.withdrawn),
        "failed": mapped.failed,
        "faults": list(plan.faults),
        "touched": list(mapped.rows),
    }


def stop_summary(mapped: MappedScenes) -> dict[str, str]:
    """Return what a summary gains where the cluster was lost; nothing where it was not."""
    return {"stopped": mapped.lost, "reason": mapped.lost} if mapped.lost else {}


def _ended(
    run: RunRow, state: str, mapped: MappedScenes, clock: Clock, summary: dict[str, Any]
) -> RunRow:
    return replace(
        run,
        state=state,
        ended_at=clock().timestamp(),
        mapped=mapped.mapped,
        failed=mapped.failed,
        summary=_stored(summary),
    )


def _stored(summary: dict[str, Any]) -> str:
    """Return what the ledger keeps of a summary: for years, so that long lists are cut."""
    kept = {name: value for name, value in summary.items() if name != "touched"}
    return json.dumps(redact_values(kept | {"faults": summary["faults"][:_MOST_FAULTS]}))


def _timings(watch: list[float]) -> dict[str, float]:
    names = ("plan", "scenes", "layer")
    return {
        name: round(after - before, 3)
        for name, before, after in zip(names, watch, watch[1:], strict=False)
    }


def _files(site: ResolvedRegion, run: RunRow) -> dict[str, tuple[int, str]]:
    folder = site.out / "runs" / f"{run.run:06d}"
    return {
        str(path.relative_to(site.out)): (path.stat().st_size, sha256(path))
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _tidy(site: ResolvedRegion, ledger: Ledger) -> None:
    """Remove old layers; nothing of it is needed, so that failing costs room only."""
    remove_old_runs(site.out, keep=site.region.policies.keep_runs)
    for old in ledger.runs():
        if old.layer is not None and not (site.out / old.layer).is_dir():
            ledger.forget_layer(old)


def write_area(site: ResolvedRegion) -> None:
    """Write the area of interest where workers find it, unless it stands there."""
    path = site.out / "aoi.geojson"
    feature = {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "properties": {},
                "geometry": json.loads(str(to_geojson(site.area))),
            }
        ],
    }
    text = json.dumps(feature)
    if path.is_file() and path.read_text("utf-8") == text:
        return
    with write_atomically(path) as part:
        part.write_text(text, "utf-8")
