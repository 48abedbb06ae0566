"""What else the last bits of a prediction depend on: the processor's instruction sets.

Sums of float32 products differ in the last bits between AVX2 and AVX-512, and between
libraries that choose their kernels by the processor.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.lib.introspect import opt_func_info

from pipeline.errors import ModelError
from pipeline.models.card import ModelCard
from pipeline.models.predictor import Predictor, Stretch
from pipeline.models.sizes import trial_sizes

if TYPE_CHECKING:
    from pipeline.models.engines.volume import VolumePredictor

LIMITS = (
    "DNNL_DEFAULT_FPMATH_MODE",
    "DNNL_MAX_CPU_ISA",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "NVIDIA_TF32_OVERRIDE",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "ONEDNN_MAX_CPU_ISA",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
)
"""Variables by which oneDNN, MKL and cuBLAS choose other kernels; libraries do not report them."""


class Engine(NamedTuple):
    """What predicts in a worker; two that are equal give the same bits."""

    device: str
    """``cpu`` (torch), ``cuda``, ``openvino`` or ``onnxruntime``."""
    name: str
    """Library, device, precision and threads."""
    processor: str = ""
    """Instruction sets in use; empty where the model does not depend on them."""
    digest: str = ""
    """Digest of a prediction of noise; empty where it was not asked for."""


def instruction_sets(device: str) -> str:
    """Return the instruction sets that NumPy and an engine use, and limits set for libraries."""
    kernels = opt_func_info(func_name="^exp$", signature="float32").get("exp", {})
    chosen = sorted({str(kernel.get("current")) for kernel in kernels.values()})
    limits = [f"{name}={os.environ[name].upper()}" for name in LIMITS if os.environ.get(name)]
    return ", ".join(
        [
            platform.machine(),
            f"numpy {' '.join(chosen)}",
            _of_engine(device),
            *limits,
        ]
    )


def _of_engine(device: str) -> str:
    if device == "openvino":
        from pipeline.models.engines.openvino import openvino_module

        core = openvino_module().Core()
        return f"openvino {' '.join(sorted(core.get_property('CPU', 'OPTIMIZATION_CAPABILITIES')))}"
    if device == "onnxruntime":
        return f"onnxruntime {platform.processor()}".strip()
    import torch

    return f"torch {torch.backends.cpu.get_cpu_capability()}"


def noise_digest(predictor: Predictor) -> str:
    """Return a digest of what a network predicts of a small picture of noise."""
    rows, cols = trial_sizes(predictor.card)[0]
    noise = _noise(predictor.card, rows, cols)
    valid = np.ones((rows, cols), bool)
    return _digest(lambda: predictor.predict(noise, valid, Stretch(low=0.0, high=1.0)))


def volume_noise_digest(predictor: VolumePredictor) -> str:
    """Return a digest of what a network predicts of a small cube of noise."""
    stride = predictor.card.network.stride
    edge = stride * max(2, -(-32 // stride))
    noise = np.random.default_rng(0).random((edge, edge, edge), np.float32)
    return _digest(lambda: predictor.predict(noise, Stretch(low=0.0, high=1.0)))


def _noise(card: ModelCard, rows: int, cols: int) -> np.ndarray:
    return np.random.default_rng(0).random((len(card.inputs.bands), rows, cols), np.float32)


def _digest(predict: Callable[[], np.ndarray]) -> str:
    try:
        values = predict()
    except ModelError as error:
        # Whatever noise does to a network, it does so in every worker.
        return str(error)
    return hashlib.sha256(values.tobytes()).hexdigest()[:16]
