"""Networks by name.

``build(name, arguments)`` is the one way in, for cards, trainings and tests alike:

    build("unet", {"in_channels": 3, "classes": 1, "width": 8, "depth": 2})

All take ``in_channels`` and ``classes``, and return ``(batch, classes, rows, cols)``
logits unless an output activation is asked for. In training mode a network with deep
supervision returns a list instead: its answer first, then its coarser answers, fine to
coarse, all at the answer's size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from pipeline.errors import ModelError


def _classic(**arguments: Any) -> nn.Module:
    from pipeline.models.networks.classic import ClassicUNet

    return ClassicUNet(**arguments)


def _smp_unet(**arguments: Any) -> nn.Module:
    import segmentation_models_pytorch as smp

    # Weights come from the checkpoint: nothing is fetched from anywhere.
    return smp.Unet(**{**arguments, "encoder_weights": None})  # type: ignore[no-any-return]


NETWORKS: dict[str, Callable[..., nn.Module]] = {"unet": _classic, "smp_unet": _smp_unet}


def build(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """Return an untrained network.

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
        return NETWORKS[name](**arguments)
    except (TypeError, ValueError, KeyError) as error:
        raise ModelError(
            f"network {name!r} cannot be built with {dict(arguments)}: {error}"
        ) from error
