"""Networks by name.

``build(name, arguments)`` is the one way in, for cards, trainings and tests alike::

    build("unet", {"in_channels": 3, "classes": 1, "width": 8, "depth": 2})

All take ``in_channels`` and ``classes``, and return ``(batch, classes, rows, cols)``
logits unless an output activation is asked for (volumes have one axis more). Our own take
the fields of `kit.Kit` as well: ``activation``, ``normalisation``, ``pooling``,
``upsampling``, ``output_activation``, and ``deep_supervision``: in training mode a network
then returns a list instead, its output first, then its coarser levels' outputs, fine to
coarse, all at the answer's size; a loss is a weighted sum over them. In evaluation it
returns the answer alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from pipeline.errors import ModelError
from pipeline.models.arguments import RULES, argument_error, shortened
from pipeline.models.networks.encoders import check_encoder
from pipeline.models.networks.registry import NETWORKS
from pipeline.models.networks.skeleton import skeleton

FAULTS = (
    ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, RuntimeError,
    TypeError, UserWarning, ValueError,
)  # fmt: skip
"""What libraries raise for arguments that do not go together."""


def build(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """Return an untrained network; nothing is fetched, and no file is read.

    Args:
        name: Its name in `NETWORKS`: a card's ``architecture``, a training's ``name``.
        arguments: What it is built with; plain values, as YAML and JSON hold them.

    Raises:
        ModelError: No network has that name, it does not take these arguments, or it would be
            too large; refused before memory is taken for it.
    """
    empty(name, arguments)
    return _made(name, arguments, NETWORKS[name].make)


def empty(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """Return a network whose weights have shapes and no values, see `build`.

    Raises:
        ModelError: It cannot be built, or would be too large.
    """
    _check(name, arguments)

    def make(**given: Any) -> nn.Module:
        if "encoder_name" in given:
            check_encoder(given["encoder_name"])
        return skeleton(NETWORKS[name].make, given)

    return _made(name, arguments, make)


def _check(name: str, arguments: Mapping[str, Any]) -> None:
    """Refuse arguments outside a network's limits; one that code adds to `NETWORKS` has none."""
    known = name in RULES or name not in NETWORKS
    fault = argument_error(name, arguments) if known else None
    if fault is not None:
        raise ModelError(fault)


def _made(name: str, arguments: Mapping[str, Any], make: Callable[..., nn.Module]) -> nn.Module:
    try:
        with warnings.catch_warnings():
            # Layers without a channel.
            warnings.filterwarnings("error", "Initializing zero-element tensors")
            return make(**arguments)
    except FAULTS as error:
        raise ModelError(
            f"network {name!r} cannot be built with "
            f"{shortened(dict(arguments))}: {_in_a_line(error)}"
        ) from error


def _in_a_line(error: Exception) -> str:
    """Return an error's message in one line of at most 400 characters."""
    return " ".join(str(error).split())[:400]


def stride_of(name: str, arguments: Mapping[str, Any]) -> int:
    """Return a network's total down-sampling: sizes that it takes are multiples of it.

    Raises:
        ModelError: No network has that name, or it does not take these arguments.
    """
    _check(name, arguments)
    return NETWORKS[name].stride(arguments)


__all__ = ["NETWORKS", "build", "empty", "stride_of"]
