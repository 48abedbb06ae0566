"""All that a training of volumes reads, checked before its first step."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pipeline.errors import ConfigError
from pipeline.training.config import TrainingConfig, VolumesConfig
from pipeline.training.volumes.draws import VolumeDraws
from pipeline.training.volumes.part import VOXEL, VolumePart, read_part

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VolumeData:
    """Parts of volumes by split."""

    train: tuple[VolumePart, ...]
    """What is learnt from."""
    validation: tuple[VolumePart, ...]
    """What the threshold is chosen on."""
    test: tuple[VolumePart, ...]
    """What is reported alone."""

    def draws(self, config: TrainingConfig) -> VolumeDraws:
        """Return where crops are laid."""
        return VolumeDraws(parts=self.train, config=config)


def read_volumes(config: TrainingConfig, volumes: VolumesConfig) -> VolumeData:
    """Return the volumes of a training, held in memory.

    Raises:
        ConfigError: Labels do not fit, lack a class, or a part is smaller than a crop.
        SceneError: A volume cannot be read.
    """
    left, read = config.memory_gb * 1e9, []
    for one in volumes.every():
        read.append(read_part(one, config.classes, most_bytes=left))
        left -= VOXEL * read[-1].kinds.size
    ends = np.cumsum([len(volumes.train), len(volumes.validation)]).tolist()
    train, validation, test = (
        tuple(read[first:last]) for first, last in pairwise((0, *ends, len(read)))
    )
    for part in train:
        if any(edge > length for edge, length in zip(config.box, part.shape, strict=True)):
            have, want = (" x ".join(map(str, each)) for each in (part.shape, config.box))
            raise ConfigError(
                f"{part.name}: {have} inlines, crosslines and samples hold no crop of {want}; "
                "choose a smaller `crop`, or more lines"
            )
    empty = [
        known.name
        for number, known in enumerate(config.classes)
        if not any(len(part.seeds[number]) for part in train)
    ]
    if empty:
        raise ConfigError(
            f"no label of class {', '.join(empty)} lies in what is trained on; "
            "check classes.values, and which lines are used"
        )
    log.info(
        "data: %d volumes to train on, %d to validate, %d to test; %.1f million voxels",
        *(len(train), len(validation), len(test)),
        sum(part.kinds.size for part in (*train, *validation, *test)) / 1e6,
    )
    return VolumeData(train=train, validation=validation, test=test)
