"""The network that is trained, and where its encoder starts."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import ConfigError, ModelError
from pipeline.models import networks
from pipeline.models.card import Network
from pipeline.models.checkpoint import load_checkpoint
from pipeline.models.describe import describe_network
from pipeline.models.networks.pretrained import start_encoder
from pipeline.models.registry import find
from pipeline.training.config import TrainingConfig
from pipeline.training.step.device import layout_of, on_cuda

LONGEST_REACH = 320
"""A network that looks further than so many pixels is blended, not given a halo."""


def arguments(config: TrainingConfig) -> dict[str, Any]:
    """Return what builds the network again, whatever it started from."""
    return {
        **config.network.arguments,
        "in_channels": 3 if config.volumes is None else 1,
        "classes": config.channels,
    }


def check_network(config: TrainingConfig, source: Path) -> None:
    """Refuse a network that cannot be built, before anything is read or takes memory.

    Args:
        config: Names it.
        source: The file that the config was read from, for messages.

    Raises:
        ConfigError: It cannot be built; the message names the reason.
    """
    try:
        networks.empty(config.network.name, arguments(config))
    except ModelError as error:
        raise ConfigError(f"{source}: network: {error}") from error


def build_network(config: TrainingConfig, *, started: bool = True) -> nn.Module:
    """Return the network that a training names; logits for its classes, then the interior.

    Args:
        config: Its name, and the number of channels it gives.
        started: Whether the weights that it starts from are loaded.

    Raises:
        ConfigError: It cannot be built so, or the weights that it starts from are missing or
            of another network.
    """
    try:
        network = networks.build(config.network.name, arguments(config))
    except ModelError as error:
        raise ConfigError(f"network: {error}") from error
    if started and config.network.start is not None:
        _load_all(network, config.network.start)
    elif started and config.network.encoder_weights is not None:
        start_encoder(network, config.network.encoder_weights)
    cuda = on_cuda(config)
    if not cuda:
        _keep_strided_in_float32(network)
    return network.to(memory_format=layout_of(network, cuda=cuda))


@lru_cache(maxsize=2)
def network_section(name: str, text: str) -> Network:
    """Return the card's section about a network.

    Args:
        name: Its name.
        text: Its `arguments` as JSON.
    """
    return describe_network(name, json.loads(text), limit=LONGEST_REACH)


def described_by(config: TrainingConfig) -> Network:
    """Return the card's section about the network of a training.

    Raises:
        ConfigError: It cannot be built so, or it sees volumes and looks everywhere: it could
            not be mapped with.
    """
    try:
        found = network_section(config.network.name, json.dumps(arguments(config), sort_keys=True))
    except ModelError as error:
        raise ConfigError(f"network: {error}") from error
    if found.dims == 3 and found.rf_radius is None:
        raise ConfigError(
            f"network: {config.network.name} looks further than {LONGEST_REACH} voxels with "
            f"{config.network.arguments}, and volumes are mapped in blocks with all that a voxel "
            "depends on: choose normalisation batch or none, and a smaller depth"
        )
    return found


def _keep_strided_in_float32(network: nn.Module) -> None:
    """Take strided depthwise convolutions out of autocast.

    Measured on a processor with AMX: backward through one of 96 channels takes
    213 ms in bfloat16 and 72 ms in float32.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.groups > 1 and module.stride != (1, 1):
            module.forward = partial(_in_float32, module.forward)  # type: ignore[method-assign]


def _in_float32(forward: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
    with torch.autocast(image.device.type, enabled=False):
        return forward(image.float())


def _load_all(network: nn.Module, name: str) -> None:
    """Start a network from a model of the same kind, so that it learns only what is new."""
    path = find(name)
    if path is None:
        raise ConfigError(f"network.start: {name!r} has no weights to start from")
    try:
        card, tensors = load_checkpoint(path)
        network.load_state_dict({key: value.float() for key, value in tensors.items()})
    except ModelError as error:
        raise ConfigError(f"network.start: {error}") from error
    except RuntimeError as error:
        fault = " ".join(str(error).split())[:200]
        raise ConfigError(
            f"network.start: model {card.name!r} is of another network or has other channels: "
            f"{fault}; it is {card.network.architecture} with {card.network.arguments}"
        ) from error


@torch.no_grad()
def unfold_norms(network: nn.Module, image: Tensor) -> None:
    """Give the encoder's norms the statistics of ``image``, changing no output.

    The encoder's file has them folded into the convolutions: weight 1, mean 0,
    variance 1. Batch statistics would throw that scale away on the first step,
    so weight and bias take it over: ``w x + b = (w s) (x - m) / s + (b + w m)``.
    """
    encoder = network.get_submodule("encoder")
    norms = [module for module in encoder.modules() if isinstance(module, nn.BatchNorm2d)]
    hooks = [norm.register_forward_pre_hook(_unfold) for norm in norms]
    was = network.training
    network.eval()
    network(image)
    network.train(was)
    for hook in hooks:
        hook.remove()


def _unfold(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    if not isinstance(norm, nn.BatchNorm2d) or norm.running_mean is None:
        return
    if norm.running_var is None:
        return
    seen = inputs[0].float()
    mean, variance = seen.mean(dim=(0, 2, 3)), seen.var(dim=(0, 2, 3))
    old = torch.sqrt(norm.running_var + norm.eps)
    slope = norm.weight / old
    offset = norm.bias - slope * norm.running_mean
    norm.weight.copy_(slope * torch.sqrt(variance + norm.eps))
    norm.bias.copy_(offset + slope * mean)
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
