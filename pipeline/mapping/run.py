"""Mapping scenes: plan, tiles, outputs; resumed where an earlier run was stopped."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.config import Task
from pipeline.core.code_cache import count_kept
from pipeline.core.redaction import redact
from pipeline.errors import ClusterError, SceneError
from pipeline.executors.executor import Executor
from pipeline.gdal.raster_guard import install_guard
from pipeline.mapping.finishing.outputs import write_outputs
from pipeline.mapping.finishing.stitch import Stitcher
from pipeline.mapping.folders import WORK, note_source, scene_folders
from pipeline.mapping.lock import lock_folder
from pipeline.mapping.plan_scene import DraftPlan, plan_scene, requested_scenes
from pipeline.mapping.planning.plan import ScenePlan
from pipeline.mapping.planning.request import MapRequest
from pipeline.mapping.progress import Progress
from pipeline.mapping.publish import (
    current_manifest,
    publish_outputs,
    refuse_links,
    refuse_other_plan,
)
from pipeline.mapping.tiles.tile_collector import TileCollector
from pipeline.mapping.tiles.tile_task import TileRecord, map_tile_task, predict_tile_task
from pipeline.mapping.tiles.workers import CheckedWorkers
from pipeline.mapping.volume.run import map_volume, volumes_of
from pipeline.models.registry import card_of
from pipeline.outputs.atomic import write_faults
from pipeline.scenes.names import redacted
from pipeline.scenes.open import fingerprint
from pipeline.scenes.scene import SceneRef

ANOTHER_PLAN = "holds the results of another plan"
Reporter = Callable[[str], None]


def map_scenes(request: MapRequest, *, report: Reporter) -> dict[str, Any]:
    """Map scenes one after the other and return a summary.

    Args:
        request: What to map, and how.
        report: Takes lines for people.

    Returns:
        ``scenes``: a row for each, with ``state`` done, unchanged, failed or, where the
        cluster was lost, stopped; ``failed``: how many scenes did not make it, or lack tiles,
        or could not be scored; ``stopped``: why the run ended early, if it did.

    Raises:
        ConfigError: Nothing ran; the command or a file must be changed.
        ModelError: The model cannot be used.
        ExportError: The disk is full or the folder is read-only.
        LockedError: Another run holds the folder.
    """
    install_guard()
    if not count_kept(given=os.environ.get("NUMBA_CACHE_DIR", "")):
        report("compiling the loops over pixels, the first time: up to a minute")
    if request.truth is not None:
        from pipeline.mapping.score import check_truth, write_score_summary

        check_truth(request)
    task = request.chosen_task
    found = requested_scenes(request)
    rows: list[dict[str, Any]] = [_failed(error.scene, error, report) for error in found.failures]
    for note in found.notes:
        report(note)
    card = card_of(task.model)
    with lock_folder(request.out), crew_of(request, task, report) as crew:
        if card.terms.use:
            report(f"model {task.model}: {card.terms.use}")
        if card.network.dims == 3:
            volumes, others = volumes_of(found.refs, request.out)
            rows.extend(_failed(error.scene, error, report) for error in others)
            units = [
                (path, partial(map_volume, request, crew, path, name, work=_work(request, name)))
                for name, path in volumes.items()
            ]
        else:
            named = zip(found.refs, scene_folders(request.out, found.refs), strict=True)
            units = [
                (redacted(ref.href), partial(map_scene, request, crew, ref, name))
                for ref, name in named
            ]
        stopped = _map_each(units, rows, report)
        gained = write_score_summary(rows, request.out) if request.truth is not None else {}
    if stopped:
        gained["stopped"] = stopped
    if found.notes:
        gained["not_mapped"] = list(found.notes)
    failed = sum(
        row["state"] == "failed" or bool(row.get("tiles_failed")) or "unscored" in row
        for row in rows
    )
    return {"out": str(request.out), **gained, "scenes": rows, "failed": failed}


def _map_each(
    units: Sequence[tuple[str, Callable[..., dict[str, Any]]]],
    rows: list[dict[str, Any]],
    report: Reporter,
) -> str:
    """Map scenes one after the other, a row for each; return why the run ended early, if it did.

    Where the cluster is lost no scene is at fault: that scene and the rest are stopped.
    """
    stopped = ""
    for source, map_one in units:
        if not stopped:
            try:
                rows.append(map_one(report=report))
            except ClusterError as error:
                stopped = redact(str(error))
                report(f"error: {stopped}")
            else:
                continue
        rows.append({"scene": source, "state": "stopped"})
    return stopped


def _work(request: MapRequest, name: str) -> Path:
    return request.out / WORK / name


@contextmanager
def crew_of(request: MapRequest, task: Task, report: Reporter) -> Iterator[CheckedWorkers]:
    """Yield the workers that works for a request; they are let go at the end."""
    crew = CheckedWorkers(request, task, report=report)
    try:
        yield crew
    finally:
        crew.close()
        with suppress(OSError):
            (request.out / WORK).rmdir()


def _failed(source: str, error: Exception, report: Reporter) -> dict[str, Any]:
    text = redact(str(error))
    report(text)
    return {"scene": source, "state": "failed", "reason": text}


def map_scene(
    request: MapRequest, crew: CheckedWorkers, ref: SceneRef, name: str, report: Reporter
) -> dict[str, Any]:
    """Map one scene into its folder, and return its row of the summary.

    What is wrong with the scene or its folder is reported in the row, so that others go on.

    Raises:
        ConfigError: The request must be changed; no scene can be mapped.
        ModelError: The model cannot be used.
        ExportError: The disk is full or the folder is read-only.
        ClusterError: The cluster was lost; the scene's tiles are kept.
    """
    target, work = request.out / name, request.out / WORK
    refuse_links(target, work, work / name, work / name / "tiles", work / name / "final")
    try:
        planned = plan_scene(request, crew.task, ref, name)
        refuse_other_plan(target, planned.draft.info.source, planned.digest, planned.settings)
        seen = planned.draft.grid.sampling
        engine = crew.engine(planned.card, pixels=seen.net_height * seen.net_width)
        plan = planned.ready(engine, request.out / WORK / name)
        for note in planned.notes:
            report(f"{name}: {note}")
        for warning in planned.warnings:
            report(f"{name}: warning: {warning}")
        manifest = current_manifest(target)
        state = "unchanged"
        if manifest is None or manifest["tiles_failed"]:
            crew.prove(request.out, ref, engine)
            manifest = _run(plan, crew.executor, target, planned.warnings)
            state = "done"
        row = _row(plan, target, manifest, state, planned)
        if request.truth is not None:
            from pipeline.mapping.score import score_scene

            row |= score_scene(request, ref, target, report)
    except SceneError as error:
        shutil.rmtree(request.out / WORK / name, ignore_errors=True)
        return _failed(redacted(ref.href), error, report)
    if row["tiles_failed"]:
        report(
            f"{name}: {row['tiles_failed']} tiles failed and are marked as no data; see run.json"
        )
    return row


def _run(
    plan: ScenePlan, executor: Executor, target: Path, warnings: tuple[str, ...]
) -> dict[str, Any]:
    """Map a scene's tiles, join them as they come, and write its outputs."""
    began = time.monotonic()
    with write_faults(plan.tiles):
        plan.tiles.mkdir(parents=True, exist_ok=True)
    note_source(Path(plan.work), plan.info.source)
    with (
        Progress(plan.name, pixels=plan.info.height * plan.info.width) as progress,
        _scratch(plan) as scratch,
    ):
        sweep = TileCollector(plan, Stitcher(plan, Path(scratch)))
        if plan.card.context == "blend":
            progress.stage("predicting overlapping tiles")
            for job, outcome in executor.run(predict_tile_task, sweep.jobs()):
                sweep.account(job, outcome)
        for job, outcome in executor.run(map_tile_task, sweep.jobs()):
            sweep.take(job, outcome)
            reused = isinstance(outcome, TileRecord) and outcome.reused
            progress.advance(job.core.pixels, reused=reused)
        sweep.end()
        predicted = time.monotonic()
        progress.stage("writing outputs")
        if fingerprint(plan.scene) != plan.info.fingerprint:
            raise SceneError(
                plan.info.source, "it changed while it was mapped", "run the same command again"
            )
        manifest = write_outputs(
            plan, sweep.joiner, failures=sweep.failures, warnings=warnings, scratch=scratch
        )
        sweep.joiner.polygons.store.close()
        ended = time.monotonic()
        summary = {
            "stage": "scene",
            "tiles_s": round(predicted - began, 3),
            "outputs_s": round(ended - predicted, 3),
            "mpx_per_s": round(progress.mpx_per_s, 3),
            "device_busy": round(sweep.predict_s / max(1e-9, predicted - began), 3),
        }
        publish_outputs(plan.final, target, [*sweep.log, summary])
        busy = f"device busy {summary['device_busy']:.0%} of the tiles' time"
        progress.stage(f"done in {ended - began:.1f} s, {busy}, {target}")
    if not sweep.failures:
        shutil.rmtree(plan.work, ignore_errors=True)
    return manifest


def _scratch(plan: ScenePlan) -> tempfile.TemporaryDirectory[str]:
    for old in Path(plan.work).glob("join-*"):
        shutil.rmtree(old, ignore_errors=True)
    with write_faults(Path(plan.work)):
        return tempfile.TemporaryDirectory(prefix="join-", dir=plan.work)


def _row(
    plan: ScenePlan, target: Path, manifest: dict[str, Any], state: str, planned: DraftPlan
) -> dict[str, Any]:
    return {
        "scene": plan.info.source,
        "state": state,
        "folder": str(target),
        "polygons": manifest["polygons"]["written"],
        "tiles": manifest["grid"]["tiles"],
        "tiles_failed": len(manifest["tiles_failed"]),
        "tile_pixels_over_scene_pixels": manifest["grid"]["tile_pixels_over_scene_pixels"],
        "rf_radius_px": plan.card.network.rf_radius,
        **(
            {"seam_difference": manifest["seam_difference"]}
            if "seam_difference" in manifest
            else {}
        ),
        "warnings": list(planned.warnings),
    }
