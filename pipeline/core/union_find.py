"""Disjoint sets in an array of parents (union-find, with path halving).

Each number leads to its parent, a root to itself. The root of a set is its least number, so that
results do not depend on the order of unions.
Source: Tarjan and van Leeuwen, 1984, Worst-case Analysis of Set Union Algorithms.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.core.compiled import compiled

Parents = npt.NDArray[np.signedinteger[Any]]
"""Parent of each number, (n,), of any signed integer type."""


@compiled
def find_root(parent: Parents, number: int) -> int:
    """Find the root of a number, halving the path to it."""
    while parent[number] != number:
        parent[number] = parent[parent[number]]
        number = parent[number]
    return number


@compiled
def unite(parent: Parents, one: int, two: int) -> None:
    """Unite the sets of two numbers under the lesser root."""
    first = find_root(parent, one)
    second = find_root(parent, two)
    parent[max(first, second)] = min(first, second)
