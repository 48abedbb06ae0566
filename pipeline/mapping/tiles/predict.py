"""Prediction of a core and its surroundings, on the scene's own pixels."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64, Shaped, UInt8

from pipeline.core.blend import blend, taper
from pipeline.core.interpolate import interpolate_bilinear
from pipeline.core.quantise import NODATA, SCALE
from pipeline.core.tile import cut_window
from pipeline.core.window import Window
from pipeline.errors import PipelineError
from pipeline.gdal.raster_guard import install_guard
from pipeline.mapping.planning.plan import ScenePlan
from pipeline.mapping.tiles.cached_tile import read_cached_tile
from pipeline.models.engines.quantise import quantised_channels
from pipeline.models.registry import load_predictor
from pipeline.scenes.open import open_scene
from pipeline.scenes.resample import Resampled
from pipeline.scenes.scene import Scene

device_lock = threading.Lock()
"""Held while a forward pass runs: one at a time in a process."""
_open = threading.local()


class StageTimer:
    """Times the stages of one tile."""

    def __init__(self) -> None:
        """Start the first stage."""
        self.seconds: dict[str, float] = {}
        self._since = time.monotonic()

    def lap(self, stage: str) -> None:
        """Note the time since the last stage's end as that of ``stage``."""
        now = time.monotonic()
        self.seconds[stage] = round(now - self._since, 4)
        self._since = now


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TilePrediction:
    """What a tile's forward pass gave, cut to what was wanted of it."""

    chances: Float32[np.ndarray, "channels rows cols"]
    """Probabilities of the classes, then the separating channels."""
    valid: Bool[np.ndarray, "rows cols"]
    """Where the scene has data."""
    thumb: UInt8[np.ndarray, "3 small_rows small_cols"] | None
    """The core's part of the quicklook; None where the pixels read are not the scene's own."""


def open_plan_scene(plan: ScenePlan, *, resampled: bool) -> Scene:
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


def read_tile(
    plan: ScenePlan, tile: Window
) -> tuple[Shaped[np.ndarray, "bands rows cols"], Bool[np.ndarray, "rows cols"]]:
    """Return pixels of a tile on the network's grid, mirrored past edges, and where valid."""
    sampling = plan.grid.sampling
    scene = open_plan_scene(plan, resampled=True)
    return cut_window(
        lambda window: scene.read(window, plan.bands),
        tile,
        height=sampling.net_height,
        width=sampling.net_width,
        edge=plan.edge,
    )


def core_probabilities(plan: ScenePlan, core: Window) -> Float32[np.ndarray, "classes rows cols"]:
    """Return a core's class probabilities before they are quantised, 0..1."""
    install_guard()
    seen = predicted(plan, core, StageTimer(), wanted=core)
    return np.asarray(seen.chances[: len(plan.card.outputs.classes)])


def predicted(
    plan: ScenePlan, core: Window, clock: StageTimer, *, wanted: Window
) -> TilePrediction:
    """Predict ``wanted``, which lies in the tile of ``core``.

    Args:
        plan: The scene's.
        core: The tile's core.
        clock: Takes the time of each stage.
        wanted: Pixels of the scene.
    """
    tile, sampling = plan.windows(core).tile, plan.grid.sampling
    pixels, chances, valid = _forward(plan, tile, clock)
    if sampling.identity:
        rows, cols = core.within(tile)
        thumb = subsampled_rgb(pixels[:3, rows, cols], valid[rows, cols], plan, core)
        rows, cols = wanted.within(tile)
        return TilePrediction(chances=chances[:, rows, cols], valid=valid[rows, cols], thumb=thumb)
    box = sampling.box(wanted)
    rows, cols = box.within(tile)
    chances = interpolate_bilinear(chances[:, rows, cols], box, wanted, sampling)
    _, valid = open_plan_scene(plan, resampled=False).read(wanted, plan.bands)
    clock.lap("resample")
    return TilePrediction(chances=chances, valid=valid, thumb=None)


def predict_quantised(
    plan: ScenePlan, core: Window, clock: StageTimer
) -> UInt8[np.ndarray, "channels rows cols"]:
    """Return quantised probabilities of a tile, halo included, on the network's grid."""
    tile = plan.windows(core).tile
    _, chances, valid = _forward(plan, tile, clock)
    rows, cols = _inside(plan, tile).within(tile)
    return quantised_channels(chances[:, rows, cols], valid[rows, cols], plan.card.outputs)


def overlapping_cores(plan: ScenePlan, core: Window, cores: list[Window]) -> tuple[Window, ...]:
    """Return the cores whose tiles overlap the context of ``core``, in the order of the grid."""
    box = plan.windows(core).box

    def meets(other: Window) -> bool:
        tile = plan.windows(other).tile
        return (
            tile.row < box.bottom
            and box.row < tile.bottom
            and tile.col < box.right
            and box.col < tile.right
        )

    return tuple(other for other in cores if meets(other))


def blend_tiles(
    plan: ScenePlan, core: Window, tiles: tuple[Window, ...]
) -> tuple[UInt8[np.ndarray, "channels rows cols"], Int64[np.ndarray, " steps"]]:
    """Return the weighted mean of tiles around a core, and how far they disagree in it.

    Args:
        plan: The scene's.
        core: The window to answer for.
        tiles: Cores of the tiles that overlap what the core looks at.

    Returns:
        Quantised probabilities over ``plan.windows(core).refined``; how many of the core's pixels
        differ by how many quantised steps.

    Raises:
        PipelineError: None of the tiles was predicted.
    """
    sampling = plan.grid.sampling
    parts = []
    for other in tiles:
        found = read_cached_tile(plan.tiles / f"{plan.key(other, kind='raw')}.raw")
        if found is None:
            continue
        tile = plan.windows(other).tile
        inside = _inside(plan, tile)
        rows, cols = inside.within(tile)
        weights = taper(tile, sampling.box(other), halo=plan.grid.halo)[rows, cols]
        parts.append((inside, found["probability"], weights))
    if not parts:
        raise PipelineError(f"{plan.name}: nothing was predicted around {core}")
    wanted = plan.windows(core).refined
    box = _inside(plan, plan.windows(core).box)
    mean, spread = blend(box, parts)
    own = _inside(plan, sampling.box(core)).within(box)
    counts = np.bincount(spread[own][mean[0][own] != NODATA], minlength=256)
    if sampling.identity:
        return mean, counts
    chances = np.where(mean == NODATA, np.float32(0), mean * np.float32(SCALE))
    _, valid = open_plan_scene(plan, resampled=False).read(wanted, plan.bands)
    chances = interpolate_bilinear(chances, box, wanted, sampling)
    return quantised_channels(chances, valid, plan.card.outputs), counts


def read_thumbnail(plan: ScenePlan, core: Window) -> UInt8[np.ndarray, "3 rows cols"]:
    """Return a core's part of the quicklook, read from the scene."""
    pixels, valid = open_plan_scene(plan, resampled=False).read(core, plan.bands[:3])
    return subsampled_rgb(pixels, valid, plan, core)


def subsampled_rgb(
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


def _forward(
    plan: ScenePlan, tile: Window, clock: StageTimer
) -> tuple[np.ndarray, Float32[np.ndarray, "channels rows cols"], Bool[np.ndarray, "rows cols"]]:
    """Return a tile's pixels, their predictions, and where they are valid."""
    outputs = plan.card.outputs
    pixels, valid = read_tile(plan, tile)
    clock.lap("read")
    predictor = load_predictor(plan.model, device=plan.device)
    # Channels beyond these would be interpolated and quantised for nothing.
    channels = len(outputs.classes) + (0 if plan.separation is None else len(outputs.separating))
    if valid.any():
        with device_lock:
            clock.lap("wait")
            chances = predictor.predict(pixels, valid, plan.stretch)[:channels]
    else:
        chances = np.zeros((channels, *valid.shape), np.float32)
    clock.lap("predict")
    return pixels, chances, valid


def _inside(plan: ScenePlan, window: Window) -> Window:
    """Return the part of a window on the network's grid."""
    sampling = plan.grid.sampling
    return window.clipped(height=sampling.net_height, width=sampling.net_width)
