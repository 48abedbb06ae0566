"""Networks by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from pipeline.errors import ModelError
from pipeline.models.card import Network


def _classic(**arguments: Any) -> nn.Module:
    from pipeline.models.classic import ClassicUNet

    return ClassicUNet(**arguments)


def _smp_unet(**arguments: Any) -> nn.Module:
    import segmentation_models_pytorch as smp

    # Weights come from the checkpoint: nothing is fetched from anywhere.
    return smp.Unet(**{**arguments, "encoder_weights": None})  # type: ignore[no-any-return]


NETWORKS: dict[str, Callable[..., nn.Module]] = {"unet": _classic, "smp_unet": _smp_unet}


def build(network: Network) -> nn.Module:
    """Return the untrained network that a card names.

    Raises:
        ModelError: No network has that name, or it does not take these arguments.
    """
    if network.architecture not in NETWORKS:
        known = ", ".join(sorted(NETWORKS))
        raise ModelError(f"no network is called {network.architecture!r}; there are {known}")
    try:
        return NETWORKS[network.architecture](**network.arguments)
    except (TypeError, ValueError, KeyError) as error:
        raise ModelError(
            f"network {network.architecture!r} cannot be built with {network.arguments}: {error}"
        ) from error
