"""Parts of volumes: amplitudes of a block of traces, and what stands on each voxel."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8

from pipeline.config.task import ValueRange
from pipeline.core.block import Block, Three
from pipeline.errors import ConfigError
from pipeline.models.predictor import Stretch
from pipeline.scenes.seismic.volume import SegyVolume
from pipeline.training.config import ClassConfig, VolumeConfig
from pipeline.training.config.volumes import Lines
from pipeline.training.data.sources.labels import class_values
from pipeline.training.data.sources.places import existing

log = logging.getLogger(__name__)

UNKNOWN = 255
"""Stands on voxels of which nothing is known."""
VOXEL = 5
"""Bytes that a voxel takes: its amplitude and its class."""
SEEDS = 4096
"""Voxels of a class, evenly spread over all of them, that crops are laid around."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VolumePart:
    """A block of a volume's traces, with all their samples."""

    name: str
    """What logs and scores call it."""
    amplitude: Float32[np.ndarray, "inlines crosslines samples"]
    """As the file has them."""
    kinds: UInt8[np.ndarray, "inlines crosslines samples"]
    """The class of each voxel from 1, 0 for none, `UNKNOWN`."""
    stretch: Stretch
    """Which amplitudes become 0 and 1; of all of the volume, as in mapping it."""
    seeds: tuple[Int64[np.ndarray, "_ 3"], ...]
    """Some voxels of each class."""
    share: float = 1.0
    """How often crops come from here, relative to other parts."""
    start: Three = (0, 0, 0)
    """Where it begins in its volume."""
    inlines: tuple[int, ...] = ()
    """Numbers of its inlines."""
    digest: str = ""
    """Of the content of the volume's file."""

    @property
    def shape(self) -> Three:
        """Inlines, crosslines and samples."""
        a, b, c = self.kinds.shape
        return a, b, c

    @property
    def known(self) -> Bool[np.ndarray, "inlines crosslines samples"]:
        """True where something is known."""
        return np.asarray(self.kinds != UNKNOWN)

    @property
    def block(self) -> Block:
        """Where it lies in its volume."""
        return Block(start=self.start, shape=self.shape)

    def read(self, block: Block) -> Float32[np.ndarray, "inlines crosslines samples"]:
        """Return the amplitudes of a block inside the part."""
        (a, b, c), (d, e, f) = block.start, block.stop
        return self.amplitude[a:d, b:e, c:f]


def read_part(
    config: VolumeConfig, classes: Sequence[ClassConfig], *, most_bytes: float = inf
) -> VolumePart:
    """Return a volume, or a block of its traces, with its labels.

    Args:
        config: Names them.
        classes: What is looked for.
        most_bytes: Memory that its voxels may take.

    Raises:
        ConfigError: Its voxels take more than that, a file is missing, labels lie on other
            traces or are of no class, or the volume has no such lines.
        SceneError: A file is no sorted SEG-Y volume.
    """
    existing([config.volume, config.labels])
    paths = [str(path.absolute()) for path in (config.volume, config.labels)]
    with SegyVolume(paths[0]) as volume, SegyVolume(paths[1]) as labels:
        _check_same(volume, labels)
        rows = _chosen(volume.inlines, config.inlines, f"{config.volume}: inlines")
        cols = _chosen(volume.crosslines, config.crosslines, f"{config.volume}: crosslines")
        shape = (len(rows), len(cols), volume.shape[2])
        need = VOXEL * math.prod(shape)
        if need > most_bytes:
            raise ConfigError(
                f"{config.volume}: {' x '.join(map(str, shape))} voxels take {need / 1e9:.3g} GB, "
                f"and memory_gb leaves {most_bytes / 1e9:.3g} GB; give fewer `inlines` or "
                "`crosslines`, or a larger memory_gb"
            )
        low, high = config.values or volume.span(ValueRange().percentiles)
        amplitude, kinds = np.empty(shape, np.float32), np.empty(shape, np.uint8)
        class_at = class_values(classes)
        # Line by line: label values are as large as amplitudes, and are kept as bytes.
        for at, row in enumerate(rows):
            line = Block(start=(row, cols.start, 0), shape=(1, *shape[1:]))
            amplitude[at] = volume.read(line)[0]
            kinds[at] = _kinds(labels.read(line)[0], config, class_at)
        kinds[~np.isfinite(amplitude)] = UNKNOWN
        return VolumePart(
            name=config.name,
            amplitude=amplitude,
            kinds=kinds,
            stretch=Stretch(low=low, high=high),
            seeds=seeds_of(kinds, classes=len(classes)),
            share=config.share,
            start=(rows.start, cols.start, 0),
            inlines=tuple(volume.inlines[row] for row in rows),
            digest=volume.fingerprint(),
        )


def seeds_of(
    kinds: UInt8[np.ndarray, "inlines crosslines samples"], *, classes: int
) -> tuple[Int64[np.ndarray, "_ 3"], ...]:
    """Return at most `SEEDS` voxels of each class, evenly spread over all of them."""
    found = []
    for number in range(1, classes + 1):
        flat = np.flatnonzero(kinds == number)
        at = np.linspace(0, len(flat) - 1, min(len(flat), SEEDS)).astype(np.int64)
        found.append(np.stack(np.unravel_index(flat[at], kinds.shape), axis=1).astype(np.int64))
    return tuple(found)


def _check_same(volume: SegyVolume, labels: SegyVolume) -> None:
    """Refuse labels that lie on other traces than their volume."""
    if labels.shape != volume.shape:
        text = ["{} x {} x {}".format(*one.shape) for one in (labels, volume)]
        raise ConfigError(
            f"{labels.path}: has {text[0]} inlines, crosslines and samples, {volume.path} "
            f"{text[1]}; labels must lie on the traces of their volume"
        )
    for name in ("inlines", "crosslines"):
        own, others = getattr(labels, name), getattr(volume, name)
        if own != others:
            raise ConfigError(
                f"{labels.path}: has {name} {own[0]} to {own[-1]}, {volume.path} {others[0]} to "
                f"{others[-1]}; labels must lie on the traces of their volume"
            )
    if not np.allclose(labels.times, volume.times, atol=1e-3):
        log.warning(
            "%s: samples begin at %g and end at %g, those of its volume at %g and %g; they are "
            "taken one by one",
            *(labels.path, labels.times[0], labels.times[-1], volume.times[0], volume.times[-1]),
        )


def _chosen(numbers: Sequence[int], asked: Lines | None, what: str) -> range:
    """Return which lines, by their place in the file, have the numbers that are asked for."""
    if asked is None:
        return range(len(numbers))
    there = [at for at, number in enumerate(numbers) if asked[0] <= number <= asked[1]]
    if not there or asked[0] < min(numbers) or asked[1] > max(numbers):
        raise ConfigError(
            f"{what} {asked[0]} to {asked[1]} are not all there; it has {min(numbers)} to "
            f"{max(numbers)}"
        )
    return range(there[0], there[-1] + 1)


def _kinds(
    values: Float32[np.ndarray, "lines samples"], config: VolumeConfig, class_at: dict[int, int]
) -> UInt8[np.ndarray, "lines samples"]:
    """Return the class of each voxel of a line of labels; all but 0 are 1 without ``class_at``."""
    unknown = ~np.isfinite(values)
    if config.ignore_value is not None and config.ignore_value not in class_at:
        unknown |= values == config.ignore_value
    text = np.unique(values[~unknown])
    whole = {int(value) for value in text if value.is_integer()} - {0}
    named = class_at or dict.fromkeys(whole, 1)
    strange = [value for value in text if value not in {0, *named}]
    if strange:
        some = ", ".join(f"{value:g}" for value in strange[:10])
        raise ConfigError(
            f"{config.labels}: labels {some} are of no class; name them in classes.values, or as "
            "`ignore_value`"
        )
    out = np.zeros(values.shape, np.uint8)
    for value, number in named.items():
        out[values == value] = number
    out[unknown] = UNKNOWN
    return out
