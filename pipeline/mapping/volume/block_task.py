"""One block, one task: read, predict, cut to its core, quantise, write."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.core.block import Block, cut_block
from pipeline.mapping.tiles.cached_tile import read_cached_tile, write_cached_tile
from pipeline.mapping.tiles.predict import StageTimer, device_lock
from pipeline.mapping.volume.plan import VolumePlan
from pipeline.models.engines.quantise import quantised_channels
from pipeline.models.registry import load_volume_predictor
from pipeline.scenes.seismic.volume import SegyVolume


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockJob:
    """One block to map."""

    plan: VolumePlan
    """What its outputs depend on."""
    index: int
    """Place in the order of the grid."""
    core: Block
    """Core of the block, in voxels of the volume."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockRecord:
    """The result of one block, as it is sent back by the worker."""

    index: int
    """Place in the order of the grid."""
    seconds: dict[str, float]
    """Time by stage."""
    reused: bool
    """True where the cached block was there already."""


def map_block(job: BlockJob) -> BlockRecord:
    """Write the probabilities of a block, unless they are there.

    Raises:
        SceneError: The amplitudes cannot be read.
        ModelError: The model cannot be loaded, or gives values that are not finite.
        ExportError: The cached block cannot be written.
    """
    plan, core, clock = job.plan, job.core, StageTimer()
    path = plan.artefact(core)
    if read_cached_tile(path) is not None:
        return BlockRecord(index=job.index, seconds=clock.seconds, reused=True)
    block = plan.grid.block(core)
    with SegyVolume(plan.source) as volume:
        voxels = cut_block(volume.read, block, shape=plan.grid.shape, edge=plan.edge)
    clock.lap("read")
    predictor = load_volume_predictor(plan.model, device=plan.device)
    with device_lock:
        clock.lap("wait")
        chances = predictor.predict(voxels, plan.stretch)
    clock.lap("predict")
    inner = core.within(block)
    steps = quantised_channels(
        chances[(slice(None), *inner)], np.isfinite(voxels[inner]), plan.card.outputs
    )
    write_cached_tile(path, {"probability": steps})
    clock.lap("write")
    return BlockRecord(index=job.index, seconds=clock.seconds, reused=False)
