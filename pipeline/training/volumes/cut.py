"""Cutting a crop of a volume: amplitudes and classes together, then driven from the record."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.core.block import Three
from pipeline.models.engines.volume import normalise_amplitudes
from pipeline.models.predictor import Stretch
from pipeline.training.config import VolumeAugmentConfig
from pipeline.training.volumes.draws import VolumeDraw
from pipeline.training.volumes.part import UNKNOWN, VolumePart

MEAN = STD = 0.5
"""Inputs of the network lie from -1 to 1, as in the card."""


def crop_of(
    draw: VolumeDraw, *, box: Three
) -> tuple[Float32[np.ndarray, "a b c"], UInt8[np.ndarray, "a b c"]]:
    """Return a draw's amplitudes and classes, cut, deformed, flipped and turned."""
    amplitude, kinds = cut_voxels(draw.part, draw.start, box=box, field=draw.field)
    return (
        oriented(amplitude, flips=draw.flips, turns=draw.turns),
        oriented(kinds, flips=draw.flips, turns=draw.turns),
    )


def cut_voxels(
    part: VolumePart,
    start: Three,
    *,
    box: Three,
    field: Float32[np.ndarray, "3 a b c"] | None = None,
) -> tuple[Float32[np.ndarray, "a b c"], UInt8[np.ndarray, "a b c"]]:
    """Return amplitudes and classes of a box inside a part.

    Without a field they are what lies there. With one amplitudes are trilinear, classes the
    nearest voxel's, and past the part's faces it is mirrored, as mapping mirrors it.

    Args:
        part: What is cut from.
        start: The box's first voxel.
        box: Its voxels along each axis.
        field: How far each voxel looks from where it lies.
    """
    if field is None:
        here = tuple(slice(at, at + edge) for at, edge in zip(start, box, strict=True))
        return part.amplitude[here].copy(), part.kinds[here].copy()
    at = np.indices(box, np.float32) + np.array(start, np.float32).reshape(3, 1, 1, 1) + field
    amplitude = ndimage.map_coordinates(part.amplitude, at, order=1, mode="reflect")
    kinds = ndimage.map_coordinates(part.kinds, np.rint(at), order=0, mode="reflect")
    # Beside a sample that is no number there is no mean.
    kinds[~np.isfinite(amplitude)] = UNKNOWN
    return amplitude, kinds


def oriented(values: NDArray[Any], *, flips: tuple[bool, bool, bool], turns: int) -> NDArray[Any]:
    """Return a crop turned round along axes, then by quarters around the vertical."""
    axes = tuple(axis for axis, flipped in enumerate(flips) if flipped)
    return np.ascontiguousarray(np.rot90(np.flip(values, axes), turns, axes=(0, 1)))


def augment_amplitudes(
    amplitude: Float32[np.ndarray, "a b c"],
    stretch: Stretch,
    augment: VolumeAugmentConfig,
    rng: Generator,
) -> Float32[np.ndarray, "a b c"]:
    """Return amplitudes of another strength, with noise; those that are no numbers stay so."""
    out = amplitude
    if augment.gain > 0:
        middle = np.float32((stretch.low + stretch.high) / 2)
        out = middle + (out - middle) * np.float32(1 + rng.uniform(-augment.gain, augment.gain))
    if rng.random() < augment.noise:
        # Often slight.
        deviation = augment.noise_level * rng.random() ** 2 * (stretch.high - stretch.low)
        out = out + rng.standard_normal(out.shape, np.float32) * np.float32(deviation)
    return np.asarray(out, np.float32)


def network_amplitudes(
    amplitude: Float32[np.ndarray, "*shape"], stretch: Stretch
) -> Float32[np.ndarray, "*shape"]:
    """Return amplitudes as the network sees them, from -1 to 1, by the code that maps."""
    values = torch.from_numpy(np.ascontiguousarray(amplitude))
    return np.asarray(normalise_amplitudes(values, stretch, MEAN, STD).numpy())
