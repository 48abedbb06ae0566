"""Predictions of volumes, block by block as in mapping, and their metrics."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32, UInt8
from torch import nn

from pipeline.core.block import BlockGrid, cut_block, largest_block_grid
from pipeline.core.metrics.bootstrap import percentile_interval, resample_blocks, share, totals
from pipeline.models.memory import bytes_per_pixel
from pipeline.training.config import TrainingConfig
from pipeline.training.score.blocks import block_counts
from pipeline.training.step.network import described_by
from pipeline.training.step.objective import probabilities
from pipeline.training.volumes.cut import network_amplitudes
from pipeline.training.volumes.part import VolumePart

log = logging.getLogger(__name__)

MEMORY = 4e9
"""Bytes that a block may take while it is predicted: the default of mapping."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VolumePrediction:
    """Prediction of a part of a volume."""

    name: str
    """The part's."""
    part: VolumePart
    """What it saw, and the truth."""
    probability: Float32[np.ndarray, "classes inlines crosslines samples"]
    """0 to 1."""

    @property
    def known(self) -> Bool[np.ndarray, "inlines crosslines samples"]:
        """Where the truth is known."""
        return self.part.known

    def kinds(self) -> UInt8[np.ndarray, "inlines crosslines samples"]:
        """Return the class of each voxel, from 1; 0 for none."""
        return self.part.kinds


def predict_volumes(
    network: nn.Module, parts: Sequence[VolumePart], config: TrainingConfig
) -> list[VolumePrediction]:
    """Predict parts of volumes, each mirrored past its own faces.

    So nothing of another split is used, not even as context.
    """
    return [
        VolumePrediction(name=part.name, part=part, probability=_predicted(network, part, config))
        for part in parts
    ]


@torch.inference_mode()
def _predicted(
    network: nn.Module, part: VolumePart, config: TrainingConfig
) -> Float32[np.ndarray, "classes inlines crosslines samples"]:
    network.eval()
    grid = grid_of(network, part, config)
    over = grid.block_voxels / part.kinds.size
    log.info("%s: %d blocks of %.1f times its voxels", part.name, len(grid), over)
    out = np.empty((len(config.classes), *part.shape), np.float32)
    for core in grid.cores():
        block = grid.block(core)
        voxels = cut_block(part.read, block, shape=part.shape, edge="mirror")
        logits = network(torch.from_numpy(network_amplitudes(voxels, part.stretch))[None, None])
        predictions = probabilities(logits.float(), config.loss, classes=len(config.classes))[0]
        here = tuple(slice(a, b) for a, b in zip(core.start, core.stop, strict=True))
        out[(slice(None), *here)] = predictions[(slice(None), *core.within(block))].numpy()
    return out


def grid_of(network: nn.Module, part: VolumePart, config: TrainingConfig) -> BlockGrid:
    """Return the blocks in which a part is predicted: with the network's rf_radius around each.

    A core is at least as wide as its halo where the part is, even if that takes more than
    `MEMORY`: smaller ones would take hundreds of times the part's voxels.
    """
    about = described_by(config)
    halo = -(-(about.rf_radius or 0) // about.stride) * about.stride
    edges = [max(16, 2 * about.stride)] * 3
    each = bytes_per_pixel(network, torch.zeros(1, 1, *edges))
    room = max(MEMORY / each, (3 * halo) ** 3)
    return largest_block_grid(part.shape, halo=halo, stride=about.stride, room=room)


def reported_volumes(
    predictions: Sequence[VolumePrediction], config: TrainingConfig, *, threshold: float
) -> dict[str, dict[str, float | list[float]]]:
    """Return the figures of each part, over its classes, with 95 % intervals.

    For the intervals 8 x 8 columns of traces are drawn again.
    """
    rows: dict[str, dict[str, float | list[float]]] = {}
    for one in predictions:
        counts = block_counts(one, config, threshold=threshold)
        tp, fp, fn = (int(count) for count in counts.sum(axis=0))
        again = totals(counts.astype(np.float64), resample_blocks(len(counts)))
        row: dict[str, float | list[float]] = {
            "voxel_iou": round(tp / max(tp + fp + fn, 1), 4),
            "voxel_f1": round(2 * tp / max(2 * tp + fp + fn, 1), 4),
            "precision": round(tp / max(tp + fp, 1), 4),
            "recall": round(tp / max(tp + fn, 1), 4),
        }
        between = percentile_interval(share(again[:, 0], again.sum(axis=1)))
        if between is not None:
            row["voxel_iou_95"] = [round(between.low, 4), round(between.high, 4)]
        rows[one.name] = row
    return rows
