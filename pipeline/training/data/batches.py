"""Batches: crops drawn over places, the same for the same seed and step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from pipeline.training.augment.augment import augmented
from pipeline.training.config import TargetConfig, TrainingConfig
from pipeline.training.data.crop_sampling import ATTEMPTS, CropDraws, surroundings
from pipeline.training.data.sources.places import Level, Place
from pipeline.training.data.sources.windowed import WindowedPlace
from pipeline.training.data.targets import CONTACT_SCALE, buildings, interiors
from pipeline.training.data.warp import Crop, cut_crop


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """One crop as the network will learn from it."""

    image: NDArray[np.uint8] | NDArray[np.float32]
    """(3, crop, crop), 8-bit; of volumes (1, a, b, c), from -1 to 1."""
    target: NDArray[np.uint8]
    """(channels, ...): a class each, then the interior where it is asked for."""
    weight: NDArray[np.float32]
    """(...): 0 where nothing is known, above 1 between objects."""
    redrawn: int = 0
    """Crops before this one on which nothing was known; `ATTEMPTS` where this one is such too."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """What one step learns from."""

    image: Tensor
    """(batch, 3, crop, crop), of volumes (batch, 1, a, b, c); -1 to 1."""
    target: Tensor
    """(batch, channels, ...): a class each, interior."""
    weight: Tensor
    """(batch, ...): 0 where nothing is known, above 1 between buildings."""
    redrawn: int = 0
    """Crops on which nothing was known, drawn again."""
    skipped: int = 0
    """Crops on which nothing is known after all attempts: their weight is 0."""


def sample_of(crop: Crop, level: Level, config: TrainingConfig, rng: Generator) -> Sample:
    """Return image, target and weight of a crop that was cut from a level."""
    image = augmented(crop.image, config.augment, rng, pixel_size_m=crop.pixel_size_m)
    target = targets_of(crop, level, config.targets, classes=len(config.classes))
    asked = config.targets
    weight = crop.known.astype(np.float32)
    if asked.border_weight > 0:
        extra = crop.contact * np.float32(asked.border_weight / CONTACT_SCALE)
        inside = target[: len(config.classes)].any(axis=0)
        extra *= np.where(inside, np.float32(asked.border_inside), np.float32(1.0))
        weight = np.where(crop.known, 1.0 + extra, 0.0).astype(np.float32)
    return Sample(image=image, target=target, weight=weight)


def targets_of(crop: Crop, level: Level, asked: TargetConfig, *, classes: int) -> NDArray[np.uint8]:
    """Return (channels, crop, crop): a class each, then the interior where it is asked for."""
    inside = buildings(crop.instances, gap=asked.gap)
    channels = [inside]
    if classes > 1:
        kinds = level.classes(crop.instances)
        channels = [inside * (kinds == number) for number in range(1, classes + 1)]
    if asked.interior:
        radius = float(np.clip(asked.interior_m / crop.pixel_size_m, *asked.interior_px))
        channels.append(interiors(crop.instances, radius=radius))
    return np.stack(channels).astype(np.uint8)


def draw_batch(
    places: Sequence[Place | WindowedPlace],
    synthetic: Sequence[Place],
    config: TrainingConfig,
    step: int,
) -> Batch:
    """Return the batch of one step.

    Args:
        places: Real ones, drawn by their share.
        synthetic: Made ones, drawn evenly, as often as configured.
        config: Crop, batch, targets and augmentation.
        step: Which one; with the seed it decides everything.
    """
    draws = CropDraws(places=places, synthetic=synthetic, config=config)
    return collated([draw_samples(draws, step, item) for item in range(config.batch)])


def draw_samples(draws: CropDraws, step: int, item: int) -> Sample:
    """Return one sample, drawn again while nothing is known on it."""
    config = draws.config
    for attempt in range(ATTEMPTS):
        draw = draws.draw(step, item, attempt)
        level, centre = surroundings(draw, crop=config.edge)
        crop = cut_crop(
            level,
            matrix=draw.matrix,
            centre=centre,
            crop=config.edge,
            field=draw.field,
        )
        if crop.known.any():
            break
    sample = sample_of(crop, level, config, draw.rng)
    redrawn = attempt + (0 if crop.known.any() else 1)
    return Sample(image=sample.image, target=sample.target, weight=sample.weight, redrawn=redrawn)


def collated(samples: Sequence[Sample]) -> Batch:
    """Return samples of pictures as one batch."""
    image = normalise_images(torch.from_numpy(np.stack([sample.image for sample in samples])))
    return batched(image, samples)


def batched(image: Tensor, samples: Sequence[Sample]) -> Batch:
    """Collate samples into a batch of inputs and targets."""
    return Batch(
        image=image,
        target=torch.from_numpy(np.stack([sample.target for sample in samples])).float(),
        weight=torch.from_numpy(np.stack([sample.weight for sample in samples])),
        redrawn=sum(sample.redrawn for sample in samples),
        skipped=sum(sample.redrawn == ATTEMPTS for sample in samples),
    )


def normalise_images(image: Tensor) -> Tensor:
    """Return 8-bit values as the encoder wants them: -1 to 1, channels last."""
    scaled = image.float().div_(127.5).sub_(1.0)
    return scaled.contiguous(memory_format=torch.channels_last)
