"""Predictions beside their reference labels, of a picture or a volume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from pipeline.training.config import TrainingConfig
from pipeline.training.data.sources.places import Level


@runtime_checkable
class Scored(Protocol):
    """Probabilities and truth; pixels may be voxels."""

    @property
    def name(self) -> str:
        """What scores call it."""
        ...

    @property
    def probability(self) -> NDArray[Any]:
        """(channels, ...), 0 to 1."""
        ...

    @property
    def known(self) -> NDArray[Any]:
        """(...), True where the truth is known."""
        ...

    def kinds(self) -> NDArray[Any]:
        """Return the class of each pixel, (...), from 1; 0 for none; where it is known."""
        ...


def exclusive(probability: NDArray[Any], config: TrainingConfig) -> NDArray[Any]:
    """Compute class probabilities of which a threshold gives each pixel one class, as mapping does.

    A class keeps its probability where it is the most probable one (the first of equals) and,
    with a softmax, more probable than the background; elsewhere it has 0. See
    `pipeline.core.quantise.classified`.

    Args:
        probability: (channels, ...), 0 to 1: the classes, then the other channels.
        config: How many classes there are, and whether they exclude each other.

    Returns:
        (classes, ...).
    """
    classes = probability[: len(config.classes)]
    if len(classes) == 1 and not config.loss.softmax:
        return classes
    best = classes.max(axis=0)
    wins = np.arange(len(classes)).reshape(-1, *[1] * best.ndim) == classes.argmax(axis=0)
    if config.loss.softmax:
        wins &= best > 1 - classes.sum(axis=0)
    return np.where(wins, classes, 0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlacePrediction:
    """Prediction of one level of a place."""

    name: str
    """Place and pixel size."""
    level: Level
    """What it saw, and the truth."""
    probability: NDArray[np.float32]
    """(channels, rows, cols)."""

    @property
    def known(self) -> NDArray[np.bool_]:
        """Where the truth is known."""
        return self.level.known

    def kinds(self) -> NDArray[np.uint8]:
        """Return the class of each pixel, from 1; 0 on ground."""
        return self.level.classes(self.level.instances)
