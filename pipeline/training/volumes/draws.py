"""Where crops of volumes are laid: a pure function of seed, step and item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32
from numpy.random import Generator

from pipeline.core.block import Three
from pipeline.training.augment.elastic import field_in_box
from pipeline.training.config import TrainingConfig, VolumeAugmentConfig
from pipeline.training.volumes.part import VolumePart

AROUND = 0.4
"""How far from its middle, in parts of a crop, the voxel lies that it is laid around."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VolumeDraw:
    """A crop before it is cut."""

    part: VolumePart
    """What it is cut from."""
    start: Three
    """Its first voxel in the part."""
    field: Float32[np.ndarray, "3 inlines crosslines samples"] | None
    """How far each voxel looks from where it lies; None where nothing moves."""
    flips: tuple[bool, bool, bool]
    """Along which axes it is turned round."""
    turns: int
    """Quarter turns around the vertical."""
    rng: Generator
    """Where the chance of gain and noise comes from."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VolumeDraws:
    """Crops by their step and item."""

    parts: Sequence[VolumePart]
    """What they are cut from, drawn by their share."""
    config: TrainingConfig
    """Crop, batch and augmentation."""

    @property
    def augment(self) -> VolumeAugmentConfig:
        """How far crops are driven."""
        volumes = self.config.volumes
        return VolumeAugmentConfig() if volumes is None else volumes.augment

    def draw(self, step: int, item: int, attempt: int = 0) -> VolumeDraw:
        """Return one item of the batch of a step.

        Args:
            step: Which batch; with the seed it decides everything.
            item: Which crop of it.
            attempt: Draws before this one on which nothing was known.
        """
        box, augment = self.config.box, self.augment
        rng = np.random.default_rng((self.config.seed, step, item, attempt))
        shares = np.array([part.share for part in self.parts])
        part = self.parts[int(rng.choice(len(self.parts), p=shares / shares.sum()))]
        start = self._start(part, rng)
        field = None
        if augment.elastic > 0 and rng.random() < augment.elastic_share:
            nodes = augment.elastic * rng.standard_normal((3, *[augment.elastic_nodes] * 3))
            field = field_in_box(nodes, box=box)
        over = rng.random(3) < 0.5
        along, across, down = (bool(one) for one in over)
        return VolumeDraw(
            part=part,
            start=start,
            field=field,
            flips=(
                along and augment.flips,
                across and augment.flips,
                down and augment.upside_down,
            ),
            turns=int(rng.integers(4)) if augment.turns and box[0] == box[1] else 0,
            rng=rng,
        )

    def _start(self, part: VolumePart, rng: Generator) -> Three:
        """Return a crop's first voxel: the whole crop lies inside the part."""
        box = np.array(self.config.box)
        last = np.array(part.shape) - box
        there = [seeds for seeds in part.seeds if len(seeds)]
        if rng.random() < self.config.foreground and there:
            seeds = there[int(rng.integers(len(there)))]
            middle = seeds[rng.integers(len(seeds))] + rng.uniform(-AROUND, AROUND, 3) * box
            at = np.clip(np.rint(middle - box / 2), 0, last)
        else:
            at = rng.integers(0, last, endpoint=True)
        return int(at[0]), int(at[1]), int(at[2])
