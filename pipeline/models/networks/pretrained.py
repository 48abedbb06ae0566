"""Where encoders start: weights from a file, or torchgeo's by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from pipeline.errors import ConfigError, ModelError
from pipeline.models.header import NOT_JSON, NoHeaderError, check_tensors, read_safetensors_header


def start_encoder(network: nn.Module, source: str) -> None:
    """Load weights into a network's encoder.

    Args:
        network: Has an ``encoder`` of the architecture that the weights are of.
        source: A safetensors file, or a name of torchgeo's such as
            ``ResNet50_Weights.SENTINEL2_RGB_MOCO``, which is fetched once.

    Raises:
        ConfigError: There are no such weights, they cannot be fetched, or they are another
            network's.
    """
    state = _fetched(source) if _is_name(source) else _read(Path(source))
    encoder = getattr(network, "encoder", None)
    if not isinstance(encoder, nn.Module):
        raise ConfigError(f"{source}: the network has no encoder to start")
    wanted = encoder.state_dict().keys()
    # What is past the encoder classifies pictures: of no use here.
    state = {name: value for name, value in state.items() if name in wanted}
    if not state:
        raise ConfigError(f"{source}: not one of its weights is of the network's encoder")
    try:
        encoder.load_state_dict(state)
    except RuntimeError as error:
        fault = " ".join(str(error).split())[:300]
        raise ConfigError(f"{source}: weights of another encoder: {fault}") from error


def _is_name(source: str) -> bool:
    return "_Weights." in source and not Path(source).exists()


def _read(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        check_tensors(path, read_safetensors_header(path))
        return load_file(path)
    except (OSError, SafetensorError, NoHeaderError, ModelError, *NOT_JSON) as error:
        raise ConfigError(
            f"{path}: no weights to start an encoder from ({error}); give a .safetensors file or "
            "a name of torchgeo's, such as ResNet18_Weights.SENTINEL2_RGB_MOCO"
        ) from error


def _fetched(name: str) -> dict[str, Any]:
    try:
        from torchgeo.models import get_weight
    except ImportError as error:
        raise ConfigError(
            f"{name}: torchgeo is not installed: pip install 'overtile[train]'"
        ) from error
    try:
        weights = get_weight(name)
    except ValueError as error:
        raise ConfigError(f"{name}: torchgeo has no such weights") from error
    try:
        return dict(weights.get_state_dict(progress=False))
    except (OSError, RuntimeError) as error:
        raise ConfigError(
            f"{name}: cannot be fetched from {weights.url} ({error}); fetch it where the network "
            "is reachable and give the encoder's weights as a .safetensors file"
        ) from error
