"""Where crops are laid: a pure function of seed, step and item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pipeline.core.window import Window
from pipeline.training.augment.elastic import draw_field, farthest
from pipeline.training.config import TrainingConfig
from pipeline.training.data.sources.places import Level, Place
from pipeline.training.data.sources.windowed import WindowedLevel, WindowedPlace
from pipeline.training.data.warp import draw_level, draw_matrix

MARGIN = 2
"""Pixels around a crop that interpolation may look at."""
ATTEMPTS = 8
"""Draws until a crop on which nothing is known is given up: counted, and weighing nothing."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Draw:
    """A crop before it is cut."""

    level: Level | WindowedLevel
    """What it is cut from."""
    matrix: NDArray[np.float64]
    """2 x 2, from a step in the crop to a step in the level."""
    centre: tuple[float, float]
    """Row and column of its middle in the level."""
    field: NDArray[np.float32] | None
    """Elastic deformation, see `draw_field`."""
    rng: Generator
    """Where the chance of its augmentation comes from."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CropDraws:
    """Crops by their step and item."""

    places: Sequence[Place | WindowedPlace]
    """Real ones, drawn by their share; images one after the other in a new order each epoch."""
    synthetic: Sequence[Place]
    """Made ones, drawn evenly, as often as configured."""
    config: TrainingConfig
    """Crop, batch and augmentation."""

    def draw(self, step: int, item: int, attempt: int = 0) -> Draw:
        """Return one item of the batch of a step.

        Args:
            step: Which batch; with the seed it decides everything.
            item: Which crop of it.
            attempt: Draws before this one on which nothing was known.
        """
        seeds = (self.config.seed, step, item, attempt) if attempt else (
            self.config.seed, step, item
        )  # fmt: skip
        rng = np.random.default_rng(seeds)
        if self.config.images is not None:
            return self._of_image(step, item, rng)
        synthetic = self.config.synthetic
        place: Place | WindowedPlace
        if self.synthetic and synthetic is not None and rng.random() < synthetic.share:
            place = self.synthetic[int(rng.integers(len(self.synthetic)))]
        else:
            shares = np.array([place.share for place in self.places])
            place = self.places[int(rng.choice(len(self.places), p=shares / shares.sum()))]
        return self._of_place(place, rng)

    def _of_place(self, place: Place | WindowedPlace, rng: Generator) -> Draw:
        config = self.config
        level, scale = draw_level(place, config.augment, rng)
        height, width = level.shape
        if rng.random() < config.foreground and len(place.centres):
            centre = place.centres[rng.integers(len(place.centres))] * (height, width)
            centre = centre + rng.uniform(-0.4, 0.4, 2) * config.edge * scale
        else:
            centre = rng.random(2) * (height, width)
        matrix = draw_matrix(config.augment, scale, rng)
        field = draw_field(config.augment, crop=config.edge, rng=rng)
        return Draw(level=level, matrix=matrix, centre=(centre[0], centre[1]), field=field, rng=rng)

    def _of_image(self, step: int, item: int, rng: Generator) -> Draw:
        epoch, at = divmod(step * self.config.batch + item, len(self.places))
        place = self.places[_order(self.config.seed, epoch, len(self.places))[at]]
        level = place.levels[0]
        matrix = draw_matrix(self.config.augment, 1.0, rng)
        if rng.random() < self.config.foreground and len(place.centres):
            near = place.centres[rng.integers(len(place.centres))]
            near = near + rng.uniform(-0.4, 0.4, 2) * self.config.edge / level.shape
        else:
            near = rng.random(2)
        middle = [
            _middle(part, length=length, crop=self.config.edge)
            for part, length in zip(near, level.shape, strict=True)
        ]
        field = draw_field(self.config.augment, crop=self.config.edge, rng=rng)
        return Draw(level=level, matrix=matrix, centre=(middle[0], middle[1]), field=field, rng=rng)


@lru_cache(maxsize=4)
def _order(seed: int, epoch: int, many: int) -> NDArray[np.intp]:
    """Return in which order an epoch takes its images."""
    return np.random.default_rng((seed, epoch)).permutation(many)


def _middle(part: float, *, length: int, crop: int) -> float:
    """Return where a crop's middle lies along an axis.

    An image that fits into the crop lies in its middle, where mapping puts it: with
    ``(crop - length) // 2`` pixels before it. A larger one is cut anywhere inside.
    """
    if length <= crop:
        return crop / 2 - (crop - length) // 2
    return float(np.clip(part * length, crop / 2, length - crop / 2))


def span(
    matrix: NDArray[np.float64],
    centre: tuple[float, float],
    *,
    crop: int,
    margin: int,
    moved: float = 0.0,
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the first and last-but-one row and column that a crop touches in its level.

    Args:
        matrix: 2 x 2, from a step in the crop to a step in the level.
        centre: Row and column of its middle.
        crop: Its edge in pixels.
        margin: Pixels of the level to add on every side: interpolation looks one further.
        moved: Pixels of the crop by which it is deformed at most.
    """
    reach = np.abs(matrix).sum(axis=1) * (crop / 2 + moved)
    first = np.floor(np.asarray(centre) - reach).astype(int) - margin
    last = np.ceil(np.asarray(centre) + reach).astype(int) + margin
    return (int(first[0]), int(last[0])), (int(first[1]), int(last[1]))


def surroundings(draw: Draw, *, crop: int) -> tuple[Level, tuple[float, float]]:
    """Return pixels that a crop can be cut from, and where its middle lies in them.

    The level itself where it is in memory, else the window of it that the crop touches.
    """
    if isinstance(draw.level, Level):
        return draw.level, draw.centre
    (top, bottom), (left, right) = span(
        draw.matrix, draw.centre, crop=crop, margin=MARGIN, moved=farthest(draw.field)
    )
    window = Window(row=top, col=left, height=bottom - top, width=right - left)
    return draw.level.part(window), (draw.centre[0] - top, draw.centre[1] - left)
