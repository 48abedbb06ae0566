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


def component_numbers(
    one: npt.NDArray[np.int64], two: npt.NDArray[np.int64], count: int
) -> npt.NDArray[np.int64]:
    """Label the connected components of an undirected graph.

    Args:
        one: First node of each edge, (edges,).
        two: Second node of each edge, (edges,).
        count: Number of nodes.

    Returns:
        The component of each node, (count,), numbered from 0 by their least nodes.
    """
    parent = np.arange(count, dtype=np.int64)
    _unite_all(parent, np.asarray(one, np.int64), np.asarray(two, np.int64))
    return np.unique(parent, return_inverse=True)[1].astype(np.int64)


@compiled
def _unite_all(
    parent: npt.NDArray[np.int64], one: npt.NDArray[np.int64], two: npt.NDArray[np.int64]
) -> None:
    """Unite the ends of all edges, and lead each node to its root."""
    for edge in range(len(one)):
        unite(parent, one[edge], two[edge])
    for node in range(len(parent)):
        parent[node] = find_root(parent, node)
