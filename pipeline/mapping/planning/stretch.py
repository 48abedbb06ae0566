"""Which values of a scene become black and white for the network, and warnings about them."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from jaxtyping import Float64

from pipeline.config import Task
from pipeline.core.window import Window
from pipeline.errors import SceneError
from pipeline.models.card import ModelCard
from pipeline.models.predictor import Stretch
from pipeline.scenes.scene import Scene
from pipeline.scenes.seismic.segy import SegyScene
from pipeline.scenes.seismic.volume import SegyVolume

LEAST_FILL = 0.01
"""From this share on a value may stand for missing pixels: percentiles then end at it."""
FAR = 100.0
"""Spans of all other values between them and a fill above them; a bright roof is nearer."""
LARGE_FILL = 0.05
"""Share of pixels at 0 or at the greatest number of their type, in all bands, from which it may
stand for missing pixels though other values are near; of integers that declare nothing."""
OUTSIDE = 0.5
"""Share of values that become plain black or white from which a given range is warned of."""
NARROW = 0.02
"""Values that take up less of a given range than this are shown nearly alike."""
RANGE_BLOCKS = 8
"""Blocks with data whose values are held against a given range."""
SAMPLE_BLOCKS = 48
"""Blocks with data whose values are sampled."""
LOOKED_AT = 1024
"""Blocks looked at to find them."""
SAMPLE_EDGE = 256


def choose_stretch(
    scene: Scene, bands: tuple[int, ...], card: ModelCard, task: Task
) -> tuple[Stretch, list[str], list[str]]:
    """Return which values become 0 and 1, warnings about them, and notes."""
    info = scene.info
    if task.values.range is not None:
        low, high = task.values.range
        warnings = [*_too_wide(high, info.dtype), *_misses(scene, bands, (low, high))]
        return Stretch(low=low, high=high), warnings, []
    if info.dtype == "uint8":
        # One, two or four bits come as 0 to 1, 3 or 15.
        high = 2.0**info.bits - 1 if 0 < info.bits < 8 else card.inputs.high
        return Stretch(low=card.inputs.low, high=high), [], []
    if isinstance(scene, SegyScene):
        content = info.fingerprint.partition("#")[0]
        span = _of_volume(info.source, content, task.values.percentiles)
        if span is not None:
            detail = (
                f"amplitudes {span[0]:.6g} to {span[1]:.6g} of the volume become black to white"
            )
            return Stretch(low=span[0], high=span[1]), [], [detail]
    sample, whole = _sample(scene, bands)
    if not sample.size:
        nothing = Stretch(low=0.0, high=1.0)
        if whole:
            return nothing, [], ["it has no data anywhere"]
        warning = f"none of {LOOKED_AT} blocks of it has data; give black and white with --values"
        return nothing, [warning], []
    low, high = (float(value) for value in np.percentile(sample, task.values.percentiles))
    if high <= low:
        high = low + 1.0
    detail = f"values {low:.6g} to {high:.6g} ({info.dtype}) become black to white"
    fills = _fills(sample)
    if not fills and not info.validity and np.dtype(info.dtype).kind in "iu":
        fills = _near_fills(sample)
    if low < 0 and info.dtype.startswith("int"):
        return (
            Stretch(low=low, high=high),
            [f"some of its values are negative; {detail}", *fills],
            [],
        )
    return Stretch(low=low, high=high), fills, [detail]


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


def _fills(sample: Float64[np.ndarray, "bands n"]) -> list[str]:
    """Return warnings of a value far from all others that may stand for missing pixels."""
    warnings = []
    sample = sample.ravel()
    for value, gaps in ((sample.min(), 1.0), (sample.max(), FAR)):
        others = sample[sample != value]
        share = 1 - len(others) / len(sample)
        if not len(others) or share < LEAST_FILL:
            continue
        with np.errstate(over="ignore"):
            span, gap = np.ptp(others), np.abs(others - value).min()
        if gap > gaps * span > 0:
            warnings.append(
                f"{share:.0%} of its values are {value:g}, far from all others ({others.min():g} "
                f"to {others.max():g}), and nodata does not mark it: {_mark(value)}"
            )
    return warnings


def _near_fills(sample: Float64[np.ndarray, "bands n"]) -> list[str]:
    """Return warnings of many pixels that are 0, or as bright as their type goes, in all bands."""
    warnings = []
    low, high = sample.min(), sample.max()
    for value in {0.0, *(float(np.iinfo(kind).max) for kind in ("int16", "uint16"))}:
        if value not in (low, high) or low == high:
            continue
        share = float((sample == value).all(axis=0).mean())
        if share >= LARGE_FILL:
            warnings.append(
                f"{share:.0%} of its pixels are {value:g} in all bands that are mapped, and "
                f"nodata does not mark it: {_mark(value)}"
            )
    return warnings


def _mark(value: float) -> str:
    # All digits where fewer mean another number: 2147483647 is not 2.14748e+09.
    text = f"{value:g}" if float(f"{value:g}") == value else f"{float(value):.17g}"
    return (
        f"if nothing is there, map with --nodata {text}, or mark it (gdal_edit.py -a_nodata {text})"
    )


def _misses(scene: Scene, bands: tuple[int, ...], given: tuple[float, float]) -> list[str]:
    """Return warnings of a given range that is not where the values of the scene are."""
    sample, _ = _sample(scene, bands, most=RANGE_BLOCKS)
    if not sample.size:
        return []
    low, high = given
    first, last = (float(value) for value in np.percentile(sample, (1, 99)))
    text = f"--values {low:g},{high:g}"
    seen = f"its values ({first:.6g} to {last:.6g})"
    white, black = float((sample >= high).mean()), float((sample <= low).mean())
    if max(white, black) >= OUTSIDE:
        place = "above" if white > black else "below"
        shown = "white" if white > black else "black"
        share = min(max(white, black), 1.0)
        what = f"{share:.0%} of {seen} are at or {place} the range {text} and become plain {shown}"
    elif 0 < last - first < NARROW * (high - low):
        what = f"{seen} take up less than {NARROW:.0%} of the range {text} and are shown alike"
    else:
        return []
    meant = {(band.scale, band.offset) for band in scene.info.bands if band.index in bands}
    scale, offset = meant.pop() if len(meant) == 1 else (1.0, 0.0)
    if scale <= 0 or (scale, offset) == (1.0, 0.0):
        return [f"{what}; give the range of the numbers in the file"]
    numbers = ",".join(f"{(value - offset) / scale:.6g}" for value in given)
    return [
        f"{what}; its tags state {scale:g} * value + {offset:g}, which is not applied: in the "
        f"numbers of the file that range is --values {numbers}"
    ]


def _too_wide(high: float, dtype: str) -> list[str]:
    """Return a warning about a white value that this type cannot reach, if it is one."""
    kind = np.dtype(dtype)
    if kind.kind not in "iu" or high <= np.iinfo(kind).max:
        return []
    most = np.iinfo(kind).max
    return [f"{high:g} is to be white, and {dtype} ends at {most}: it is shown darker than it is"]


def _sample(
    scene: Scene, bands: tuple[int, ...], *, most: int = SAMPLE_BLOCKS
) -> tuple[Float64[np.ndarray, "bands n"], bool]:
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
            found.append(pixels[:, valid].astype(np.float64))
        if len(found) == most:
            break
    empty = np.empty((len(bands), 0))
    return np.concatenate([empty, *found], axis=1), rows * cols <= LOOKED_AT
