"""All that a training reads, checked before its first step."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.errors import ConfigError
from pipeline.training.config import PlaceConfig, SyntheticConfig, TrainingConfig
from pipeline.training.data.crop_sampling import CropDraws
from pipeline.training.data.sources.images import read_images
from pipeline.training.data.sources.opening import HELD, Budget, open_place, read_scored
from pipeline.training.data.sources.places import Place
from pipeline.training.data.sources.windowed import WindowedPlace
from pipeline.training.data.synthetic import synthetic_places
from pipeline.training.volumes.data import VolumeData, read_volumes

log = logging.getLogger(__name__)

LARGEST_WINDOW = 8192
"""Edge in pixels of what a crop is cut from: 0.6 GB with its objects and weights."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Data:
    """Places and images by split."""

    train: tuple[Place | WindowedPlace, ...]
    """What is learnt from."""
    synthetic: tuple[Place, ...]
    """Made scenes, learnt from too."""
    validation: tuple[Place, ...]
    """What the threshold is chosen on."""
    test: tuple[Place, ...]
    """What is reported alone."""

    def draws(self, config: TrainingConfig) -> CropDraws:
        """Return where crops are laid."""
        return CropDraws(places=self.train, synthetic=self.synthetic, config=config)


def read_splits(config: TrainingConfig, *, cache: Path) -> Data | VolumeData:
    """Return all that a training reads, be it pictures or volumes; see `read_data`."""
    if config.volumes is not None:
        return read_volumes(config, config.volumes)
    return read_data(config, cache=cache)


def read_data(config: TrainingConfig, *, cache: Path) -> Data:
    """Return the places or images of a training.

    Args:
        config: Names them.
        cache: Folder in which synthetic scenes are kept.

    Raises:
        ConfigError: Labels cannot be read, do not fit, or lack a class.
        SceneError: A scene cannot be read or trained on.
    """
    weighed = config.targets.border_weight > 0
    sigma = config.targets.border_sigma if weighed else 0.0
    budget = Budget(config.memory_gb * 1e9)
    if config.images is not None:
        parts = read_images(
            config.images, config.classes, border_sigma=sigma, most_bytes=budget.limit
        )
        data = Data(
            train=tuple(parts["train"]),
            synthetic=(),
            validation=tuple(parts["validation"]),
            test=tuple(parts["test"]),
        )
    else:
        synthetic = (
            ()
            if config.synthetic is None
            else _synthetic(config.synthetic, cache / "synthetic", sigma, budget)
        )
        # What must be held comes first: what is trained on may be read by windows.
        validation = _scored(config.validation, config, budget)
        test = _scored(config.test, config, budget)
        train = tuple(
            open_place(place, config.classes, sigma=sigma, budget=budget) for place in config.places
        )
        data = Data(train=train, synthetic=synthetic, validation=validation, test=test)
        _check_windows(train, config)
    _check_classes(data, config)
    log.info(
        "data: %d to train on, %d synthetic, %d to validate, %d to test",
        *(len(part) for part in (data.train, data.synthetic, data.validation, data.test)),
    )
    return data


def _scored(
    places: tuple[PlaceConfig, ...], config: TrainingConfig, budget: Budget
) -> tuple[Place, ...]:
    return tuple(
        read_scored(place, config.classes, channels=config.channels, budget=budget)
        for place in places
    )


def _synthetic(
    config: SyntheticConfig, cache: Path, sigma: float, budget: Budget
) -> tuple[Place, ...]:
    pixels = config.count * config.size**2
    if not budget.holds(pixels, each=HELD, largest=config.size**2):
        raise ConfigError(
            f"synthetic: {config.count} scenes of {config.size} x {config.size} px take "
            f"{HELD * pixels / 1e9:.1f} GB, and memory_gb is {budget.limit / 1e9:g}; give fewer or "
            "smaller ones, or a larger memory_gb"
        )
    budget.take(pixels, each=HELD)
    return tuple(synthetic_places(config, cache=cache, sigma=sigma))


def _check_windows(places: Sequence[Place | WindowedPlace], config: TrainingConfig) -> None:
    """Refuse ground sizes at which a crop would be cut from a window too large to read."""
    if config.augment.pixel_size_m is None:
        return
    for place in places:
        scale = config.augment.pixel_size_m[1] / place.levels[-1].pixel_size_m
        if config.edge * scale > LARGEST_WINDOW:
            raise ConfigError(
                f"augment.pixel_size_m: a crop of {config.edge} px of "
                f"{config.augment.pixel_size_m[1]:g} m "
                f"is cut from {config.edge * scale:.0f} px of {place.name}, whose pixels have "
                f"{place.levels[-1].pixel_size_m:.3g} m; the limit is {LARGEST_WINDOW}: "
                "give smaller "
                "ground sizes, or a coarser scene"
            )


def _check_classes(data: Data, config: TrainingConfig) -> None:
    """Refuse classes of which the training never sees a pixel."""
    seen: set[int] = set()
    for place in data.train:
        if isinstance(place, WindowedPlace):
            seen.update(place.classes)
            continue
        level = place.levels[0]
        numbers = np.unique(level.instances[level.known])
        seen.update(np.unique(level.classes(numbers.astype(np.int32))).tolist())
    empty = [
        known.name for number, known in enumerate(config.classes, start=1) if number not in seen
    ]
    if empty:
        raise ConfigError(
            f"no label of class {', '.join(empty)} lies in what is trained on; "
            "check classes.values, the field, and where labels lie"
        )
