"""Does a scene suit a model? Bands, values and pixel size, checked before anything runs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from pipeline.config import Task
from pipeline.core.grid import Sampling
from pipeline.core.window import Window
from pipeline.errors import SceneError
from pipeline.models.card import ModelCard
from pipeline.models.predictor import Stretch
from pipeline.runs.bands import choose_bands, doubts_of
from pipeline.scenes.scene import Scene, SceneInfo
from pipeline.scenes.segy import SegyScene
from pipeline.scenes.volume import SegyVolume

FARTHEST = 3.0
"""Scenes are resampled up to this factor outside a model's range of pixel sizes, and enlarged no
further."""
DTYPES = {"uint8", "int16", "uint16", "int32", "uint32", "float16", "float32", "float64"}
LEAST_FILL = 0.01
"""From this share on a value may stand for missing pixels: percentiles then end at it."""
FAR = 100.0
"""Spans of all other values between them and a fill above them; a bright roof is nearer."""
WORTH = 1.2
"""Scenes this near to what a model is best shown stay as they are: resampling blurs them."""
SAMPLE_BLOCKS = 48
"""Blocks with data whose values are sampled."""
LOOKED_AT = 1024
"""Blocks looked at to find them."""
SAMPLE_EDGE = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """How a scene is shown to a model."""

    bands: tuple[int, ...]
    """Bands of the scene, in the order of the network's channels."""
    stretch: Stretch
    """Which values become 0 and 1."""
    sampling: Sampling
    """The scene's grid and the network's."""
    warnings: tuple[str, ...]
    """Doubts that the user is told of."""
    notes: tuple[str, ...] = ()
    """What was chosen on the user's behalf, and is nothing to worry about."""


def agree(scene: Scene, card: ModelCard, task: Task) -> Contract:
    """Return how a scene is shown to a model.

    Raises:
        SceneError: It does not suit; says why, and which option would accept it.
    """
    info = scene.info
    bands, chosen = choose_bands(info, card, task)
    if info.dtype not in DTYPES:
        raise SceneError(
            info.source,
            f"its pixels are {info.dtype}, which no model takes",
            f"convert it to one of {', '.join(sorted(DTYPES))}",
        )
    sampling, resampled = _sampling(info, card)
    stretch, doubts, told = _stretch(scene, bands, card, task)
    return Contract(
        bands=bands,
        stretch=stretch,
        sampling=sampling,
        warnings=(*info.warnings, *doubts_of(info, bands, card, task), *doubts),
        notes=(*chosen, *resampled, *told),
    )


def _sampling(info: SceneInfo, card: ModelCard) -> tuple[Sampling, list[str]]:
    same = Sampling(
        height=info.height, width=info.width, net_height=info.height, net_width=info.width
    )
    limits = card.inputs.pixel_size_m
    if limits is None:
        return same, []
    low, high = limits
    if info.georef is None:
        raise SceneError(
            info.source,
            f"it has no place on the Earth, so its pixel size is unknown; model {card.name!r} "
            f"takes {low:g}-{high:g} m",
            "georeference it, or give its reference system with --crs EPSG:...",
        )
    across, down = info.georef.ground_size_m(col=info.width / 2, row=info.height / 2)
    if not (math.isfinite(across) and math.isfinite(down)) or min(across, down) <= 0:
        raise SceneError(
            info.source, "its middle does not lie on the Earth", "check its reference system"
        )
    size = math.sqrt(across * down)
    if not low / FARTHEST <= size * (1 + 1e-9) or not size <= high * FARTHEST * (1 + 1e-9):
        raise SceneError(
            info.source,
            f"its ground pixel is {size:.3g} m; model {card.name!r} takes {low:g}-{high:g} m, "
            f"and by resampling {low / FARTHEST:.2g}-{high * FARTHEST:g} m",
            "use imagery of that size, or a model made for this one (--model)",
        )
    target = min(max(size, low), high)
    if card.inputs.shown_m is not None:
        low, high = card.inputs.shown_m
        best = max(min(max(size, low), high), size / FARTHEST)
        target = best if max(best / size, size / best) >= WORTH else target
    if target == size and max(across, down) < 1.25 * min(across, down):
        return same, []
    sampling = Sampling(
        height=info.height,
        width=info.width,
        net_height=max(1, round(info.height * down / target)),
        net_width=max(1, round(info.width * across / target)),
    )
    note = f"its ground pixel of {_metres(across, down)} is resampled to {target:.3g} m"
    return sampling, [note]


def _metres(across: float, down: float) -> str:
    """Return a pixel's size in words: ``0.3 m``, or ``0.5 x 0.7 m`` if it is not square."""
    if f"{across:.2g}" == f"{down:.2g}":
        return f"{math.sqrt(across * down):.3g} m"
    return f"{across:.3g} x {down:.3g} m"


def _stretch(
    scene: Scene, bands: tuple[int, ...], card: ModelCard, task: Task
) -> tuple[Stretch, list[str], list[str]]:
    """Return which values become 0 and 1, doubts about them, and what is told of them."""
    info = scene.info
    if task.values.range is not None:
        low, high = task.values.range
        return Stretch(low=low, high=high), _too_wide(high, info.dtype), []
    if info.dtype == "uint8":
        # One, two or four bits come as 0 to 1, 3 or 15.
        high = 2.0**info.bits - 1 if 0 < info.bits < 8 else card.inputs.high
        return Stretch(low=card.inputs.low, high=high), [], []
    if isinstance(scene, SegyScene):
        content = info.fingerprint.partition("#")[0]
        span = _of_volume(info.source, content, task.values.percentiles)
        if span is not None:
            told = f"amplitudes {span[0]:.6g} to {span[1]:.6g} of the volume become black to white"
            return Stretch(low=span[0], high=span[1]), [], [told]
    sample, whole = _sample(scene, bands)
    if not sample.size:
        nothing = Stretch(low=0.0, high=1.0)
        if whole:
            return nothing, [], ["it has no data anywhere"]
        doubt = f"none of {LOOKED_AT} blocks of it has data; say with --values what is black, white"
        return nothing, [doubt], []
    low, high = (float(value) for value in np.percentile(sample, task.values.percentiles))
    if high <= low:
        high = low + 1.0
    told = f"values {low:.6g} to {high:.6g} ({info.dtype}) become black to white"
    fills = _fills(sample)
    if low < 0 and info.dtype.startswith("int"):
        return Stretch(low=low, high=high), [f"some of its values are negative; {told}", *fills], []
    return Stretch(low=low, high=high), fills, [told]


@lru_cache(maxsize=8)
def _of_volume(
    path: str,
    content: str,  # noqa: ARG001 - a volume that changed is read again
    percentiles: tuple[float, float],
) -> tuple[float, float] | None:
    """Return percentiles of a whole volume, so that its slices are shown alike.

    None where its traces fill no volume.
    """
    try:
        with SegyVolume(path) as volume:
            return volume.span(percentiles)
    except SceneError:
        return None


def _fills(sample: np.ndarray) -> list[str]:
    """Return doubts about a value of many pixels that may stand for missing ones, untold."""
    doubts = []
    for value, gaps in ((sample.min(), 1.0), (sample.max(), FAR)):
        others = sample[sample != value]
        share = 1 - len(others) / len(sample)
        if not len(others) or share < LEAST_FILL:
            continue
        with np.errstate(over="ignore"):
            span, gap = np.ptp(others), np.abs(others - value).min()
        if gap > gaps * span > 0:
            doubts.append(
                f"{share:.0%} of its values are {value:g}, far from all others ({others.min():g} "
                f"to {others.max():g}), and no nodata says so: if nothing is there, mark it "
                f"(gdal_edit.py -a_nodata {value:g})"
            )
    return doubts


def _too_wide(high: float, dtype: str) -> list[str]:
    """Return the doubt about a white that no value of this type reaches, if it is one."""
    kind = np.dtype(dtype)
    if kind.kind not in "iu" or high <= np.iinfo(kind).max:
        return []
    most = np.iinfo(kind).max
    return [f"{high:g} is to be white, and {dtype} ends at {most}: it is shown darker than it is"]


def _sample(scene: Scene, bands: tuple[int, ...]) -> tuple[np.ndarray, bool]:
    """Return valid values of blocks of full resolution, the same blocks for the same scene.

    Blocks without data do not count; true as well if every block of the scene was looked at.
    """
    info = scene.info
    rows, cols = math.ceil(info.height / SAMPLE_EDGE), math.ceil(info.width / SAMPLE_EDGE)
    order = np.random.default_rng(0).permutation(rows * cols)[:LOOKED_AT]
    found: list[np.ndarray] = []
    for block in order.tolist():
        window = Window(
            row=block // cols * SAMPLE_EDGE,
            col=block % cols * SAMPLE_EDGE,
            height=SAMPLE_EDGE,
            width=SAMPLE_EDGE,
        ).clipped(height=info.height, width=info.width)
        pixels, valid = scene.read(window, bands)
        if valid.any():
            found.append(pixels[:, valid].ravel().astype(np.float64))
        if len(found) == SAMPLE_BLOCKS:
            break
    return np.concatenate([np.empty(0), *found]), rows * cols <= LOOKED_AT
