"""Choice of the outline that represents a building in several scenes."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64, Int64

from pipeline.core.compiled import compiled
from pipeline.core.conflation.pairs import Pairs


def representatives(pairs: Pairs, *, order: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """Return for each outline the one that stands for it: itself where it is drawn.

    Outlines take turns in the given order. One that shows the same building as outlines
    drawn before it is united with the one of these it overlaps best, the earlier of two
    equals; any other is drawn. So no two drawn ones show the same building, and of one block
    over three houses either the block stands for the houses, or the houses are drawn and the
    block counts for the one it overlaps best.

    Args:
        pairs: Outlines that show the same building.
        order: All rows, the most preferred first.
    """
    count = len(order)
    one = np.concatenate([pairs.left, pairs.right])
    other = np.concatenate([pairs.right, pairs.left])
    iou = np.concatenate([pairs.iou, pairs.iou])
    by_row = np.argsort(one, kind="stable")
    starts = np.searchsorted(one[by_row], np.arange(count + 1)).astype(np.int64)
    turn = np.empty(count, np.int64)
    turn[order] = np.arange(count)
    return _unite(np.asarray(order, np.int64), turn, (starts, other[by_row], iou[by_row]))


def pair_one_to_one(
    pairs: Pairs, *, precedence: Int64[np.ndarray, " pairs"]
) -> Bool[np.ndarray, " pairs"]:
    """Return which pairs remain when each outline has one partner at most.

    The pair of the highest IoU goes first, of equals the one of the lowest precedence.
    """
    order = np.lexsort((precedence, -pairs.iou)).astype(np.int64)
    count = int(max(pairs.left.max(initial=-1), pairs.right.max(initial=-1))) + 1
    return _pair(order, pairs.left, pairs.right, count)


@compiled
def _unite(
    order: Int64[np.ndarray, " n"],
    turn: Int64[np.ndarray, " n"],
    neighbours: tuple[Int64[np.ndarray, " m"], Int64[np.ndarray, " p"], Float64[np.ndarray, " p"]],
) -> Int64[np.ndarray, " n"]:
    starts, other, iou = neighbours
    owner = np.full(order.size, -1, np.int64)
    for row in order:
        best = -1
        best_iou = -1.0
        for at in range(starts[row], starts[row + 1]):
            drawn = other[at]
            if owner[drawn] != drawn:
                continue
            if iou[at] > best_iou or (iou[at] == best_iou and turn[drawn] < turn[best]):
                best = drawn
                best_iou = iou[at]
        owner[row] = row if best < 0 else best
    return owner


@compiled
def _pair(
    order: Int64[np.ndarray, " pairs"],
    left: Int64[np.ndarray, " pairs"],
    right: Int64[np.ndarray, " pairs"],
    count: int,
) -> Bool[np.ndarray, " pairs"]:
    taken = np.zeros(count, np.bool_)
    chosen = np.zeros(order.size, np.bool_)
    for pair in order:
        if not taken[left[pair]] and not taken[right[pair]]:
            taken[left[pair]] = True
            taken[right[pair]] = True
            chosen[pair] = True
    return chosen
