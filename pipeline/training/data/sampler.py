"""Crops through torchgeo: a sampler that snaps to pixels, and the samples it asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler
from torchgeo.samplers import GeoSampler

from pipeline.training.augment.elastic import farthest
from pipeline.training.data.batches import Batch, Sample, collated, sample_of
from pipeline.training.data.crop_sampling import ATTEMPTS, MARGIN, CropDraws, span
from pipeline.training.data.datasets import LevelDataset
from pipeline.training.data.items import Items
from pipeline.training.data.warp import cut_crop


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CropQuery:
    """Where a crop is cut from: a window on pixel edges, and how the crop lies in it."""

    dataset: int
    """Which of the sampler's datasets."""
    where: Any
    """torchgeo's slices of map coordinates, on pixel edges."""
    matrix: NDArray[np.float64]
    """2 x 2, from a step in the crop to a step in the window."""
    centre: tuple[float, float]
    """Row and column of the crop's middle in the window."""
    field: NDArray[np.float32] | None
    """Elastic deformation, see `draw_field`."""
    rng: Generator
    """Where the chance of its augmentation comes from."""
    item: tuple[int, int, int]
    """Step, item and attempt that the crop was drawn for."""


class CropSampler(GeoSampler):
    """Windows on pixel edges, anywhere or around objects, over scenes of any CRS and size.

    Step, item and seed decide a window; where a sampling was stopped does not.
    """

    def __init__(self, draws: CropDraws, *, steps: range, rank: int = 0, ranks: int = 1) -> None:
        """Sample the batches of the given steps.

        Args:
            draws: What decides the windows.
            steps: Which steps; those done already are left out.
            rank: Which of several processes this is; each takes its part of every batch.
            ranks: How many there are.
        """
        # Not torchgeo's own: it takes one index of one CRS and one resolution.
        self.draws = draws
        self.order = Items(batch=draws.config.batch, steps=steps, rank=rank, ranks=ranks)
        levels = [level for place in (*draws.places, *draws.synthetic) for level in place.levels]
        self.datasets = [LevelDataset(level) for level in levels]
        self._number = _numbers(self.datasets)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Number the levels of this process: one that was spawned holds copies."""
        self.__dict__.update(state)
        self._number = _numbers(self.datasets)

    def query(self, step: int, item: int, attempt: int = 0) -> CropQuery:
        """Return where one item of a step's batch is cut from."""
        draw = self.draws.draw(step, item, attempt)
        number = self._number[id(draw.level)]
        rows, cols = span(
            draw.matrix,
            draw.centre,
            crop=self.draws.config.edge,
            margin=MARGIN,
            moved=farthest(draw.field),
        )
        return CropQuery(
            dataset=number,
            where=self.datasets[number].query(rows, cols),
            matrix=draw.matrix,
            centre=(draw.centre[0] - rows[0], draw.centre[1] - cols[0]),
            field=draw.field,
            rng=draw.rng,
            item=(step, item, attempt),
        )

    def __iter__(self) -> Iterator[CropQuery]:  # type: ignore[override]  # several datasets
        """Yield the items of one batch after the other."""
        for step, item in self.order:
            yield self.query(step, item)

    def __len__(self) -> int:
        """Return how many items there are."""
        return len(self.order)


def _numbers(datasets: Sequence[LevelDataset]) -> dict[int, int]:
    """Return the position of each dataset by the identity of its level."""
    return {id(dataset.level): number for number, dataset in enumerate(datasets)}


class Crops(Dataset[Sample]):
    """The samples that a sampler's queries stand for."""

    def __init__(self, sampler: CropSampler) -> None:
        """Answer the queries of ``sampler`` from its datasets."""
        self.sampler = sampler

    def __getitem__(self, query: CropQuery) -> Sample:
        """Return the sample of a query; drawn again while nothing is known on it."""
        config = self.sampler.draws.config
        step, item, first = query.item
        for attempt in range(first, ATTEMPTS):
            if attempt > first:
                query = self.sampler.query(step, item, attempt)
            window = self.sampler.datasets[query.dataset].cut(query.where)
            crop = cut_crop(
                window,
                matrix=query.matrix,
                centre=query.centre,
                crop=config.edge,
                field=query.field,
            )
            if crop.known.any():
                break
        sample = sample_of(crop, window, config, query.rng)
        unknown = 0 if crop.known.any() else 1
        return Sample(
            image=sample.image,
            target=sample.target,
            weight=sample.weight,
            redrawn=attempt + unknown,
        )


def loader(sampler: CropSampler, *, workers: int = 0, pin: bool = False) -> DataLoader[Sample]:
    """Return the batches of a sampler's steps, in their order.

    Args:
        sampler: Which steps, and which part of each batch.
        workers: Processes that cut crops ahead; 0 cuts them between the steps.
        pin: Whether batches are laid where a CUDA device fetches them faster.
    """
    return in_order(
        Crops(sampler),
        sampler,
        collate=collated,
        size=len(sampler.order.items),
        workers=workers,
        pin=pin,
    )


def in_order(
    crops: Dataset[Sample],
    sampler: Sampler[Any],
    *,
    collate: Callable[[Sequence[Sample]], Batch],
    size: int,
    workers: int,
    pin: bool,
) -> DataLoader[Sample]:
    """Return batches of ``size`` crops in a sampler's order; see `loader`."""
    return DataLoader(
        crops,
        batch_size=size,
        sampler=sampler,
        num_workers=workers,
        collate_fn=collate,
        pin_memory=pin,
        persistent_workers=workers > 0,
    )
