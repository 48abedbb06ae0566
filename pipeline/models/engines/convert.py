"""OpenVINO's form of a network of torch, compared with it."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from torch import nn

from pipeline.errors import ModelError
from pipeline.models.card import ModelCard
from pipeline.models.engines.network_predictor import Network
from pipeline.models.engines.openvino import openvino_module
from pipeline.models.sizes import trial_sizes

TOLERANCE = 1e-3
"""Largest difference of logits between an engine and torch."""


def convert(network: nn.Module, card: ModelCard) -> Any:
    """Return OpenVINO's form of a network; rows and columns stay open.

    Raises:
        ConfigError: OpenVINO is not installed.
        ModelError: It cannot convert this network.
    """
    openvino = openvino_module()
    bands, size = len(card.inputs.bands), card.network.size or -1
    rows, cols = trial_sizes(card)[0]
    try:
        with warnings.catch_warnings():
            # It traces with what torch means to replace.
            warnings.simplefilter("ignore")
            return openvino.convert_model(
                network,
                example_input=torch.zeros(1, bands, rows, cols),
                input=[1, bands, size, size],
            )
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"OpenVINO cannot convert network {card.network.architecture!r}: {reason}; "
            "use --device torch"
        ) from error


def largest_difference(
    network: nn.Module, other: Network, card: ModelCard, *, tolerance: float = TOLERANCE
) -> float:
    """Return the largest difference of logits of noise, at every trial size.

    Raises:
        ModelError: It exceeds the tolerance.
    """
    random = torch.Generator().manual_seed(0)
    farthest = 0.0
    for rows, cols in trial_sizes(card):
        values = torch.randn(1, len(card.inputs.bands), rows, cols, generator=random)
        with torch.inference_mode():
            wanted = network(values).numpy()
        found = other(values.numpy())
        same = found.shape == wanted.shape
        apart = float(np.abs(found - wanted).max()) if same else float("inf")
        farthest = max(farthest, apart)
    if not farthest <= tolerance:
        raise ModelError(
            f"model {card.name!r} gives other logits there than in torch: {farthest:.2g} "
            f"apart, at most {tolerance} is allowed"
        )
    return farthest
