"""A run of a region: scenes, layer, changes, sinks; noted in the ledger last."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from shapely import to_geojson

from pipeline.outputs.atomic import replacing
from pipeline.runs.publish import sha256
from pipeline.runs.region.changes import changes
from pipeline.runs.region.clock import Clock, utc_now
from pipeline.runs.region.layer import LayerScene, build_layer
from pipeline.runs.region.ledger import Ledger, open_ledger
from pipeline.runs.region.lock import Prove, holding_folder, holding_region, me
from pipeline.runs.region.page import write_page
from pipeline.runs.region.plan import RegionPlan, plan_region
from pipeline.runs.region.publish import publish, retain, run_folder
from pipeline.runs.region.records import RunRow, SceneRow
from pipeline.runs.region.scenes import (
    Mapped,
    Tell,
    clear_away,
    map_region,
    polygons_of,
)
from pipeline.runs.region.sinks import write_sinks
from pipeline.runs.region.site import LAYER, SCENES, Site, digest, from_environment


def run_region(site: Site, *, tell: Tell, clock: Clock = utc_now) -> dict[str, Any]:
    """Map what is new or changed, bring the layer up to date, and return a summary.

    Safe to repeat, and to kill at any instant: what was finished is not done again.

    Raises:
        ConfigError: The region's file must be changed.
        ModelError: The model cannot be used.
        ExportError: The disk is full, or a database does not answer.
        LockedError: Another run holds the region.
    """
    began = clock()
    with ExitStack() as stack:
        stack.enter_context(holding_folder(site.out))
        ledger = open_ledger(site.out, region=site.region.name, url=site.ledger_url)
        stack.callback(ledger.close)
        prove = stack.enter_context(holding_region(ledger, holder=me(began)))
        run = ledger.begin(holder=me(began), now=began.timestamp())
        if site.area is not None:
            write_area(site)
        summary = _run(site, ledger, run, prove=prove, clock=clock, tell=tell)
        page = write_page(site, ledger, now=clock())
        return summary | {"report": str(page)}


def _run(
    site: Site, ledger: Ledger, run: RunRow, *, prove: Prove, clock: Clock, tell: Tell
) -> dict[str, Any]:
    watch = [time.monotonic()]
    plan = plan_region(site, ledger.scenes(), now=clock().timestamp())
    for fault in plan.faults:
        tell(fault)
    ledger.put([replace(row, state="withdrawn") for row in plan.withdrawn])
    watch.append(time.monotonic())
    mapped = map_region(site, plan, ledger, run=run.run, clock=clock, tell=tell)
    watch.append(time.monotonic())
    prove()
    if mapped.over_budget:
        summary = _summary(site, run, plan, mapped) | {"state": "stopped"}
        row = _ended(run, "stopped", mapped, clock, summary)
        ledger.commit(row, outputs={}, timings=_timings(watch))
        return summary
    published, made = _publish(site, ledger, run)
    prove()
    watch.append(time.monotonic())
    summary = _summary(site, run, plan, mapped) | {"state": "done"} | made
    row = _ended(run, "done", mapped, clock, summary)
    row = replace(row, layer=published.layer, layer_key=published.layer_key)
    files = _files(site, run) if made.get("layer_built") else {}
    ledger.commit(row, outputs=files, timings=_timings(watch))
    _tidy(site, ledger)
    return summary


def _publish(site: Site, ledger: Ledger, run: RunRow) -> tuple[RunRow, dict[str, Any]]:
    """Build the layer and what follows from it, unless it would be the one that is there."""
    rows = _in_layer(site, ledger.scenes())
    policies = site.region.policies
    key = digest(
        [
            policies.overlap,
            list(site.region.outputs),
            [[row.scene, row.key, row.last_run, row.off_nadir] for row in rows],
        ]
    )
    before = ledger.published()
    standing = None if before is None or before.layer is None else site.out / before.layer
    if standing is not None and not (standing / LAYER).is_file():
        standing = None
    if before is not None and standing is not None and before.layer_key == key:
        return replace(run, layer=before.layer, layer_key=key), {"layer_built": False}
    if not rows:
        return run, {"layer_built": False}
    name = f"{run.run:06d}"
    folder = run_folder(site.out, name)
    previous = None if standing is None else standing / LAYER
    scenes = [_layer_scene(site, row) for row in rows]
    layer = build_layer(scenes, previous=previous, out=folder / LAYER, policy=policies.overlap)
    made: dict[str, Any] = {"layer_built": True, "layer": asdict(layer)}
    if previous is not None:
        made["changes"] = asdict(changes(previous, folder / LAYER, folder / "changes"))
    items = {row.scene: site.out / SCENES / str(row.folder) / "item.json" for row in rows}
    write_sinks(
        folder / LAYER, folder, names=site.region.outputs, region=site.region.name, items=items
    )
    for sink in site.region.sinks:
        from pipeline.outputs.postgis import upsert_layer

        put = upsert_layer(from_environment(sink.url_env), sink.table, folder / LAYER, run_id=name)
        made.setdefault("sinks", []).append({"table": sink.table, **asdict(put)})
    publish(site.out, name, {"region": site.region.name, "footprints": layer.footprints})
    made["folder"] = str(folder)
    return replace(run, layer=f"runs/{name}", layer_key=key), made


def _in_layer(site: Site, rows: dict[str, SceneRow]) -> list[SceneRow]:
    """Return the scenes of the layer; of several with the same content the one known longest."""
    chosen: dict[str, SceneRow] = {}
    for row in sorted(rows.values(), key=lambda row: (row.first_run or 0, row.scene)):
        if row.folder is None or not polygons_of(site, row).is_file():
            continue
        if row.state == "withdrawn" and site.region.policies.withdrawn == "drop":
            continue
        chosen.setdefault(row.folder, row)
    return sorted(chosen.values(), key=lambda row: row.scene)


def _layer_scene(site: Site, row: SceneRow) -> LayerScene:
    return LayerScene(
        key=row.scene,
        parquet=polygons_of(site, row),
        coverage=bytes.fromhex(row.coverage or ""),
        datetime=row.datetime,
        off_nadir=row.off_nadir,
    )


def _summary(site: Site, run: RunRow, plan: RegionPlan, mapped: Mapped) -> dict[str, Any]:
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


def _ended(
    run: RunRow, state: str, mapped: Mapped, clock: Clock, summary: dict[str, Any]
) -> RunRow:
    return replace(
        run,
        state=state,
        ended_at=clock().timestamp(),
        mapped=mapped.mapped,
        failed=mapped.failed,
        summary=json.dumps(summary),
    )


def _timings(watch: list[float]) -> dict[str, float]:
    names = ("plan", "scenes", "layer")
    return {
        name: round(after - before, 3)
        for name, before, after in zip(names, watch, watch[1:], strict=False)
    }


def _files(site: Site, run: RunRow) -> dict[str, tuple[int, str]]:
    folder = site.out / "runs" / f"{run.run:06d}"
    return {
        str(path.relative_to(site.out)): (path.stat().st_size, sha256(path))
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _tidy(site: Site, ledger: Ledger) -> None:
    """Remove old layers and results; nothing of it is needed, so that failing costs room only."""
    gone = set(retain(site.out, keep=site.region.policies.keep_runs))
    for old in ledger.runs():
        if old.layer is not None and Path(old.layer).name in gone:
            ledger.forget_layer(old)
    clear_away(site, ledger.scenes())


def write_area(site: Site) -> None:
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
    with replacing(path) as part:
        part.write_text(text, "utf-8")
