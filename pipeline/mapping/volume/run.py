"""Mapping volumes: plan, blocks, outputs; resumed where an earlier run was stopped."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.config import Task
from pipeline.core.redaction import redact
from pipeline.errors import ConfigError, ExportError, ModelError, PipelineError, SceneError
from pipeline.mapping.folders import NamedScene, folders, note_source
from pipeline.mapping.planning.request import MapRequest
from pipeline.mapping.planning.tile_size import base_bytes
from pipeline.mapping.progress import Progress
from pipeline.mapping.publish import (
    manifest_of,
    outputs_intact,
    publish_outputs,
    refuse_links,
    refuse_other_plan,
)
from pipeline.mapping.tiles.workers import CheckedWorkers
from pipeline.mapping.volume.block_task import BlockJob, BlockRecord, map_block
from pipeline.mapping.volume.outputs import write_volume_outputs
from pipeline.mapping.volume.plan import VolumePlan, plan_volume
from pipeline.outputs.atomic import write_faults
from pipeline.scenes.names import redacted, slug
from pipeline.scenes.scene import SceneRef
from pipeline.scenes.seismic.volume import SegyVolume

Reporter = Callable[[str], None]


def volumes_of(refs: Sequence[SceneRef], out: Path) -> tuple[dict[str, str], list[SceneError]]:
    """Return the path of each volume by the name of its folder, and what is no volume."""
    paths = list(dict.fromkeys(ref.href for ref in refs if ref.kind == "segy"))
    names = folders(out, [_named(path) for path in paths])
    others = [
        SceneError(
            redacted(ref.href), "it is no volume", "the model sees volumes: name SEG-Y files"
        )
        for ref in refs
        if ref.kind != "segy"
    ]
    return dict(zip(names, paths, strict=True)), others


def _named(path: str) -> NamedScene:
    def content() -> str | None:
        with suppress(SceneError), SegyVolume(path) as volume:
            return volume.fingerprint()
        return None

    return NamedScene(name=slug(Path(path).stem), place=path, source=path, content=content)


def map_volume(
    request: MapRequest, crew: CheckedWorkers, path: str, name: str, *, work: Path, report: Reporter
) -> dict[str, Any]:
    """Map one volume into its folder, and return its row of the summary.

    What is wrong with the volume or its folder is reported in the row, so that others go on.

    Raises:
        ConfigError: The request must be changed; no volume can be mapped.
        ModelError: The model cannot be used.
        ExportError: The disk is full or the folder is read-only.
        ClusterError: The cluster was lost; the volume's blocks are kept.
    """
    target = request.out / name
    try:
        draft = plan_volume(request, crew.task, path, name)
        refuse_links(target, work.parent, work, work / "blocks", work / "final")
        refuse_other_plan(target, draft.source, draft.digest, draft.settings)
        stretch = draft.stretch
        report(f"{name}: amplitudes {stretch.low:.6g} to {stretch.high:.6g} become black to white")
        engine = crew.engine(draft.card, pixels=0)
        plan = draft.ready(engine, work)
        manifest, state = manifest_of(target), "unchanged"
        if manifest is None or not outputs_intact(target, manifest) or manifest["tiles_failed"]:
            crew.prove(request.out, SceneRef(kind="segy", href=path), engine)
            manifest, state = _run(plan, crew, target), "done"
    except SceneError as error:
        shutil.rmtree(work, ignore_errors=True)
        report(str(error))
        return {"scene": path, "state": "failed", "reason": str(error)}
    failed = len(manifest["tiles_failed"])
    if failed:
        report(f"{name}: {failed} blocks failed and are marked as no data; see run.json")
    return {
        "scene": path,
        "state": state,
        "folder": str(target),
        "tiles": manifest["grid"]["tiles"],
        "tiles_failed": failed,
        "tile_pixels_over_scene_pixels": manifest["grid"]["tile_pixels_over_scene_pixels"],
        "rf_radius_px": plan.card.network.rf_radius,
        "voxels": manifest["voxels"],
        "warnings": [],
    }


def dry_rows(request: MapRequest, task: Task, refs: Sequence[SceneRef]) -> Iterator[dict[str, Any]]:
    """Yield what mapping each volume would do and cost, or why it is refused."""
    volumes, refused = volumes_of(refs, request.out)
    for name, path in volumes.items():
        try:
            yield _costs(request, plan_volume(request, task, path, name))
        except SceneError as error:
            refused.append(error)
    for one in refused:
        yield {"scene": one.scene, "state": "refused", "reason": str(one)}


def _costs(request: MapRequest, plan: VolumePlan) -> dict[str, Any]:
    target = request.out / plan.name
    complaints = []
    try:
        refuse_other_plan(target, plan.source, plan.digest, plan.settings)
    except SceneError as error:
        complaints.append(str(error))
    grid = plan.grid
    largest = max(grid.block(core).voxels for core in grid.cores())
    peak = base_bytes(plan.card) + largest * plan.card.bytes_per_pixel
    if peak > request.max_memory:
        complaints.append(f"--tile {request.tile} takes more than --max-memory")
    voxels = grid.shape[0] * grid.shape[1] * grid.shape[2]
    return {
        "scene": plan.source,
        "state": "ready",
        "folder": str(target),
        "voxels": voxels,
        "tiles": len(grid),
        "core_px": list(grid.core),
        "halo_px": grid.halo,
        "tile_pixels_over_scene_pixels": round(grid.block_voxels / voxels, 4),
        "peak_memory_bytes": int(peak),
        "estimated_s": round(grid.block_voxels / plan.card.pixels_per_s, 1),
        "notes": [],
        "complaints": complaints,
    }


def _run(plan: VolumePlan, crew: CheckedWorkers, target: Path) -> dict[str, Any]:
    """Map a volume's blocks, and write its outputs."""
    began = time.monotonic()
    with write_faults(plan.blocks):
        plan.blocks.mkdir(parents=True, exist_ok=True)
    note_source(Path(plan.work), plan.source)
    cores = list(plan.grid.cores())
    jobs = (BlockJob(plan=plan, index=index, core=core) for index, core in enumerate(cores))
    failures: dict[int, str] = {}
    log: list[dict[str, Any]] = []
    with Progress(plan.name, pixels=sum(core.voxels for core in cores)) as progress:
        for job, outcome in crew.executor.run(map_block, jobs):
            if isinstance(outcome, BlockRecord):
                entry = {"seconds": outcome.seconds, "reused": outcome.reused}
                log.append({"block": job.index} | entry)
            elif isinstance(outcome, ModelError | ExportError | ConfigError):
                raise outcome
            else:
                text = str(outcome) if isinstance(outcome, PipelineError) else repr(outcome)
                why = redact(text)
                failures[job.index] = why
                log.append({"block": job.index, "failed": why})
            reused = isinstance(outcome, BlockRecord) and outcome.reused
            progress.advance(job.core.voxels, reused=reused)
        if len(failures) == len(cores):
            raise SceneError(
                plan.source,
                f"none of its blocks could be mapped; the first: {failures[min(failures)]}",
                "mend the volume, then run the same command again",
            )
        progress.stage("writing outputs")
        with SegyVolume(plan.source) as volume:
            if volume.fingerprint() != plan.fingerprint:
                raise SceneError(
                    plan.source, "it changed while it was mapped", "run the same command again"
                )
        manifest = write_volume_outputs(plan, failures)
        log.append({"stage": "volume", "seconds": round(time.monotonic() - began, 3)})
        publish_outputs(plan.final, target, log)
        progress.stage(f"done in {time.monotonic() - began:.1f} s, {target}")
    if not failures:
        shutil.rmtree(plan.work, ignore_errors=True)
    return manifest
