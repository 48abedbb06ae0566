"""Networks compiled by OpenVINO for the CPU, in float32.

Measured on 2 cores with the shipped buildings model, one tile of 1536 x 1536 px: 1.3 s of
processor time, torch 4.1 s; logits differ by 1.2e-5, probabilities by 1.1e-6.
"""

from __future__ import annotations

import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pipeline.errors import ConfigError, ModelError
from pipeline.models.card import ModelCard
from pipeline.models.restore import trial_sizes

TOLERANCE = 1e-3
"""How far logits may be from torch's before an engine is not believed."""


def openvino_module() -> Any:
    """Return the module.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        import openvino
    except ImportError as error:
        raise ConfigError(
            "OpenVINO is not installed: pip install 'overtile[cpu]', or use --device cpu"
        ) from error
    return openvino


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
            "use --device cpu"
        ) from error


class Compiled:
    """A network that OpenVINO runs: tensors in, tensors out, like the network itself."""

    def __init__(self, model: Any) -> None:
        """Compile a model, or the file of one, for as many threads as torch uses."""
        openvino = openvino_module()
        core = openvino.Core()
        if isinstance(model, Path):
            model = core.read_model(str(model))
        self.engine = f"openvino {version('openvino')}"
        self._model = core.compile_model(
            model,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": "f32",
                "INFERENCE_NUM_THREADS": torch.get_num_threads(),
                "NUM_STREAMS": 1,
            },
        )

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        """Return logits, in memory of their own."""
        found = self._model(np.ascontiguousarray(values.numpy()))[0]
        return torch.from_numpy(np.array(found))


def largest_difference(network: nn.Module, compiled: Compiled, card: ModelCard) -> float:
    """Return how far logits of noise are apart at most, at every trial size.

    Raises:
        ModelError: Farther than `TOLERANCE`.
    """
    random = torch.Generator().manual_seed(0)
    farthest = 0.0
    for rows, cols in trial_sizes(card):
        values = torch.randn(1, len(card.inputs.bands), rows, cols, generator=random)
        with torch.inference_mode():
            wanted = network(values)
        found = compiled(values)
        same = found.shape == wanted.shape
        apart = float((found - wanted).abs().max()) if same else float("inf")
        farthest = max(farthest, apart)
    if not farthest <= TOLERANCE:
        raise ModelError(
            f"model {card.name!r} gives other logits in OpenVINO than in torch: {farthest:.2g} "
            f"apart, at most {TOLERANCE} is allowed; use --device cpu"
        )
    return farthest
