"""Networks run by OpenVINO on the CPU, in float32.

Measured on 2 cores with the shipped buildings model, one tile of 1024 x 1024 px: 0.63 to 0.9 s of
processor time, torch 2.4 s; logits differ by 1.2e-5, probabilities by 1.1e-6.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
from jaxtyping import Float32

from pipeline.errors import ConfigError, ModelError
from pipeline.models.engines.threads import compute_threads

HINT = "OpenVINO is not installed: pip install openvino, or use --device onnxruntime or torch"


def openvino_module() -> Any:
    """Return the module.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        import openvino
    except ImportError as error:
        raise ConfigError(HINT) from error
    return openvino


class OpenVinoNetwork:
    """A network compiled by OpenVINO: arrays in, arrays out."""

    def __init__(self, model: Any) -> None:
        """Compile a model for `compute_threads` threads.

        Args:
            model: The bytes of an ONNX file, the path of a model, or OpenVINO's own form.

        Raises:
            ConfigError: OpenVINO is not installed.
            ModelError: It cannot read or compile the model.
        """
        openvino = openvino_module()
        self.threads = compute_threads()
        try:
            core = openvino.Core()
            if not isinstance(model, openvino.Model):
                model = core.read_model(model if isinstance(model, bytes) else str(model))
            self._model = core.compile_model(
                model,
                "CPU",
                {
                    # Processors with bfloat16 would multiply in it.
                    "INFERENCE_PRECISION_HINT": "f32",
                    "INFERENCE_NUM_THREADS": self.threads,
                    "NUM_STREAMS": 1,
                },
            )
        except RuntimeError as error:
            raise ModelError(f"OpenVINO cannot run it: {_line(error)}") from error

    @property
    def precision(self) -> str:
        """Type of numbers that it computes with: ``f32``."""
        return str(self._model.get_property("INFERENCE_PRECISION_HINT").get_type_name())

    @property
    def engine(self) -> str:
        """Library, device, precision and threads."""
        return f"openvino {version('openvino')} cpu float32 threads {self.threads}"

    def __call__(self, values: Float32[np.ndarray, ...]) -> Float32[np.ndarray, ...]:
        """Return logits, in memory of their own.

        Raises:
            ModelError: The network does not take such inputs.
        """
        try:
            return np.array(self._model(values)[0], np.float32)
        except RuntimeError as error:
            if "memory" in str(error).lower():
                raise
            raise ModelError(
                f"it cannot predict {' x '.join(map(str, values.shape[1:]))} values, which its "
                f"card states (bands, stride, size): {_line(error)}"
            ) from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
