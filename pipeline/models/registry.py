"""Models by name or file, loaded once a process."""

from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from pipeline.errors import ConfigError, ModelError
from pipeline.models.card import ModelCard
from pipeline.models.checkpoint import ONNX, WEIGHTS, load_checkpoint, read_card, read_onnx
from pipeline.models.engines.threshold import CARD, Threshold
from pipeline.models.predictor import Predictor

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.models.engines.onnxruntime import OnnxRuntimeNetwork
    from pipeline.models.engines.openvino import OpenVinoNetwork
    from pipeline.models.engines.volume import VolumePredictor

SHIPPED = Path(__file__).parent / "shipped"
Device = Literal["auto", "cpu", "cuda", "openvino", "onnxruntime", "torch"]
"""What may be asked for: a device, or an engine on the CPU."""
DEVICES: tuple[Device, ...] = get_args(Device)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRef:
    """How to load a model again: travels to a worker, which finds it on its own disk."""

    name: str
    """Name of a shipped model, or path of a file or of the folder that its files are in."""
    sha256: str
    """Digest of its weights, which the worker checks."""


def shipped() -> list[str]:
    """Return the names of the models that come with Overtile."""
    return ["threshold", *sorted(path.parent.name for path in SHIPPED.glob(f"*/{WEIGHTS}"))]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFiles:
    """Files of one model: the same network as a graph and as weights; at least one of them."""

    onnx: Path | None
    """What maps on the CPU."""
    weights: Path | None
    """What is trained on, and maps with torch."""


def find_files(name: str) -> ModelFiles | None:
    """Return the files that a name or path means; None for the threshold model.

    Raises:
        ConfigError: Nothing is called so.
    """
    if name == "threshold":
        return None
    inside = SHIPPED / name
    folder = inside if "/" not in name and (inside / WEIGHTS).is_file() else Path(name)
    if folder.is_dir():
        files = [folder.absolute() / one for one in (ONNX, WEIGHTS)]
        onnx, weights = (one if one.is_file() else None for one in files)
        if onnx or weights:
            return ModelFiles(onnx=onnx, weights=weights)
    if folder.is_file():
        path = folder.absolute()
        is_onnx = path.suffix == ".onnx"
        return ModelFiles(onnx=path if is_onnx else None, weights=None if is_onnx else path)
    raise ConfigError(
        f"no model is called {name!r} and there is no such file; models that come with "
        f"Overtile: {', '.join(shipped())}"
    )


def find(name: str) -> Path | None:
    """Return the checkpoint that a name or path means; None for the threshold model.

    Raises:
        ConfigError: Nothing is called so, or it is an ONNX file alone.
    """
    files = find_files(name)
    if files is None:
        return None
    if files.weights is None:
        raise ConfigError(f"{files.onnx}: it holds no weights; give a .safetensors file")
    return files.weights


def card_of(name: str) -> ModelCard:
    """Return the card of a model without loading its weights.

    Raises:
        ConfigError: Nothing is called so.
        ModelError: The file has no valid card, or two files of a model have different cards.
    """
    files = find_files(name)
    if files is None:
        return CARD
    cards = [read_card(path) for path in (files.weights, files.onnx) if path is not None]
    if cards[0] != cards[-1]:
        raise ModelError(f"{files.onnx}: its card is not that of {WEIGHTS} beside it")
    return cards[0]


def engines_for(name: str, card: ModelCard, device: Device, *, large: bool = False) -> list[str]:
    """Return the engines that may run a model here, in the order to try them.

    Args:
        name: Name or path of the model.
        card: Its card.
        device: What is asked for. ``auto``: CUDA where there is a device, else the CPU.
            ``cpu``: OpenVINO, else ONNX Runtime, where the model has an ONNX file; else torch.
        large: There is much to do: OpenVINO is worth the conversion of a checkpoint.

    Returns:
        Of ``cpu`` (torch), ``cuda``, ``openvino`` and ``onnxruntime``.

    Raises:
        ConfigError: What is asked for is not there; the message names what to install.
    """
    files = find_files(name)
    if files is None:
        return ["cpu"]
    if device in ("openvino", "onnxruntime"):
        return [_named_engine(files, card, device)]
    if device == "cuda":
        _check_cuda(files)
    if device == "cuda" or (device == "auto" and files.weights and cuda_is_there()):
        return ["cuda"]
    return _on_cpu(files, card, device, large=large)


def _on_cpu(files: ModelFiles, card: ModelCard, device: Device, *, large: bool) -> list[str]:
    """Return the engines on the CPU in the order to try them; see `engines_for`."""
    pictures = card.network.dims == 2
    if device != "torch" and files.onnx is not None and pictures:
        for engine in ("openvino", "onnxruntime"):
            if find_spec(engine) is not None:
                return [engine]
    _check_torch(files, card)
    # Not every network can be converted; torch runs them all.
    convert = large and device == "auto" and pictures and find_spec("openvino") is not None
    return ["openvino", "cpu"] if convert else ["cpu"]


def _check_cuda(files: ModelFiles) -> None:
    """Check that torch sees a CUDA device, and that there are weights for it."""
    if not cuda_is_there():
        raise ConfigError(
            "--device cuda: there is no CUDA device, or no torch that sees it (pip install "
            "'overtile[gpu]'); use --device cpu or auto"
        )
    if files.weights is None:
        raise ConfigError(f"--device cuda: {files.onnx} has no {WEIGHTS} beside it")


def _check_torch(files: ModelFiles, card: ModelCard) -> None:
    """Check that torch is installed, and that there are weights for it."""
    if files.weights is None:
        raise ConfigError(f"{files.onnx}: torch needs {WEIGHTS} beside it; use --device cpu")
    if find_spec("torch") is None:
        raise ConfigError(_NEEDS_TORCH.format(name=card.name))


_NEEDS_TORCH = (
    "model {name!r} has no ONNX file that maps without torch, and torch is not installed: "
    "pip install 'overtile[train]'"
)


def _named_engine(files: ModelFiles, card: ModelCard, device: str) -> str:
    """Check that OpenVINO or ONNX Runtime is there and can run a model."""
    if card.network.dims == 3:
        raise ConfigError(f"--device {device}: volumes are predicted with torch; use cpu or cuda")
    if device == "openvino":
        from pipeline.models.engines.openvino import openvino_module

        openvino_module()
        if files.onnx is None:
            _check_torch(files, card)
        return device
    from pipeline.models.engines.onnxruntime import onnxruntime_module

    onnxruntime_module()
    if files.onnx is None:
        raise ConfigError(
            f"--device onnxruntime: {files.weights} is no ONNX file; write one with "
            "`overtile models export`"
        )
    return device


@lru_cache(maxsize=1)
def cuda_is_there() -> bool:
    """Return whether torch is installed and sees a CUDA device; it is not imported in vain."""
    if find_spec("torch") is None or not _driver_is_there():
        return False
    import torch

    return torch.cuda.is_available()


def _driver_is_there() -> bool:
    """Return whether NVIDIA's driver is loaded: importing torch takes seconds."""
    if sys.platform != "linux":
        return sys.platform == "win32"
    return any(Path(path).exists() for path in ("/dev/nvidiactl", "/dev/nvhost-gpu", "/dev/dxg"))


_loading = threading.Lock()


def load_predictor(ref: ModelRef, *, device: str) -> Predictor:
    """Return a model ready to predict; the same object for the same arguments.

    Raises:
        ModelError: It cannot be loaded, or is not the one that was planned with.
    """
    with _loading:
        return _loaded(ref, device)


def load_volume_predictor(ref: ModelRef, *, device: str) -> VolumePredictor:
    """Return a model of volumes ready to predict; the same object for the same arguments.

    Raises:
        ModelError: It cannot be loaded, or is not the one that was planned with.
    """
    with _loading:
        return _loaded_volume(ref, device)


@lru_cache(maxsize=1)
def _loaded_volume(ref: ModelRef, device: str) -> VolumePredictor:
    from pipeline.models.engines.volume import VolumePredictor

    path = find(ref.name)
    if path is None:
        raise ModelError(f"model {ref.name!r} sees no volumes")
    card, tensors = load_checkpoint(path)
    _refuse_unplanned(path, card, ref)
    with blaming(path):
        return VolumePredictor(card, tensors, device=device)


def _refuse_unplanned(path: Path, card: ModelCard, ref: ModelRef) -> None:
    if card.sha256 != ref.sha256:
        raise ModelError(
            f"{path}: another model than the plan was made with "
            f"(sha256 {card.sha256[:12]}..., planned {ref.sha256[:12]}...)"
        )


@lru_cache(maxsize=2)
def _loaded(ref: ModelRef, device: str) -> Predictor:
    files = find_files(ref.name)
    if files is None:
        return Threshold()
    if files.onnx is not None and device in ("openvino", "onnxruntime"):
        return _of_onnx(files.onnx, ref, device)
    from pipeline.models.engines.torch_predictor import TorchPredictor

    path = files.weights
    if path is None:
        raise ModelError(f"{files.onnx}: no {WEIGHTS} beside it")
    card, tensors = load_checkpoint(path)
    _refuse_unplanned(path, card, ref)
    with blaming(path):
        if device == "openvino":
            return _converted(card, tensors)
        return TorchPredictor(card, tensors, device=device)


def _of_onnx(path: Path, ref: ModelRef, device: str) -> Predictor:
    from pipeline.models.engines.network_predictor import NetworkPredictor

    card, content = read_onnx(path)
    _refuse_unplanned(path, card, ref)
    with blaming(path):
        network: OpenVinoNetwork | OnnxRuntimeNetwork
        if device == "openvino":
            from pipeline.models.engines.openvino import OpenVinoNetwork

            network = OpenVinoNetwork(content)
        else:
            from pipeline.models.engines.onnxruntime import OnnxRuntimeNetwork

            network = OnnxRuntimeNetwork(content)
    # Another export of the same weights may differ in the last bits.
    graph = hashlib.sha256(content).hexdigest()[:12]
    return NetworkPredictor(card, network, engine=f"{network.engine} graph {graph}")


def _converted(card: ModelCard, tensors: dict[str, Tensor]) -> Predictor:
    """Return a checkpoint's network, converted for OpenVINO and compared with torch."""
    from pipeline.models.engines.convert import convert, largest_difference
    from pipeline.models.engines.network_predictor import NetworkPredictor
    from pipeline.models.engines.openvino import OpenVinoNetwork
    from pipeline.models.restore import restore_network

    network = restore_network(card, tensors)
    found = OpenVinoNetwork(convert(network, card))
    largest_difference(network, found, card)
    return NetworkPredictor(card, found, engine=found.engine)


@contextmanager
def blaming(path: Path) -> Iterator[None]:
    """Name the file in what is wrong with a model."""
    try:
        yield
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
