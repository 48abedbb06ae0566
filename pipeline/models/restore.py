"""From a checkpoint to the network that it holds."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from pipeline.errors import ModelError
from pipeline.models.arguments import shortened
from pipeline.models.card import ModelCard
from pipeline.models.networks import build, empty


def restore_network(card: ModelCard, tensors: Mapping[str, torch.Tensor]) -> nn.Module:
    """Return the network of a card with its weights in float32, ready to predict.

    Shapes are compared first: a card cannot ask for a larger network than its file holds.

    Raises:
        ModelError: The weights do not fit the network that the card names.
    """
    _check_shapes(card, tensors)
    network = build(card.network.architecture, card.network.arguments)
    try:
        network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    except RuntimeError as error:
        # The first line only states that there are faults; the second names the first of them.
        fault = " ".join(str(error).split("\n\t", 2)[1:2]) or str(error)
        fault = " ".join(fault.split())
        raise ModelError(f"weights of {card.name!r} do not fit its network: {fault}") from error
    return network.eval()


def _check_shapes(card: ModelCard, tensors: Mapping[str, torch.Tensor]) -> None:
    """Refuse weights that the network does not have, or has in other shapes."""
    wanted = empty(card.network.architecture, card.network.arguments).state_dict()
    faults = [f"it lacks {name}" for name in wanted if name not in tensors]
    faults += [f"{shortened(name)} is none of it" for name in tensors if name not in wanted]
    faults += [
        f"{name} is {tuple(tensors[name].shape)}, not {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in tensors and tensors[name].shape != tensor.shape
    ]
    if faults:
        raise ModelError(
            f"weights of {card.name!r} do not fit its network, {card.network.architecture} with "
            f"{shortened(dict(card.network.arguments))}: {faults[0]}"
            + (f", and {len(faults) - 1} more" if len(faults) > 1 else "")
        )
