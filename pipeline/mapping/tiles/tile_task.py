"""One tile, one task: read, predict, cut, quantise, refine, separate, trace, write.

Tasks share nothing, so they run on threads, processes or machines alike, in any order
and more than once.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field

import numpy as np
import shapely
from affine import Affine
from jaxtyping import Bool, UInt8
from rasterio.features import rasterize

from pipeline.core.polygons.contact import shared_boundaries
from pipeline.core.polygons.fragments import Fragments
from pipeline.core.polygons.markers import markers_of
from pipeline.core.polygons.separate import context, separate, trace_instances
from pipeline.core.polygons.subpixel_offsets import edge_offsets
from pipeline.core.polygons.trace import trace
from pipeline.core.quantise import NODATA, classified
from pipeline.core.refine import open_and_close
from pipeline.core.window import Window
from pipeline.gdal.raster_guard import install_guard
from pipeline.mapping.planning.plan import ScenePlan
from pipeline.mapping.planning.tile_windows import TileWindows
from pipeline.mapping.tiles.cached_tile import read_cached_tile, write_cached_tile
from pipeline.mapping.tiles.predict import (
    StageTimer,
    blend_tiles,
    predict_quantised,
    predicted,
    read_thumbnail,
)
from pipeline.mapping.tiles.refinement import guided
from pipeline.models.engines.quantise import quantised_channels


@dataclass(frozen=True, slots=True, kw_only=True)
class TileJob:
    """One tile to map."""

    plan: ScenePlan
    """What its outputs depend on."""
    index: int
    """Place in the order of the grid."""
    core: Window
    """Core of the tile, in pixels of the scene."""
    aoi: bytes | None = None
    """Area of interest around the tile, as WKB in pixels of the scene."""
    overlapping: tuple[Window, ...] = ()
    """Cores of the tiles that overlap this one, itself included, where tiles are blended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TileRecord:
    """The result of one tile, as it is sent back by the worker."""

    index: int
    """Place in the order of the grid."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Time by stage."""
    reused: bool = False
    """True where the cached tile was there already."""
    worker: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")
    """Host and process that did it."""


def map_tile_task(job: TileJob) -> TileRecord:
    """Compute a tile and write it to the cache, unless it is there.

    Raises:
        SceneError: The pixels cannot be read.
        ModelError: The model cannot be loaded, or gives values that are not finite.
        ExportError: The cached tile cannot be written.
    """
    install_guard()
    plan = job.plan
    path = plan.tiles / f"{plan.key(job.core)}.tile"
    if read_cached_tile(path) is not None:
        return TileRecord(index=job.index, reused=True)
    clock, refined = StageTimer(), plan.windows(job.core).refined
    thumb, more = None, {}
    if plan.card.context == "blend":
        probability, more["spread"] = blend_tiles(plan, job.core, job.overlapping)
        clock.lap("blend")
    else:
        seen = predicted(plan, job.core, clock, wanted=refined)
        probability = quantised_channels(seen.chances, seen.valid, plan.card.outputs)
        thumb = seen.thumb
        # Refining takes about as much as this gives back.
        del seen
    if plan.refinement is not None:
        probability = guided(plan, refined, probability)
        clock.lap("refine")
    arrays = _finished(job, probability) | more
    arrays["thumb"] = read_thumbnail(plan, job.core) if thumb is None else thumb
    clock.lap("trace")
    write_cached_tile(path, arrays)
    clock.lap("write")
    return TileRecord(index=job.index, seconds=clock.seconds)


def predict_tile_task(job: TileJob) -> TileRecord:
    """Write a tile's quantised probabilities with their halo, for blending later."""
    install_guard()
    plan = job.plan
    path = plan.tiles / f"{plan.key(job.core, kind='raw')}.raw"
    if read_cached_tile(path) is not None:
        return TileRecord(index=job.index, reused=True)
    clock = StageTimer()
    write_cached_tile(path, {"probability": predict_quantised(plan, job.core, clock)})
    clock.lap("write")
    return TileRecord(index=job.index, seconds=clock.seconds)


def _finished(
    job: TileJob, probability: UInt8[np.ndarray, "channels rows cols"]
) -> dict[str, np.ndarray]:
    """Return what a tile leaves: rasters inside the area of interest, polygons whole.

    Args:
        job: The tile's.
        probability: All channels over ``plan.windows(job.core).refined``.
    """
    plan, core = job.plan, job.core
    classes = len(plan.card.outputs.classes)
    shares = plan.card.outputs.shares
    labels = classified(probability[:classes], threshold=plan.threshold, shares=shares)
    how, windows = plan.refinement, plan.windows(core)
    if how is not None:
        labels = open_and_close(labels, classes=classes, opening=how.opening, closing=how.closing)
    rows, cols = windows.labelled.within(windows.refined)
    probability, labels = probability[:, rows, cols], labels[rows, cols]
    rows, cols = core.within(windows.labelled)
    fragments, boundaries = _traced(plan, windows, probability, labels)
    own, mask = probability[:classes, rows, cols], labels[rows, cols]
    more: dict[str, np.ndarray] = {}
    if plan.interior and plan.separation is not None:
        # Outside the mask nothing is separated; zeros there take no room.
        inside = probability[plan.separation.channel, rows, cols]
        more["interior"] = np.where((mask > 0) & (mask != NODATA), inside, np.uint8(0))
    unknown = mask == NODATA
    if unknown.any():
        # Outlines stay clear of nodata, not of pixels outside the area of interest.
        more["unknown"] = np.packbits(unknown, axis=1)
    if plan.outline.kind == "subpixel":
        rim = edge_offsets(
            probability[:classes],
            labels,
            core=core,
            seen=windows.labelled,
            threshold=plan.threshold,
            shares=shares,
        )
        more |= rim.to_arrays()
    outside = _outside(job)
    if outside is not None:
        own, mask = own.copy(), mask.copy()
        mask[outside] = NODATA
        own[:, outside] = NODATA
    return {"mask": mask, "probability": own, **fragments.to_arrays(), **boundaries, **more}


def _traced(
    plan: ScenePlan,
    windows: TileWindows,
    probability: UInt8[np.ndarray, "channels rows cols"],
    labels: UInt8[np.ndarray, "rows cols"],
) -> tuple[Fragments, dict[str, np.ndarray]]:
    """Return a core's polygons; where objects are separated, its joints as well."""
    core = windows.core
    rows, cols = core.within(windows.labelled)
    own = labels[rows, cols]
    weights = probability[: len(plan.card.outputs.classes), rows, cols].max(axis=0)
    how = plan.separation
    if how is None:
        traced = np.where(own == NODATA, np.uint8(0), own)
        return trace(traced, weights, row=core.row, col=core.col), {}
    scene = plan.info.height, plan.info.width
    markers = markers_of(probability[how.channel], threshold=how.threshold, opening=how.opening)
    needed = context(core, scene=scene, max_steps=how.max_steps).within(windows.labelled)
    instances, sides = separate(
        labels[needed], markers[needed], core=core, scene=scene, max_steps=how.max_steps
    )
    interior = probability[how.channel, rows, cols]
    boundaries = shared_boundaries(instances, own, interior, sides)
    return trace_instances(instances, own, weights, core=core), boundaries.to_arrays()


def _outside(job: TileJob) -> Bool[np.ndarray, "rows cols"] | None:
    if job.plan.aoi is None:
        return None
    shape = (job.core.height, job.core.width)
    area = shapely.from_wkb(job.aoi) if job.aoi else None
    if area is None or area.is_empty:
        return np.ones(shape, bool)
    moved = (1.0, 0.0, float(job.core.col), 0.0, 1.0, float(job.core.row))
    drawn = rasterize([(area, 0)], out_shape=shape, fill=1, transform=Affine(*moved))
    return np.asarray(drawn, bool)
