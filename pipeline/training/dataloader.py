"""Batches of a training, of pictures or of volumes."""

from __future__ import annotations

from torch.utils.data import DataLoader

from pipeline.training.data.batches import Batch, Sample, draw_batch
from pipeline.training.data.crop_sampling import CropDraws
from pipeline.training.data.items import Items
from pipeline.training.data.sampler import CropSampler, loader
from pipeline.training.volumes.crops import volume_batch, volume_loader
from pipeline.training.volumes.draws import VolumeDraws

AnyDraws = CropDraws | VolumeDraws
"""What decides where crops are laid."""


def batch_at(draws: AnyDraws, step: int) -> Batch:
    """Return the batch of a step; with the seed the step decides everything."""
    if isinstance(draws, VolumeDraws):
        return volume_batch(draws, step)
    return draw_batch(draws.places, draws.synthetic, draws.config, step)


def loader_of(
    draws: AnyDraws, *, steps: range, rank: int = 0, ranks: int = 1, pin: bool = False
) -> DataLoader[Sample]:
    """Return the batches of steps in their order, or one process's part of each.

    Args:
        draws: What decides where crops are laid.
        steps: Which steps; those done already are left out.
        rank: Which of several processes this is.
        ranks: How many there are.
        pin: Whether batches are laid where a CUDA device fetches them faster.
    """
    workers = draws.config.workers
    if isinstance(draws, VolumeDraws):
        items = Items(batch=draws.config.batch, steps=steps, rank=rank, ranks=ranks)
        return volume_loader(draws, items, workers=workers, pin=pin)
    sampler = CropSampler(draws, steps=steps, rank=rank, ranks=ranks)
    return loader(sampler, workers=workers, pin=pin)
