"""Crops of volumes as samples and batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from pipeline.training.data.batches import Batch, Sample, batched
from pipeline.training.data.crop_sampling import ATTEMPTS
from pipeline.training.data.items import Item, Items
from pipeline.training.data.sampler import in_order
from pipeline.training.volumes.cut import augment_amplitudes, crop_of, network_amplitudes
from pipeline.training.volumes.draws import VolumeDraws
from pipeline.training.volumes.part import UNKNOWN


def sample_at(draws: VolumeDraws, step: int, item: int) -> Sample:
    """Return one sample, drawn again while nothing is known on it."""
    config = draws.config
    for attempt in range(ATTEMPTS):
        draw = draws.draw(step, item, attempt)
        amplitude, kinds = crop_of(draw, box=config.box)
        known = kinds != UNKNOWN
        if known.any():
            break
    stretch = draw.part.stretch
    image = network_amplitudes(
        augment_amplitudes(amplitude, stretch, draws.augment, draw.rng), stretch
    )
    target = np.stack([kinds == number for number in range(1, len(config.classes) + 1)])
    return Sample(
        image=image[None],
        target=target.astype(np.uint8),
        weight=known.astype(np.float32),
        redrawn=attempt + (0 if known.any() else 1),
    )


def collated_volumes(samples: Sequence[Sample]) -> Batch:
    """Return samples of volumes as one batch."""
    return batched(torch.from_numpy(np.stack([sample.image for sample in samples])), samples)


def volume_batch(draws: VolumeDraws, step: int) -> Batch:
    """Return the batch of a step."""
    return collated_volumes([sample_at(draws, step, item) for item in range(draws.config.batch)])


class VolumeCrops(Dataset[Sample]):
    """The samples that items stand for."""

    def __init__(self, draws: VolumeDraws) -> None:
        """Cut them from the parts of ``draws``."""
        self.draws = draws

    def __getitem__(self, item: Item) -> Sample:
        """Return the sample of an item."""
        return sample_at(self.draws, *item)


def volume_loader(
    draws: VolumeDraws, items: Items, *, workers: int = 0, pin: bool = False
) -> DataLoader[Sample]:
    """Return the batches of the items' steps, in their order; see `sampler.loader`."""
    return in_order(
        VolumeCrops(draws),
        items,
        collate=collated_volumes,
        size=len(items.items),
        workers=workers,
        pin=pin,
    )
