"""The Rand error of a segmentation: how often pairs of pixels are kept together wrongly."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64


def rand_error(
    found: Int64[np.ndarray, "rows cols"], reference: Int64[np.ndarray, "rows cols"]
) -> float:
    """Return ``1 - F`` of the pairs of pixels that share an object, in 0..1.

    Where the reference is 0 (membrane) nothing is counted; a pixel that was found to be
    membrane, within an object of the reference, is an object of its own.

    Args:
        found: Numbered objects, 0 between them.
        reference: Likewise.

    Source: Arganda-Carreras et al., Crowdsourcing the creation of image segmentation
    algorithms for connectomics, 2015: the foreground-restricted Rand score.
    """
    inside = reference > 0
    pixels = int(inside.sum())
    if pixels == 0:
        return 0.0
    pairs, counts = np.unique(
        np.stack([found[inside], reference[inside]]), axis=1, return_counts=True
    )
    shared = np.asarray(counts, np.float64)
    alone = pairs[0] == 0
    singles = float(shared[alone].sum())
    both = float((shared[~alone] ** 2).sum()) + singles
    of_found = np.bincount(pairs[0], weights=shared)
    in_found = float((of_found[1:] ** 2).sum()) + singles
    in_reference = float((np.bincount(pairs[1], weights=shared) ** 2).sum())
    precision, recall = both / in_found, both / in_reference
    return 1.0 - 2.0 * precision * recall / (precision + recall)
