"""Pixels or voxels counted by block: what is drawn again for intervals."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

from pipeline.training.config import TrainingConfig
from pipeline.training.score.predicted import Scored, exclusive

BLOCKS = 8
"""A scene is divided into 8 x 8 blocks, a volume into as many columns of traces."""


def block_counts(
    one: Scored, config: TrainingConfig, *, threshold: float
) -> Int64[np.ndarray, "blocks 3"]:
    """Return true positives, false positives and false negatives of each block, over the classes.

    Blocks divide the first two axes; what lies along a third is counted together.
    """
    kinds, known = one.kinds(), one.known
    of_row, of_col = (np.arange(length) * BLOCKS // length for length in known.shape[:2])
    number = (of_row[:, None] * BLOCKS + of_col[None, :]).ravel()
    counts = np.zeros((BLOCKS * BLOCKS, 3), np.int64)
    for kind, probability in enumerate(exclusive(one.probability, config), start=1):
        true = (kinds == kind) & known
        found = (probability >= threshold) & known
        for at, hit in enumerate((found & true, found & ~true, ~found & true)):
            along = hit.reshape(len(number), -1).sum(axis=1)
            counts[:, at] += np.bincount(number, along, BLOCKS * BLOCKS).astype(np.int64)
    return counts
