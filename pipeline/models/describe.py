"""Properties of a network for its card, computed from the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.models.card import Network
from pipeline.models.networks import NETWORKS, build, stride_of
from pipeline.models.receptive_field import rf_radius

NARROW = 2
"""Filters of a network of volumes while its rf_radius is looked for."""


def describe_network(name: str, arguments: Mapping[str, Any], *, limit: int = 640) -> Network:
    """Return a card's section about a network: its stride, rf_radius and fixed size.

    Args:
        name: Its name in `NETWORKS`.
        arguments: What it is built with; plain values.
        limit: Reach beyond which it counts as looking everywhere.

    Raises:
        ModelError: No network has that name, or it does not take these arguments.
    """
    stride = stride_of(name, arguments)
    entry = NETWORKS[name]
    channels = arguments.get("in_channels", 3 if entry.dims == 2 else 1)
    # Filters do not change how far it looks, and those of volumes would take minutes.
    probe = arguments if entry.dims == 2 else {**arguments, "width": NARROW}
    return Network(
        architecture=name,
        arguments=dict(arguments),
        stride=stride,
        dims=2 if entry.dims == 2 else 3,
        size=None if entry.size is None else arguments.get("size", entry.size),
        rf_radius=rf_radius(build(name, probe), in_channels=channels, stride=stride, limit=limit),
    )
