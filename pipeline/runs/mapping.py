"""Mapping scenes: plan, tiles, outputs; resumed where an earlier run was stopped."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import shapely

from pipeline.core.window import Window
from pipeline.errors import ConfigError, ExportError, ModelError, PipelineError, SceneError
from pipeline.executors.executor import Executor
from pipeline.outputs.atomic import write_faults
from pipeline.runs.aoi import around, wanted
from pipeline.runs.artefact import read_artefact
from pipeline.runs.finish import manifest_of, publish, standing, write_outputs
from pipeline.runs.join import Joiner
from pipeline.runs.lock import holding
from pipeline.runs.plan import ScenePlan
from pipeline.runs.planning import Planned, plan_scene
from pipeline.runs.progress import Progress
from pipeline.runs.request import MapRequest
from pipeline.runs.tile import TileJob, TileRecord, map_tile, overlapping, predict_tile
from pipeline.runs.workers import Crew
from pipeline.scenes.find import find_scenes, unique_names
from pipeline.scenes.guard import install_guard
from pipeline.scenes.open import fingerprint
from pipeline.scenes.scene import SceneRef

WORK = ".work"
Tell = Callable[[str], None]


def map_scenes(request: MapRequest, *, tell: Tell) -> dict[str, Any]:
    """Map scenes one after the other and return a summary.

    Args:
        request: What to map, and how.
        tell: Takes lines for people.

    Returns:
        ``scenes``: a row for each, with ``state`` done, unchanged or failed; ``failed``:
        how many scenes or tiles did not make it.

    Raises:
        ConfigError: Nothing ran; the command or a file must be changed.
        ModelError: The model cannot be used.
        ExportError: The disk is full or the folder is read-only.
        LockedError: Another run holds the folder.
    """
    install_guard()
    task = request.chosen_task
    found = find_scenes(request.scenes, dict(request.scene_options))
    rows: list[dict[str, Any]] = [_failed(error.scene, error, tell) for error in found.failures]
    with holding(request.out):
        crew = Crew(request, task)
        try:
            for ref, name in zip(found.refs, unique_names(found.refs), strict=True):
                rows.append(_map_one(request, crew, ref, name, tell))
        finally:
            crew.close()
            with suppress(OSError):
                (request.out / WORK).rmdir()
    failed = sum(row["state"] == "failed" or bool(row.get("tiles_failed")) for row in rows)
    return {"out": str(request.out), "scenes": rows, "failed": failed}


def _failed(source: str, error: Exception, tell: Tell) -> dict[str, Any]:
    tell(str(error))
    return {"scene": source, "state": "failed", "reason": str(error)}


def _map_one(
    request: MapRequest, crew: Crew, ref: SceneRef, name: str, tell: Tell
) -> dict[str, Any]:
    target = request.out / name
    try:
        planned = plan_scene(request, crew.task, ref, name)
        refuse_another(target, planned)
        plan = planned.ready(crew.engine(planned.card), request.out / WORK / name)
        for note in planned.notes:
            tell(f"{name}: {note}")
        for warning in planned.warnings:
            tell(f"{name}: warning: {warning}")
        manifest = standing(target)
        state = "unchanged"
        if manifest is None or manifest["tiles_failed"]:
            crew.prove(request.out, ref)
            manifest = _run(plan, crew.executor, target, planned.warnings)
            state = "done"
        row = _row(plan, target, manifest, state, planned)
        if request.truth is not None:
            row["scores"] = _report(request, ref, target)
    except SceneError as error:
        shutil.rmtree(request.out / WORK / name, ignore_errors=True)
        return _failed(ref.href, error, tell)
    if row["tiles_failed"]:
        tell(f"{name}: {row['tiles_failed']} tiles failed and are marked as no data; see run.json")
    return row


def refuse_another(target: Path, planned: Planned) -> None:
    """Refuse a folder that holds anything but this plan's results.

    Raises:
        ConfigError: It does; says what differs.
    """
    there = manifest_of(target)
    if there is None:
        if target.exists() and any(target.iterdir()):
            raise ConfigError(
                f"{target} holds other files and no run.json; choose another --out, or remove it"
            )
        return
    if there.get("plan") == planned.digest:
        return
    before, now = there.get("settings", {}), planned.settings
    differing = sorted(key for key in now if before.get(key) != now[key])
    raise ConfigError(
        f"{target} holds the results of another plan (other {', '.join(differing) or 'version'}); "
        "choose another --out, or remove it"
    )


def _run(  # noqa: C901 - one flow: predict, join in order, write
    plan: ScenePlan, executor: Executor, target: Path, warnings: tuple[str, ...]
) -> dict[str, Any]:
    """Map a scene's tiles, join them as they come, and write its outputs."""
    began = time.monotonic()
    with write_faults(plan.tiles):
        plan.tiles.mkdir(parents=True, exist_ok=True)
    log: list[dict[str, Any]] = []
    failures: dict[int, str] = {}
    pixels = sum(core.pixels for core in plan.grid.cores())
    with Progress(plan.name, pixels=pixels) as progress, _scratch(plan) as scratch:
        if plan.card.context == "blend":
            progress.stage("predicting overlapping tiles")
            for job, outcome in executor.run(predict_tile, _jobs(plan)):
                _account(job, outcome, failures, log)
        joiner = Joiner(plan, Path(scratch))
        waiting: dict[int, bool] = {}
        cores = list(plan.grid.cores())
        order = iter(enumerate(cores))
        unmapped = _unmapped(plan, cores)
        following = next(order, None)
        for job, outcome in executor.run(map_tile, _jobs(plan)):
            failed = _account(job, outcome, failures, log)
            waiting[job.index] = failed
            reused = isinstance(outcome, TileRecord) and outcome.reused
            progress.advance(job.core.pixels, reused=reused)
            while following is not None:
                index, core = following
                if index in unmapped:
                    joiner.skip(core, failed=False)
                elif index in waiting:
                    _join(plan, joiner, core, index, failures, failed=waiting.pop(index))
                else:
                    break
                following = next(order, None)
        while following is not None:
            joiner.skip(following[1], failed=following[0] not in unmapped)
            following = next(order, None)
        if len(failures) == len(cores) - len(unmapped):
            raise SceneError(
                plan.info.source,
                f"none of its tiles could be mapped; the first: {failures[min(failures)]}",
                "mend the scene, then run the same command again",
            )
        predicted = time.monotonic()
        progress.stage("writing outputs")
        joiner.close()
        if fingerprint(plan.scene) != plan.info.fingerprint:
            raise SceneError(
                plan.info.source, "it changed while it was mapped", "run the same command again"
            )
        manifest = write_outputs(
            plan, joiner, failures=failures, warnings=warnings, scratch=scratch
        )
        joiner.store.close()
        ended = time.monotonic()
        log.append(
            {
                "stage": "scene",
                "tiles_s": round(predicted - began, 3),
                "outputs_s": round(ended - predicted, 3),
                "mpx_per_s": round(progress.mpx_per_s, 3),
            }
        )
        publish(plan, target, log)
        progress.stage(f"done in {ended - began:.1f} s, {target}")
    if not failures:
        shutil.rmtree(plan.work, ignore_errors=True)
    return manifest


def _scratch(plan: ScenePlan) -> tempfile.TemporaryDirectory[str]:
    for old in Path(plan.work).glob("join-*"):
        shutil.rmtree(old, ignore_errors=True)
    with write_faults(Path(plan.work)):
        return tempfile.TemporaryDirectory(prefix="join-", dir=plan.work)


def _jobs(plan: ScenePlan) -> Iterator[TileJob]:
    area = None if plan.aoi is None else shapely.from_wkb(plan.aoi)
    cores = list(plan.grid.cores())
    unmapped = _unmapped(plan, cores)
    for index, core in enumerate(cores):
        if index in unmapped:
            continue
        yield TileJob(
            plan=plan,
            index=index,
            core=core,
            aoi=None if area is None else around(area, core),
            around=overlapping(plan, core, cores) if plan.card.context == "blend" else (),
        )


def _unmapped(plan: ScenePlan, cores: list[Window]) -> frozenset[int]:
    if plan.aoi is None:
        return frozenset()
    area = shapely.from_wkb(plan.aoi)
    return frozenset(index for index, core in enumerate(cores) if not wanted(area, core))


def _account(
    job: TileJob,
    outcome: TileRecord | Exception,
    failures: dict[int, str],
    log: list[dict[str, Any]],
) -> bool:
    """Note what became of a tile; True if it failed.

    Raises:
        ModelError: The model is at fault, not the tile.
        ExportError: The disk is, and so would the next tile be.
    """
    if isinstance(outcome, TileRecord):
        entry = {"tile": job.index, "seconds": outcome.seconds, "reused": outcome.reused}
        log.append(entry | {"worker": outcome.worker})
        return False
    if isinstance(outcome, ModelError | ExportError | ConfigError):
        raise outcome
    reason = str(outcome) if isinstance(outcome, PipelineError) else repr(outcome)
    failures[job.index] = reason
    log.append({"tile": job.index, "failed": reason})
    return True


def _join(
    plan: ScenePlan,
    joiner: Joiner,
    core: Window,
    index: int,
    failures: dict[int, str],
    *,
    failed: bool,
) -> None:
    arrays = None if failed else read_artefact(plan.tiles / f"{plan.key(core)}.tile")
    if arrays is not None:
        joiner.add(core, arrays)
        return
    if not failed:
        failures[index] = "its artefact is not where the worker wrote it; is OUT shared?"
    joiner.skip(core, failed=True)


def _row(
    plan: ScenePlan, target: Path, manifest: dict[str, Any], state: str, planned: Planned
) -> dict[str, Any]:
    return {
        "scene": plan.info.source,
        "state": state,
        "folder": str(target),
        "polygons": manifest["polygons"]["written"],
        "tiles": manifest["grid"]["tiles"],
        "tiles_failed": len(manifest["tiles_failed"]),
        "tile_pixels_over_scene_pixels": manifest["grid"]["tile_pixels_over_scene_pixels"],
        "reach_px": plan.card.network.reach,
        **(
            {"seam_difference": manifest["seam_difference"]}
            if "seam_difference" in manifest
            else {}
        ),
        "warnings": list(planned.warnings),
    }


def _report(request: MapRequest, ref: SceneRef, target: Path) -> dict[str, Any]:
    from pipeline.runs.evaluate import Options, evaluate_scene

    if request.truth is None:
        return {}
    scene = Path(ref.href) if ref.kind in {"geotiff", "image"} and "://" not in ref.href else None
    options = Options(aoi=request.aoi, scene=scene)
    evaluation = evaluate_scene(target, request.truth, out=target, options=options)
    headline: dict[str, Any] = evaluation.report["headline"]
    return headline
