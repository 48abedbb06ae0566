"""One tile, one task: read, predict, cut, quantise, trace, write; a small record returns.

Tasks share nothing, so they run on threads, processes or machines alike, in any order
and more than once.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from dataclasses import dataclass, field

import numpy as np
import shapely
from affine import Affine
from jaxtyping import Bool, Float32, Shaped, UInt8
from rasterio.features import rasterize

from pipeline.core.blend import blended, taper
from pipeline.core.interpolate import interpolated
from pipeline.core.quantise import NODATA, classified, quantised
from pipeline.core.tile import cut
from pipeline.core.trace import trace
from pipeline.core.window import Window
from pipeline.errors import PipelineError
from pipeline.models.shelf import load_predictor
from pipeline.runs.artefact import read_artefact, write_artefact
from pipeline.runs.plan import ScenePlan
from pipeline.scenes.guard import install_guard
from pipeline.scenes.open import open_scene
from pipeline.scenes.resample import Resampled
from pipeline.scenes.scene import Scene

_device = threading.Lock()
_open = threading.local()


@dataclass(frozen=True, slots=True, kw_only=True)
class TileJob:
    """One tile to map."""

    plan: ScenePlan
    """What its outputs depend on."""
    index: int
    """Place in the order of the grid."""
    core: Window
    """Pixels that it answers for."""
    aoi: bytes | None = None
    """Area of interest around the tile, as WKB in pixels of the scene."""
    around: tuple[Window, ...] = ()
    """Cores of the tiles that overlap this one, itself included, where tiles are blended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TileRecord:
    """What became of one tile; all that travels back."""

    index: int
    """Place in the order of the grid."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Time by stage."""
    reused: bool = False
    """True where the artefact was there already."""
    worker: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")
    """Host and process that did it."""


def map_tile(job: TileJob) -> TileRecord:
    """Write the artefact of a tile, unless it is there.

    Raises:
        SceneError: The pixels cannot be read.
        ModelError: The model cannot be loaded, or gives values that are not finite.
        ExportError: The artefact cannot be written.
    """
    install_guard()
    plan = job.plan
    path = plan.tiles / f"{plan.key(job.core)}.tile"
    if read_artefact(path) is not None:
        return TileRecord(index=job.index, reused=True)
    clock = _Clock()
    if plan.card.context == "blend":
        probability, spread = _blend(job)
        thumb = None
        _, valid = _scene(plan, resampled=False).read(job.core, plan.bands)
        clock.lap("blend")
    else:
        seen = _predicted(plan, job.core, clock)
        valid, thumb = seen.valid, seen.thumb
        probability, spread = quantised(seen.chances, valid), None
    arrays = _finished(job, probability)
    arrays["thumb"] = _thumb(plan, job.core) if thumb is None else thumb
    clock.lap("trace")
    if spread is not None:
        arrays["spread"] = np.bincount(spread[valid], minlength=256)
    write_artefact(path, arrays)
    clock.lap("write")
    return TileRecord(index=job.index, seconds=clock.seconds)


def predict_tile(job: TileJob) -> TileRecord:
    """Write a tile's quantised probabilities with their halo, for blending later."""
    install_guard()
    plan = job.plan
    path = plan.tiles / f"{plan.key(job.core, kind='raw')}.raw"
    if read_artefact(path) is not None:
        return TileRecord(index=job.index, reused=True)
    clock = _Clock()
    tile = plan.grid.tile(job.core).clipped(height=plan.grid.height, width=plan.grid.width)
    seen = _predicted(plan, job.core, clock, keep=tile)
    write_artefact(path, {"probability": quantised(seen.chances, seen.valid)})
    clock.lap("write")
    return TileRecord(index=job.index, seconds=clock.seconds)


def overlapping(plan: ScenePlan, core: Window, cores: list[Window]) -> tuple[Window, ...]:
    """Return the cores whose tiles reach into ``core``, in the order of the grid."""

    def meets(other: Window) -> bool:
        tile = plan.grid.tile(other)
        return (
            tile.row < core.bottom
            and core.row < tile.bottom
            and tile.col < core.right
            and core.col < tile.right
        )

    return tuple(other for other in cores if meets(other))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Seen:
    """What a tile's forward pass gave, cut to what was wanted of it."""

    chances: Float32[np.ndarray, "classes rows cols"]
    valid: Bool[np.ndarray, "rows cols"]
    thumb: UInt8[np.ndarray, "3 small_rows small_cols"] | None


def core_probabilities(plan: ScenePlan, core: Window) -> Float32[np.ndarray, "classes rows cols"]:
    """Return a core's class probabilities before they are quantised, 0..1."""
    install_guard()
    return np.asarray(_predicted(plan, core, _Clock()).chances)


class _Clock:
    """Times the stages of one tile."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.monotonic()

    def lap(self, stage: str) -> None:
        now = time.monotonic()
        self.seconds[stage] = round(now - self._since, 4)
        self._since = now


def _scene(plan: ScenePlan, *, resampled: bool) -> Scene:
    """Return the scene, opened once a thread; on the network's grid if ``resampled``."""
    wanted = (plan.scene, plan.info.fingerprint)
    if getattr(_open, "ref", None) != wanted:
        held = getattr(_open, "scene", None)
        if held is not None:
            held.close()
        _open.ref = None
        _open.scene = open_scene(plan.scene, known=plan.info)
        _open.ref = wanted
    scene: Scene = _open.scene
    if resampled and not plan.grid.sampling.identity:
        sampling = plan.grid.sampling
        return Resampled(scene, height=sampling.net_height, width=sampling.net_width)
    return scene


def close_scene() -> None:
    """Close the scene that this thread holds open."""
    held = getattr(_open, "scene", None)
    if held is not None:
        held.close()
    _open.ref = _open.scene = None


def _predicted(
    plan: ScenePlan, core: Window, clock: _Clock, *, keep: Window | None = None
) -> _Seen:
    """Return class probabilities and validity over the core, or over ``keep`` (same grid)."""
    grid = plan.grid
    tile, sampling = grid.tile(core), grid.sampling
    scene = _scene(plan, resampled=True)
    pixels, valid = cut(
        lambda window: scene.read(window, plan.bands),
        tile,
        height=sampling.net_height,
        width=sampling.net_width,
        edge=plan.edge,
    )
    clock.lap("read")
    classes = len(plan.card.outputs.classes)
    predictor = load_predictor(plan.model, device=plan.device)
    if valid.any():
        with _device:
            clock.lap("wait")
            chances = predictor.predict(pixels, valid, plan.stretch)[:classes]
    else:
        chances = np.zeros((classes, *valid.shape), np.float32)
    clock.lap("predict")
    if sampling.identity:
        rows, cols = (keep or core).within(tile)
        chances, valid = chances[:, rows, cols], valid[rows, cols]
        thumb = None if keep else _small(pixels[:3, rows, cols], valid, plan, core)
        return _Seen(chances=chances, valid=valid, thumb=thumb)
    box = sampling.box(core)
    rows, cols = box.within(tile)
    chances = interpolated(chances[:, rows, cols], box, core, sampling)
    _, valid = _scene(plan, resampled=False).read(core, plan.bands)
    clock.lap("resample")
    return _Seen(chances=chances, valid=valid, thumb=None)


def _blend(
    job: TileJob,
) -> tuple[UInt8[np.ndarray, "classes rows cols"], UInt8[np.ndarray, "rows cols"]]:
    plan = job.plan
    parts = []
    for core in job.around:
        found = read_artefact(plan.tiles / f"{plan.key(core, kind='raw')}.raw")
        if found is None:
            continue
        tile = plan.grid.tile(core)
        inside = tile.clipped(height=plan.grid.height, width=plan.grid.width)
        rows, cols = inside.within(tile)
        weights = taper(tile, core, halo=plan.grid.halo)[rows, cols]
        parts.append((inside, found["probability"], weights))
    if not parts:
        raise PipelineError(f"{plan.name}: nothing was predicted around {job.core}")
    return blended(job.core, parts)


def _finished(
    job: TileJob, probability: UInt8[np.ndarray, "classes rows cols"]
) -> dict[str, np.ndarray]:
    """Return what a tile leaves: rasters inside the area of interest, polygons whole."""
    labels = classified(probability, threshold=job.plan.threshold)
    traced = np.where(labels == NODATA, np.uint8(0), labels)
    fragments = trace(traced, probability.max(axis=0), row=job.core.row, col=job.core.col)
    outside = _outside(job)
    if outside is not None:
        labels[outside] = NODATA
        probability = probability.copy()
        probability[:, outside] = NODATA
    return {"mask": labels, "probability": probability, **fragments.to_arrays()}


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


def _thumb(plan: ScenePlan, core: Window) -> UInt8[np.ndarray, "3 rows cols"]:
    pixels, valid = _scene(plan, resampled=False).read(core, plan.bands[:3])
    return _small(pixels, valid, plan, core)


def _small(
    pixels: Shaped[np.ndarray, "bands rows cols"],
    valid: Bool[np.ndarray, "rows cols"],
    plan: ScenePlan,
    core: Window,
) -> UInt8[np.ndarray, "3 out_rows out_cols"]:
    """Return every n-th pixel of a core as RGB, stretched as the network sees them."""
    step = plan.thumb_step
    rows = slice(-core.row % step, None, step)
    cols = slice(-core.col % step, None, step)
    pixels, valid = pixels[:, rows, cols], valid[rows, cols]
    low, high = plan.stretch.low, plan.stretch.high
    with np.errstate(over="ignore"):
        share = np.clip((np.nan_to_num(pixels.astype(np.float32)) - low) / (high - low), 0, 1)
    rgb = np.rint(share * 255).astype(np.uint8)
    rgb[:, ~valid] = 0
    return rgb if len(rgb) == 3 else np.repeat(rgb[:1], 3, axis=0)
