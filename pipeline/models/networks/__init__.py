"""Networks by name.

``build(name, arguments)`` is the one way in, for cards, trainings and tests alike::

    build("unet", {"in_channels": 3, "classes": 1, "width": 8, "depth": 2})

All take ``in_channels`` and ``classes``, and return ``(batch, classes, rows, cols)``
logits unless an output activation is asked for (volumes have one axis more). Our own take
the fields of `kit.Kit` as well: ``activation``, ``normalisation``, ``pooling``,
``upsampling``, ``output_activation``, and ``deep_supervision``: in training mode a network
then returns a list instead, its answer first, then its coarser levels' answers, fine to
coarse, all at the answer's size; a loss is a weighted sum over them. In evaluation it
returns the answer alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from pipeline.errors import ModelError
from pipeline.models.networks.shelf import NETWORKS


def build(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """Return an untrained network; nothing is fetched from anywhere.

    Args:
        name: Its name in `NETWORKS`: a card's ``architecture``, a training's ``name``.
        arguments: What it is built with; plain values, as YAML and JSON hold them.

    Raises:
        ModelError: No network has that name, or it does not take these arguments.
    """
    if name not in NETWORKS:
        known = ", ".join(sorted(NETWORKS))
        raise ModelError(f"no network is called {name!r}; there are {known}")
    try:
        return NETWORKS[name].make(**arguments)
    except (TypeError, ValueError, KeyError) as error:
        raise ModelError(
            f"network {name!r} cannot be built with {dict(arguments)}: {error}"
        ) from error


def stride_of(name: str, arguments: Mapping[str, Any]) -> int:
    """Return a network's total down-sampling: sizes that it takes are multiples of it.

    Raises:
        ModelError: No network has that name.
    """
    if name not in NETWORKS:
        known = ", ".join(sorted(NETWORKS))
        raise ModelError(f"no network is called {name!r}; there are {known}")
    return NETWORKS[name].stride(arguments)


__all__ = ["NETWORKS", "build", "stride_of"]
