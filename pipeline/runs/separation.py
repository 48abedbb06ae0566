"""How touching objects of a scene are taken apart: what model, task and pixels make of it."""

from __future__ import annotations

import math

from pipeline.config import Separate, Task
from pipeline.core.grid import Sampling
from pipeline.core.quantise import quantised_threshold
from pipeline.core.separate import Separation
from pipeline.errors import ConfigError
from pipeline.models.card import ModelCard

CHANNEL = "interior"
"""Name of the channel that separates."""


def separation_of(card: ModelCard, task: Task, sampling: Sampling) -> Separation | None:
    """Return how touching objects are taken apart; None where they are left together.

    Lengths are pixels of the network's grid in card and task, so that a scene costs the
    same halo whatever its pixel size; they are turned into pixels of the scene here.

    Raises:
        ConfigError: The task says how, and the model has no channel for it.
    """
    outputs, wanted = card.outputs, task.separate
    if wanted is False:
        return None
    if CHANNEL not in outputs.separating:
        if isinstance(wanted, Separate):
            raise ConfigError(
                f"task {task.name!r} says how to separate, but model {card.name!r} has no "
                f"channel {CHANNEL!r}; leave `separate` out, or choose another model"
            )
        return None
    options = wanted if isinstance(wanted, Separate) else Separate()
    scale = _scene_pixels(sampling)
    threshold = outputs.marker_threshold if options.threshold is None else options.threshold
    return Separation(
        channel=len(outputs.classes) + outputs.separating.index(CHANNEL),
        threshold=quantised_threshold(threshold),
        opening=max(1, round(options.opening * scale)),
        reach=math.ceil(outputs.growth * scale),
    )


def network_pixels(separation: Separation | None, sampling: Sampling) -> int:
    """Return the network's pixels around a core on which its instances depend."""
    if separation is None:
        return 0
    rows, cols = sampling.net_height / sampling.height, sampling.net_width / sampling.width
    return math.ceil(separation.margin * max(rows, cols) - 1e-9)


def _scene_pixels(sampling: Sampling) -> float:
    """Return the edge of a network's pixel in pixels of the scene."""
    scene, network = sampling.height * sampling.width, sampling.net_height * sampling.net_width
    return math.sqrt(scene / network)
