"""Batches: crops drawn over places, the same for the same seed and step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from pipeline.training.augment import augmented
from pipeline.training.config import TrainingConfig
from pipeline.training.places import Place
from pipeline.training.targets import CONTACT_SCALE, buildings, interiors
from pipeline.training.warp import Crop, cut, draw_matrix, draw_pixel_m, source_level


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """What one step learns from."""

    image: Tensor
    """(batch, 3, crop, crop), -1 to 1."""
    target: Tensor
    """(batch, 2, crop, crop): building, interior."""
    weight: Tensor
    """(batch, crop, crop): 0 where nothing is known, above 1 between buildings."""


def draw_crop(place: Place, config: TrainingConfig, rng: Generator) -> Crop:
    """Return a crop of a place, around a building or anywhere."""
    # Half as fine again as the finest image is as far as enlarging makes sense.
    wanted = max(draw_pixel_m(config.augment, rng), place.levels[0].pixel_m / 1.5)
    level = source_level(place, wanted)
    scale = wanted / level.pixel_m
    height, width = level.instances.shape
    if rng.random() < config.foreground and len(place.centres):
        centre = place.centres[rng.integers(len(place.centres))] * (height, width)
        centre = centre + rng.uniform(-0.4, 0.4, 2) * config.crop * scale
    else:
        centre = rng.random(2) * (height, width)
    matrix = draw_matrix(config.augment, scale, rng)
    return cut(level, matrix=matrix, centre=(centre[0], centre[1]), crop=config.crop)


def draw_batch(
    places: Sequence[Place], made: Sequence[Place], config: TrainingConfig, step: int
) -> Batch:
    """Return the batch of one step.

    Args:
        places: Real ones, drawn by their share.
        made: Made ones, drawn evenly, as often as the config says.
        config: Crop, batch, targets and augmentation.
        step: Which one; with the seed it decides everything.
    """
    shares = np.array([place.share for place in places])
    size, count = config.crop, config.batch
    images = np.empty((count, 3, size, size), np.uint8)
    targets = np.empty((count, 2, size, size), np.uint8)
    weights = np.empty((count, size, size), np.float32)
    asked = config.targets
    for item in range(count):
        rng = np.random.default_rng((config.seed, step, item))
        from_made = bool(made) and config.made is not None and rng.random() < config.made.share
        if from_made:
            place = made[int(rng.integers(len(made)))]
        else:
            place = places[int(rng.choice(len(places), p=shares / shares.sum()))]
        crop = draw_crop(place, config, rng)
        images[item] = augmented(crop.image, config.augment, rng)
        radius = float(np.clip(asked.interior_m / crop.pixel_m, *asked.interior_px))
        targets[item, 0] = buildings(crop.instances, gap=asked.gap)
        targets[item, 1] = interiors(crop.instances, radius=radius)
        extra = crop.contact * np.float32(asked.contact_weight / CONTACT_SCALE)
        extra *= np.where(targets[item, 0] > 0, np.float32(asked.contact_inside), np.float32(1.0))
        weights[item] = np.where(crop.known, 1.0 + extra, 0.0)
    return Batch(
        image=normalised(torch.from_numpy(images)),
        target=torch.from_numpy(targets).float(),
        weight=torch.from_numpy(weights),
    )


def normalised(image: Tensor) -> Tensor:
    """Return 8-bit values as the encoder wants them: -1 to 1, channels last."""
    scaled = image.float().div_(127.5).sub_(1.0)
    return scaled.contiguous(memory_format=torch.channels_last)
