"""How touching objects of a scene are taken apart: what model, task and pixels make of it."""

from __future__ import annotations

import math

from pipeline.config import Separate, Task
from pipeline.core.grid import Sampling
from pipeline.core.polygons.separate import MergeCriterion, Separation
from pipeline.core.quantise import STEPS, quantised_threshold
from pipeline.errors import ConfigError
from pipeline.models.card import ModelCard
from pipeline.scenes.scene import SceneInfo

CHANNEL = "interior"
"""Name of the channel that separates."""


def separation_of(
    card: ModelCard, task: Task, info: SceneInfo, sampling: Sampling
) -> Separation | None:
    """Return how touching objects are taken apart; None where they are left together.

    Lengths are pixels of the network's grid in card and task, so that a scene costs the
    same halo whatever its pixel size; they are turned into pixels of the scene here.

    Raises:
        ConfigError: The task asks for it, and the model has no channel for it.
    """
    outputs, wanted = card.outputs, task.separate
    if wanted is False:
        return None
    if CHANNEL not in outputs.separating:
        if isinstance(wanted, Separate):
            raise ConfigError(
                f"task {task.name!r} has `separate`, but model {card.name!r} has no "
                f"channel {CHANNEL!r}; leave `separate` out, or choose another model"
            )
        return None
    options, card_says = (
        (wanted if isinstance(wanted, Separate) else Separate()),
        outputs.separation,
    )
    scale = _scene_pixels(sampling)
    return Separation(
        channel=len(outputs.classes) + outputs.separating.index(CHANNEL),
        threshold=quantised_threshold(_either(options.threshold, card_says.threshold)),
        opening=max(1, round(options.opening * scale)),
        max_steps=math.ceil(card_says.growth * scale),
        criterion=MergeCriterion(
            min_area_px=_either(options.min_area_m2, card_says.min_area_m2) / pixel_m2(info),
            doubling_probability=_either(
                options.doubling_probability, card_says.doubling_probability
            )
            * STEPS,
        ),
    )


def network_pixels(margin: int, sampling: Sampling) -> int:
    """Return the network's pixels around a core that hold so many of the scene's."""
    rows, cols = sampling.net_height / sampling.height, sampling.net_width / sampling.width
    return math.ceil(margin * max(rows, cols) - 1e-9)


def pixel_m2(info: SceneInfo) -> float:
    """Return the area of the scene's pixels in its middle; 1 where it has no place."""
    if info.georef is None:
        return 1.0
    across, down = info.georef.ground_size_m(col=info.width / 2, row=info.height / 2)
    area = across * down
    return area if math.isfinite(area) and area > 0 else 1.0


def _either(stated: float | None, otherwise: float) -> float:
    return otherwise if stated is None else stated


def _scene_pixels(sampling: Sampling) -> float:
    """Return the edge of a network's pixel in pixels of the scene."""
    scene, network = sampling.height * sampling.width, sampling.net_height * sampling.net_width
    return math.sqrt(scene / network)
