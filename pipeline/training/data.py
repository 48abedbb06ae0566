"""All that a training reads, checked before its first step."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.errors import ConfigError
from pipeline.training.config import PlaceConfig, TrainingConfig
from pipeline.training.draws import Draws
from pipeline.training.images import read_images
from pipeline.training.made import made_places
from pipeline.training.places import Place, read_place
from pipeline.training.volumes.data import VolumeData, read_volumes

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Data:
    """Places and images by split."""

    train: tuple[Place, ...]
    """What is learnt from."""
    made: tuple[Place, ...]
    """Made scenes, learnt from too."""
    validation: tuple[Place, ...]
    """What the threshold is chosen on."""
    test: tuple[Place, ...]
    """What is reported alone."""

    def draws(self, config: TrainingConfig) -> Draws:
        """Return where crops are laid."""
        return Draws(places=self.train, made=self.made, config=config)


def read_splits(config: TrainingConfig, *, cache: Path) -> Data | VolumeData:
    """Return all that a training reads, be it pictures or volumes; see `read_data`."""
    if config.volumes is not None:
        return read_volumes(config, config.volumes)
    return read_data(config, cache=cache)


def read_data(config: TrainingConfig, *, cache: Path) -> Data:
    """Return the places or images of a training.

    Args:
        config: Names them.
        cache: Folder in which made scenes are kept.

    Raises:
        ConfigError: Labels cannot be read, do not fit, or lack a class.
        SceneError: A scene cannot be read or trained on.
    """
    weighed = config.targets.contact_weight > 0
    sigma = config.targets.contact_sigma if weighed else 0.0
    if config.images is not None:
        parts = read_images(config.images, config.classes, contact_sigma=sigma)
        data = Data(
            train=tuple(parts["train"]),
            made=(),
            validation=tuple(parts["validation"]),
            test=tuple(parts["test"]),
        )
    else:
        data = Data(
            train=_read(config.places, config, sigma, halve=True),
            made=tuple(
                made_places(config.made, cache=cache / "made", sigma=sigma) if config.made else ()
            ),
            validation=_read(config.validation, config, 0.0, halve=False),
            test=_read(config.test, config, 0.0, halve=False),
        )
    _check_classes(data, config)
    log.info(
        "data: %d to train on, %d made, %d to validate, %d to test",
        *(len(part) for part in (data.train, data.made, data.validation, data.test)),
    )
    return data


def _read(
    places: tuple[PlaceConfig, ...], config: TrainingConfig, sigma: float, *, halve: bool
) -> tuple[Place, ...]:
    return tuple(
        read_place(place, contact_sigma=sigma, classes=config.classes, halve=halve)
        for place in places
    )


def _check_classes(data: Data, config: TrainingConfig) -> None:
    """Refuse classes of which the training never sees a pixel."""
    seen: set[int] = set()
    for place in data.train:
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
