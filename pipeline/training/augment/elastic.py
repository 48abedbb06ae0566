"""Elastic deformation: ground that gives way smoothly, image and labels together."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from pipeline.training.config import AugmentConfig


def draw_field(config: AugmentConfig, *, crop: int, rng: Generator) -> NDArray[np.float32] | None:
    """Return how far each pixel of a crop looks from where it lies, in rows and columns.

    Displacements at the nodes of a coarse grid are normal with a deviation of
    ``config.elastic`` pixels; between them they are bicubic. Where it is switched off no
    chance is used up.

    Args:
        config: How far, how often, and how many nodes.
        crop: Edge of the crop in pixels.
        rng: Where chance comes from.

    Returns:
        (2, crop, crop), or None where nothing moves.

    Source: Ronneberger et al. 2015, section 3.1: 3 x 3 nodes, deviation 10 pixels.
    """
    if config.elastic == 0 or rng.random() >= config.elastic_share:
        return None
    nodes = config.elastic_nodes
    moved = config.elastic * rng.standard_normal((2, nodes, nodes))
    return field_of(moved, crop=crop)


def field_of(nodes: NDArray[np.float64], *, crop: int) -> NDArray[np.float32]:
    """Return the bicubic field through the displacements of its nodes.

    Args:
        nodes: (2, n, n), rows and columns; the outer ones lie on the crop's corners.
        crop: Edge of the crop in pixels.
    """
    weights = _weights(nodes.shape[1], crop)
    return np.asarray(weights @ nodes @ weights.T, np.float32)


def field_in_box(nodes: NDArray[np.float64], *, box: tuple[int, int, int]) -> NDArray[np.float32]:
    """Return the tricubic field through the displacements of a volume's nodes.

    Args:
        nodes: (3, n, n, n), along each axis; the outer ones lie on the box's corners.
        box: Voxels along each axis.

    Returns:
        (3, *box).
    """
    out = nodes
    for axis, edge in enumerate(box, start=1):
        weights = _weights(nodes.shape[axis], edge)
        out = np.moveaxis(np.tensordot(weights, out, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(out, np.float32)


def farthest(field: NDArray[np.float32] | None) -> float:
    """Return the largest displacement along an axis, in pixels of the crop."""
    return 0.0 if field is None else float(np.abs(field).max())


@lru_cache(maxsize=8)
def _weights(nodes: int, crop: int) -> NDArray[np.float64]:
    """Return (crop, nodes): what each node gives to each pixel's centre along an axis."""
    at = (np.arange(crop) + 0.5) / crop * (nodes - 1)
    return np.asarray(CubicSpline(np.arange(nodes), np.eye(nodes), bc_type="natural")(at))
