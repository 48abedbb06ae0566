"""Whether splits of volumes share traces: by where parts lie, and by what traces hold."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float32

from pipeline.core.block import Block
from pipeline.training.data.overlap import SplitOverlap
from pipeline.training.volumes.data import VolumeData
from pipeline.training.volumes.part import VolumePart


def volume_overlaps(data: VolumeData, *, gap: int) -> list[SplitOverlap]:
    """Return what the training, validation and test splits share.

    Parts of one volume are compared by their lines, and must lie ``gap`` lines apart; those
    of different files by their traces: a copy or a cut of a volume holds the same ones.
    """
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    found = []
    for pair in itertools.combinations(splits, 2):
        for one, other in itertools.product(*(splits[name] for name in pair)):
            why = _apart(one, other, gap) if one.digest == other.digest else _alike(one, other)
            if why:
                found.append(SplitOverlap(splits=pair, first=one.name, second=other.name, why=why))
    return found


def _apart(one: VolumePart, other: VolumePart, gap: int) -> str:
    """Return how two parts of one volume are too near each other; nothing where they are not."""
    if one.block.meeting(other.block) is not None:
        return "share traces of one volume"
    wide = Block(
        start=(one.start[0] - gap, one.start[1] - gap, one.start[2]),
        shape=(one.shape[0] + 2 * gap, one.shape[1] + 2 * gap, one.shape[2]),
    )
    if wide.meeting(other.block) is None:
        return ""
    between = max(
        max(own.start - yours.stop, yours.start - own.stop)
        for own, yours in zip(_spans(one), _spans(other), strict=True)
    )
    return f"are {between} lines of one volume apart, less than volumes.gap: {gap}"


def _spans(part: VolumePart) -> tuple[range, range]:
    return (
        range(part.block.start[0], part.block.stop[0]),
        range(part.block.start[1], part.block.stop[1]),
    )


def _alike(one: VolumePart, other: VolumePart) -> str:
    """Return how many traces two files share; nothing where they share none."""
    if one.shape[2] != other.shape[2]:
        return ""
    own = set(_digests(one.amplitude))
    shared = sum(digest in own for digest in _digests(other.amplitude))
    return f"hold the same {shared} traces" if shared else ""


def _digests(
    amplitude: Float32[np.ndarray, "inlines crosslines samples"],
) -> Iterator[bytes]:
    """Yield a digest of each trace; dead ones, of one value throughout, are skipped."""
    for line in amplitude:
        for trace in line[np.ptp(line, axis=1) != 0]:
            yield hashlib.blake2b(trace.tobytes(), digest_size=12).digest()
