"""Compatibility of a scene and a model: bands, values and pixel size."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pipeline.config import Task
from pipeline.core.grid import Sampling
from pipeline.errors import SceneError
from pipeline.mapping.planning.bands import band_warnings, choose_bands
from pipeline.mapping.planning.hidden_pixels import hidden_warnings
from pipeline.mapping.planning.stretch import choose_stretch
from pipeline.models.card import ModelCard
from pipeline.models.predictor import Stretch
from pipeline.scenes.scene import Scene, SceneInfo

FARTHEST = 3.0
"""Scenes are resampled up to this factor outside a model's range of pixel sizes, and enlarged no
further."""
DTYPES = {"uint8", "int16", "uint16", "int32", "uint32", "float16", "float32", "float64"}
WORTH = 1.2
"""Scenes this near to what a model is best shown stay as they are: resampling blurs them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """How a scene is shown to a model."""

    bands: tuple[int, ...]
    """Bands of the scene, in the order of the network's channels."""
    stretch: Stretch
    """Which values become 0 and 1."""
    sampling: Sampling
    """The scene's grid and the network's."""
    warnings: tuple[str, ...]
    """Warnings for the user."""
    notes: tuple[str, ...] = ()
    """What was chosen on the user's behalf, and is nothing to worry about."""


def check_compatibility(scene: Scene, card: ModelCard, task: Task) -> Preflight:
    """Return how a scene is shown to a model.

    Raises:
        SceneError: It does not suit; names the reason, and the option that would accept it.
    """
    info = scene.info
    choice = choose_bands(info, card, task)
    bands = choice.bands
    if info.dtype not in DTYPES:
        raise SceneError(
            info.source,
            f"its pixels are {info.dtype}, which no model takes",
            f"convert it to one of {', '.join(sorted(DTYPES))}",
        )
    sampling, resampled = _sampling(info, card)
    stretch, warnings, text = choose_stretch(scene, bands, card, task)
    return Preflight(
        bands=bands,
        stretch=stretch,
        sampling=sampling,
        warnings=(
            *info.warnings,
            *choice.warnings,
            *band_warnings(info, bands, card, task),
            *hidden_warnings(scene, bands),
            *warnings,
        ),
        notes=(*choice.notes, *resampled, *text),
    )


def _sampling(info: SceneInfo, card: ModelCard) -> tuple[Sampling, list[str]]:
    same = Sampling(
        height=info.height, width=info.width, net_height=info.height, net_width=info.width
    )
    limits = card.inputs.gsd_range_m
    if limits is None:
        return same, []
    low, high = limits
    if info.georef is None:
        raise SceneError(
            info.source,
            f"it is not georeferenced, so its pixel size is unknown; model {card.name!r} "
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
    if card.inputs.preferred_gsd_m is not None:
        low, high = card.inputs.preferred_gsd_m
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
    """Format a pixel's size: ``0.3 m``, or ``0.5 x 0.7 m`` if it is not square."""
    if f"{across:.2g}" == f"{down:.2g}":
        return f"{math.sqrt(across * down):.3g} m"
    return f"{across:.3g} x {down:.3g} m"
