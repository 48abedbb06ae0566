"""Networks run by ONNX Runtime on the CPU, in float32."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
from jaxtyping import Float32

from pipeline.errors import ConfigError, ModelError
from pipeline.models.engines.threads import compute_threads


def onnxruntime_module() -> Any:
    """Return the module.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        import onnxruntime  # type: ignore[import-untyped]
    except ImportError as error:
        raise ConfigError(
            "ONNX Runtime is not installed: pip install 'overtile[ort]', or use --device openvino"
        ) from error
    return onnxruntime


class OnnxRuntimeNetwork:
    """A network in a session of ONNX Runtime: arrays in, arrays out."""

    def __init__(self, content: bytes) -> None:
        """Start a session for `compute_threads` threads.

        Args:
            content: The bytes of an ONNX file.

        Raises:
            ConfigError: ONNX Runtime is not installed.
            ModelError: It cannot read the model.
        """
        runtime = onnxruntime_module()
        self.threads = compute_threads()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Threads that wait for work in a loop take processor time while tiles are read and traced.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = runtime.InferenceSession(
                content, sess_options=options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise ModelError(f"ONNX Runtime cannot run it: {_line(error)}") from error
        self._input = self._session.get_inputs()[0].name

    @property
    def engine(self) -> str:
        """Library, device, precision and threads."""
        return f"onnxruntime {version('onnxruntime')} cpu float32 threads {self.threads}"

    def __call__(self, values: Float32[np.ndarray, ...]) -> Float32[np.ndarray, ...]:
        """Return logits.

        Raises:
            ModelError: The network does not take such inputs.
        """
        try:
            return np.asarray(self._session.run(None, {self._input: values})[0], np.float32)
        except Exception as error:
            if "alloc" in str(error).lower():
                raise MemoryError(_line(error)) from error
            raise ModelError(
                f"it cannot predict {' x '.join(map(str, values.shape[1:]))} values, which its "
                f"card states (bands, stride, size): {_line(error)}"
            ) from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
