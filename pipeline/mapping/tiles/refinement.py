"""How a scene's probabilities and mask are refined: what task and pixels make of it."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import UInt8

from pipeline.config import Guide, Task
from pipeline.core.grid import TileGrid
from pipeline.core.refine import Guided, Refinement, guided_filter, luminance
from pipeline.core.refine.guided import LARGEST_RADIUS
from pipeline.core.window import Window
from pipeline.errors import ConfigError, SceneError
from pipeline.mapping.planning.plan import ScenePlan
from pipeline.mapping.planning.separation import pixel_m2
from pipeline.mapping.tiles.predict import open_plan_scene
from pipeline.models.card import ModelCard
from pipeline.scenes.scene import SceneInfo

_ROWS = 512
"""Rows of the scene that are turned to grey at a time."""


def refinement_of(task: Task, info: SceneInfo) -> Refinement | None:
    """Return how a scene's probabilities and mask are refined, in its pixels; None: not at all.

    Raises:
        SceneError: The radius is in metres, and the scene is not georeferenced or
            pixels too small for it.
    """
    asked = task.refine
    guided = None
    if asked.guided is not None:
        guided = Guided(radius=_radius(asked.guided, info), eps=asked.guided.eps)
    how = Refinement(guided=guided, opening=asked.opening_px, closing=asked.closing_px)
    return how if how.margin else None


def refuse_narrow(card: ModelCard, grid: TileGrid, *, extra: int) -> None:
    """Refuse tiles whose halo holds less than what refinement looks at.

    Only tiles that are blended, or lie alone, may have less: the one get what they look at
    from their neighbours, the other have it all.

    Args:
        card: The model's.
        grid: The scene's.
        extra: Network pixels around a core that separation and refinement look at.

    Raises:
        ConfigError: The network takes no tiles with such a halo.
    """
    needed = (card.network.rf_radius or 0) + extra
    if card.context != "blend" and len(grid) > 1 and grid.halo < needed:
        raise ConfigError(
            f"refinement needs a halo of {needed} px, and model {card.name!r} has one of "
            f"{grid.halo}; leave `refine` out of the task, or give smaller radii"
        )


def guided(
    plan: ScenePlan, window: Window, probability: UInt8[np.ndarray, "channels rows cols"]
) -> UInt8[np.ndarray, "channels rows cols"]:
    """Return probabilities of classes that follow the scene's edges; other channels stay.

    Args:
        plan: The scene's.
        window: Pixels of the scene; those nearer to its border than `Guided.margin` are
            right only where that is the scene's own.
        probability: Quantised, over the window.

    Raises:
        SceneError: The pixels cannot be read.
    """
    how = None if plan.refinement is None else plan.refinement.guided
    if how is None:
        return probability
    guide = _guide(plan, window)
    found = probability.copy()
    for channel in range(len(plan.card.outputs.classes)):
        found[channel] = guided_filter(probability[channel], guide, how)
    return found


def _guide(plan: ScenePlan, window: Window) -> UInt8[np.ndarray, "rows cols"]:
    """Return the scene's luminance over a window, read some rows at a time to spare memory."""
    scene = open_plan_scene(plan, resampled=False)
    low, high = plan.stretch.low, plan.stretch.high
    guide = np.empty((window.height, window.width), np.uint8)
    for row in range(0, window.height, _ROWS):
        height = min(_ROWS, window.height - row)
        part = Window(row=window.row + row, col=window.col, height=height, width=window.width)
        pixels, _ = scene.read(part, plan.bands)
        guide[row : row + height] = luminance(pixels, plan.card.inputs.bands, low=low, high=high)
    return guide


def _radius(asked: Guide, info: SceneInfo) -> int:
    if asked.radius_m is None:
        return asked.radius_px or 1
    if info.georef is None:
        raise SceneError(
            info.source,
            f"it is not georeferenced, so refine.guided.radius_m {asked.radius_m:g} is no "
            "length in it",
            "give refine.guided.radius_px in the task, or the reference system with --crs EPSG:...",
        )
    pixel = math.sqrt(pixel_m2(info))
    radius = max(1, round(asked.radius_m / pixel))
    if radius > LARGEST_RADIUS:
        raise SceneError(
            info.source,
            f"refine.guided.radius_m {asked.radius_m:g} is {radius} of its pixels, and at most "
            f"{LARGEST_RADIUS} are filtered over",
            f"give at most {LARGEST_RADIUS * pixel:.3g} m in the task",
        )
    return radius
