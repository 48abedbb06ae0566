"""Building ids that stay from one layer to the next."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
from jaxtyping import Int64

from pipeline.core.conflation.pairs import Pairs
from pipeline.core.conflation.union import pair_one_to_one

_DIGITS = 16


def new_id(scene: str, geometry: bytes) -> str:
    """Return the id of a building that enters the layer: a digest of scene and first outline.

    Args:
        scene: Key of the scene that the outline comes from.
        geometry: The outline as WKB in longitude and latitude.
    """
    return hashlib.sha256(scene.encode() + b"\0" + geometry).hexdigest()[:_DIGITS]


def track_ids(
    pairs: Pairs, *, known: Iterable[str], fresh: Iterable[str]
) -> Int64[np.ndarray, " fresh"]:
    """Return the earlier building that each outline goes on as; -1 for a new one.

    One to one, the best overlap first: of a building that was split, the part that overlaps
    it best keeps its id; of buildings that were merged, the id of the one that the whole
    overlaps best stays. Equal overlaps are decided by the ids.

    Args:
        pairs: Left an outline of the layer to be, right one of the earlier layer, counted on.
        known: Ids of the earlier layer, different from each other.
        fresh: The result of `new_id` for each outline.
    """
    new, old = list(fresh), list(known)
    precedence = _rank(old)[pairs.right - len(new)] * max(len(new), 1) + _rank(new)[pairs.left]
    chosen = pair_one_to_one(pairs, precedence=precedence)
    heir = np.full(len(new), -1, np.int64)
    heir[pairs.left[chosen]] = pairs.right[chosen] - len(new)
    return heir


def assign_ids(
    fresh: Iterable[str], heir: Int64[np.ndarray, " n"], known: Iterable[str]
) -> list[str]:
    """Return the id of each outline, all different.

    A new id that another building bears already is hashed once more: an outline may come
    back after another has inherited the id that was once made from it.
    """
    old = list(known)
    ids = [old[whose] if whose >= 0 else "" for whose in heir.tolist()]
    taken = set(ids)
    for at, one in sorted(
        ((at, one) for at, one in enumerate(fresh) if heir[at] < 0), key=lambda pair: pair[1]
    ):
        while one in taken:
            one = hashlib.sha256(one.encode()).hexdigest()[:_DIGITS]
        taken.add(one)
        ids[at] = one
    return ids


def _rank(ids: list[str]) -> Int64[np.ndarray, " n"]:
    """Return the place of each id among the sorted ones."""
    if not ids:
        return np.empty(0, np.int64)
    return np.unique(np.array(ids), return_inverse=True)[1].astype(np.int64)
