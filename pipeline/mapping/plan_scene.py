"""From a request and a scene to its plan, or to every complaint that a run would raise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config import Task
from pipeline.core.redaction import redact
from pipeline.errors import ConfigError, PipelineError, SceneError
from pipeline.gdal.raster_guard import install_guard
from pipeline.mapping.folders import scene_folders
from pipeline.mapping.outlines import outline_of
from pipeline.mapping.planning.aoi import area_of_interest
from pipeline.mapping.planning.plan import ScenePlan, polygon_margin
from pipeline.mapping.planning.preflight import check_compatibility
from pipeline.mapping.planning.request import MapRequest
from pipeline.mapping.planning.separation import network_pixels, separation_of
from pipeline.mapping.planning.tile_size import base_bytes, make_grid, pixel_bytes
from pipeline.mapping.publish import refuse_other_plan
from pipeline.mapping.tiles.refinement import refinement_of, refuse_narrow
from pipeline.models.card import ModelCard
from pipeline.models.engines.processor import Engine
from pipeline.models.registry import ModelRef, card_of
from pipeline.outputs.vectors.formats import FORMATS
from pipeline.scenes.find import Found, find_scenes
from pipeline.scenes.mosaics.adjoining import as_one_scene
from pipeline.scenes.names import redacted
from pipeline.scenes.nodata import with_nodata
from pipeline.scenes.open import open_scene
from pipeline.scenes.scene import SceneRef


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftPlan:
    """A plan that lacks only what the workers decide: the engine, and where they work."""

    draft: ScenePlan
    """The plan, its engine still open."""
    warnings: tuple[str, ...]
    """Warnings for the user."""
    notes: tuple[str, ...] = ()
    """What was chosen on the user's behalf."""

    @property
    def card(self) -> ModelCard:
        """What is known of the model."""
        return self.draft.card

    @property
    def digest(self) -> str:
        """Digest of the settings; the engine is not among them."""
        return self.draft.digest

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the outputs."""
        return self.draft.settings

    def ready(self, engine: Engine | tuple[str, str], work: Path) -> ScenePlan:
        """Return the plan with device and engine, and the folder to work in."""
        found = Engine(*engine)
        return replace(
            self.draft,
            device=found.device,
            engine=found.name,
            processor=found.processor,
            work=str(work.absolute()),
        )


def plan_scene(request: MapRequest, task: Task, ref: SceneRef, name: str) -> DraftPlan:
    """Return the plan of a scene; torch is not needed for it.

    Raises:
        SceneError: The scene does not suit the model; names the reason and a way out.
        ConfigError: The command asks for what cannot be.
        ModelError: The model has no valid card.
    """
    card = card_of(task.model)
    ref = with_nodata(ref, task.nodata)
    scene = open_scene(ref)
    try:
        contract = check_compatibility(scene, card, task)
        info = scene.info
    finally:
        scene.close()
    separation = separation_of(card, task, info, contract.sampling)
    refinement = refinement_of(task, info)
    outline = outline_of(task.shape, info)
    margins = polygon_margin(separation, outline), 0 if refinement is None else refinement.margin
    extra = sum(network_pixels(margin, contract.sampling) for margin in margins)
    grid = make_grid(
        card,
        contract.sampling,
        tile=request.tile,
        per_pixel=pixel_bytes(card, info, bands=len(contract.bands)),
        max_memory=request.max_memory,
        extra=extra,
    )
    if refinement is not None:
        refuse_narrow(card, grid, extra=extra)
    draft = ScenePlan(
        name=name,
        scene=ref,
        info=info,
        model=ModelRef(name=_absolute(task.model), sha256=card.sha256),
        card=card,
        device="",
        engine="",
        bands=contract.bands,
        stretch=contract.stretch,
        grid=grid,
        edge=task.edge or card.edge,
        threshold=card.outputs.quantised_threshold(task.threshold),
        refinement=refinement,
        separation=separation,
        min_area_m2=task.min_area_m2,
        outline=outline,
        min_hole_m2=task.shape.min_hole_m2,
        task=task.name,
        aoi=None
        if request.aoi is None
        else area_of_interest(
            request.aoi, info, layer=request.aoi_layer, max_memory=request.max_memory
        ),
        clip=request.clip,
        formats=tuple(name for name in FORMATS if name in task.formats),
        work="",
        memory=request.max_memory,
        keep_interior=request.keep_interior,
    )
    return DraftPlan(draft=draft, warnings=contract.warnings, notes=contract.notes)


def requested_scenes(request: MapRequest) -> Found:
    """Return the scenes that a request names: one for all files where they are mapped as one.

    Raises:
        ConfigError: A path does not exist, or an option has no effect.
    """
    found = find_scenes(request.scenes, dict(request.scene_options))
    if not request.as_one_scene:
        given = {"--overlap": request.overlap, "--name": request.name}
        if unused := [option for option, value in given.items() if value is not None]:
            raise ConfigError(f"{unused[0]} is for --as-one-scene alone; leave it out")
        return found
    if found.failures or not found.refs:
        return replace(found, refs=())
    try:
        whole = as_one_scene(found.refs, overlap=request.overlap or "first", name=request.name)
    except SceneError as error:
        return replace(found, refs=(), failures=(error,))
    return replace(found, refs=(whole,))


def dry_run(request: MapRequest) -> dict[str, Any]:
    """Return what a run would do, cost and complain of, without doing it.

    Raises:
        ConfigError: The run would not even begin.
        ModelError: The model has no valid card.
    """
    install_guard()
    task = request.chosen_task
    card = card_of(task.model)
    found = requested_scenes(request)
    rows: list[dict[str, Any]] = [
        {"scene": error.scene, "state": "refused", "reason": redact(str(error))}
        for error in found.failures
    ]
    if card.network.dims == 3:
        from pipeline.mapping.volume.run import dry_rows

        rows.extend(dry_rows(request, task, found.refs))
    else:
        rows.extend(_dry_rows(request, task, found.refs))
    return {
        "model": {
            "name": card.name,
            "rf_radius_px": card.network.rf_radius,
            "context": card.context,
        },
        **({"not_mapped": list(found.notes)} if found.notes else {}),
        "scenes": rows,
        "failed": sum(row["state"] == "refused" for row in rows),
    }


def _dry_rows(
    request: MapRequest, task: Task, refs: tuple[SceneRef, ...]
) -> Iterator[dict[str, Any]]:
    for ref, name in zip(refs, scene_folders(request.out, refs), strict=True):
        try:
            yield _costs(plan_scene(request, task, ref, name), request)
        except SceneError as error:
            yield {"scene": redacted(ref.href), "state": "refused", "reason": redact(str(error))}


def _costs(planned: DraftPlan, request: MapRequest) -> dict[str, Any]:
    plan = planned.draft
    info, grid = plan.info, plan.grid
    ratio = grid.tile_pixels / (info.height * info.width)
    largest = max(grid.tile(core).pixels for core in grid.cores())
    peak = base_bytes(plan.card) + largest * pixel_bytes(plan.card, info, bands=len(plan.bands))
    complaints = list(planned.warnings)
    if peak > request.max_memory:
        complaints.append(f"--tile {request.tile} takes more than --max-memory")
    target = request.out / plan.name
    try:
        refuse_other_plan(target, info.source, planned.digest, planned.settings)
    except PipelineError as error:
        complaints.append(str(error))
    source_ratio = ratio * np.prod(
        [info.height / grid.sampling.net_height, info.width / grid.sampling.net_width]
    )
    return {
        "scene": info.source,
        "state": "ready",
        "folder": str(target),
        "pixels": info.height * info.width,
        "tiles": len(grid),
        "core_px": grid.core,
        "halo_px": grid.halo,
        "refinement_px": None if plan.refinement is None else plan.refinement.margin,
        "separation_px": None if plan.separation is None else plan.separation.margin,
        "tile_pixels_over_scene_pixels": round(ratio, 4),
        "bytes_to_read": int(info.stored_bytes * max(1.0, float(source_ratio))),
        "peak_memory_bytes": int(peak),
        "estimated_s": round(grid.tile_pixels / plan.card.pixels_per_s, 1),
        "notes": list(planned.notes),
        "complaints": complaints,
    }


def _absolute(model: str) -> str:
    return str(Path(model).absolute()) if Path(model).is_file() else model
