"""From a training to a model that ships: averaged weights in half precision, with their card."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import ConfigError, ModelError
from pipeline.models.card import Class, Inputs, ModelCard, Network, Outputs, Terms
from pipeline.models.checkpoint import COPY, ONNX, WEIGHTS, read_card, save_checkpoint
from pipeline.models.export import export
from pipeline.models.memory import bytes_per_pixel
from pipeline.training.config import TrainingConfig
from pipeline.training.step.network import described_by
from pipeline.training.step.state import write_whole

MEASURED = 32
"""Largest edge of the block of voxels whose time and memory are measured."""


def card_of_training(
    network: nn.Module,
    config: TrainingConfig,
    *,
    threshold: float,
    training: Mapping[str, Any],
    scores: Mapping[str, Any],
) -> ModelCard:
    """Return the card of a trained network; its rf_radius and speed are measured.

    Args:
        network: With its averaged weights, on the CPU.
        config: The training.
        threshold: Probability from which a pixel belongs to a class.
        training: Steps, hours and recipe.
        scores: Figures by split.
    """
    export = config.export
    about = described_by(config)
    context = export.context or ("blend" if about.rf_radius is None else "exact")
    sizes = export.gsd_range_m
    if sizes is None and config.places:
        sizes = config.augment.pixel_size_m
    bands = export.bands if about.dims == 2 else ("gray",)
    looked_at = _measured(about, config)
    return ModelCard(
        name=export.name,
        network=about,
        inputs=Inputs(
            bands=bands,
            gsd_range_m=sizes,
            preferred_gsd_m=export.preferred_gsd_m,
            mean=(0.5,) * len(bands),
            std=(0.5,) * len(bands),
        ),
        outputs=Outputs(
            classes=tuple(Class(name=known.name, colour=known.colour) for known in config.classes),
            separating=("interior",) if config.targets.interior else (),
            activation="softmax" if config.loss.softmax else "sigmoid",
            threshold=threshold,
        ),
        context=context,
        pad_to=export.pad_to,
        flip=config.score.flip,
        pixels_per_s=round(speed(network, looked_at), -3 if about.dims == 2 else 0),
        bytes_per_pixel=400 if about.dims == 2 else round(bytes_per_pixel(network, looked_at)),
        terms=Terms(license=export.license, use=export.use, credits=export.credits),
        training=dict(training),
        scores=dict(scores),
        known_failures=export.known_failures,
    )


def _measured(about: Network, config: TrainingConfig) -> Tensor:
    """Return zeros on which a network's time and memory are measured."""
    if about.dims == 2:
        pixels = torch.zeros(1, 3, *[max(256, about.stride)] * 2)
        return pixels.contiguous(memory_format=torch.channels_last)
    edges = [-(-min(edge, MEASURED) // about.stride) * about.stride for edge in config.box]
    return torch.zeros(1, 1, *edges)


@torch.inference_mode()
def speed(network: nn.Module, pixels: Tensor) -> float:
    """Return how many pixels or voxels a second a network predicts here."""
    network.eval()
    network(pixels)
    began = time.monotonic()
    network(pixels)
    return pixels[0, 0].numel() / max(time.monotonic() - began, 1e-6)


def write_model(folder: Path, weights: Mapping[str, Tensor], card: ModelCard) -> ModelCard:
    """Write ``model.safetensors`` and a copy of its card, ``card.json``; floats in half precision.

    Returns:
        The card with the digest of the weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    halved = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in weights.items()
    }
    copy = folder / COPY
    for left in (copy, folder / ONNX):  # those of an earlier model would be refused
        left.unlink(missing_ok=True)
    card = save_checkpoint(folder / WEIGHTS, halved, card)
    write_whole(copy, (card.model_dump_json(indent=2) + "\n").encode())
    return card


def write_graph(folder: Path) -> str:
    """Write ``model.onnx`` of a folder's ``model.safetensors``, which maps without torch.

    Returns:
        The reason why there is none: the network cannot be exported, or is one of volumes; empty
        where it was written.
    """
    if read_card(folder / WEIGHTS).network.dims == 3:
        return "volumes are predicted with torch"
    try:
        export(str(folder), kind="onnx", out=folder / ONNX)
    except (ModelError, ConfigError) as error:
        return str(error)
    return ""
