"""From a training to a model that ships: averaged weights in half precision, with their card."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.models.card import Class, Inputs, ModelCard, Outputs, Terms
from pipeline.models.checkpoint import save
from pipeline.models.describe import described
from pipeline.training.config import TrainingConfig
from pipeline.training.network import arguments
from pipeline.training.state import write_whole

LONGEST_REACH = 320
"""A network that looks further than so many pixels is blended, not given a halo."""


def card_of(
    network: nn.Module,
    config: TrainingConfig,
    *,
    threshold: float,
    training: Mapping[str, Any],
    scores: Mapping[str, Any],
) -> ModelCard:
    """Return the card of a trained network; its reach and speed are measured.

    Args:
        network: With its averaged weights, on the CPU.
        config: The training.
        threshold: Probability from which a pixel belongs to a class.
        training: Steps, hours and recipe.
        scores: Figures by split.
    """
    ship, stride = config.ship, config.network.total_stride
    about = described(config.network.name, arguments(config), limit=LONGEST_REACH)
    context = ship.context or ("blend" if about.reach is None else "exact")
    sizes = ship.pixel_size_m
    if sizes is None and config.places:
        sizes = config.augment.pixel_m
    return ModelCard(
        name=ship.name,
        network=about,
        inputs=Inputs(bands=ship.bands, pixel_size_m=sizes, mean=(0.5,) * 3, std=(0.5,) * 3),
        outputs=Outputs(
            classes=tuple(Class(name=known.name, colour=known.colour) for known in config.classes),
            separating=("interior",) if config.targets.interior else (),
            activation="softmax" if config.loss.softmax else "sigmoid",
            threshold=threshold,
        ),
        context=context,
        pad_to=ship.pad_to,
        flip=config.score.flip,
        pixels_per_s=round(speed(network, size=max(256, stride)), -3),
        terms=Terms(license=ship.license, use=ship.use, credits=ship.credits),
        training=dict(training),
        scores=dict(scores),
        known_failures=ship.known_failures,
    )


@torch.inference_mode()
def speed(network: nn.Module, *, size: int) -> float:
    """Return how many pixels a second a network predicts here."""
    network.eval()
    pixels = torch.zeros(1, 3, size, size).contiguous(memory_format=torch.channels_last)
    network(pixels)
    began = time.monotonic()
    network(pixels)
    return size * size / max(time.monotonic() - began, 1e-6)


def write_model(folder: Path, weights: Mapping[str, Tensor], card: ModelCard) -> ModelCard:
    """Write ``model.safetensors`` and ``card.json``, floats in half precision.

    Returns:
        The card with the digest of the weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    halved = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in weights.items()
    }
    card = save(folder / "model.safetensors", halved, card)
    write_whole(folder / "card.json", (card.model_dump_json(indent=2) + "\n").encode())
    return card
