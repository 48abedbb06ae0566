"""Models by name or file, loaded once a process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipeline.errors import ConfigError, ModelError
from pipeline.models.card import ModelCard
from pipeline.models.checkpoint import WEIGHTS, load_checkpoint, read_card
from pipeline.models.engines.threshold import CARD, Threshold
from pipeline.models.predictor import Predictor

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.models.engines.volume import VolumePredictor

SHIPPED = Path(__file__).parent / "shipped"
Device = Literal["auto", "cpu", "cuda", "openvino"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRef:
    """How to load a model again: travels to a worker, which finds it on its own disk."""

    name: str
    """Name of a shipped model, or path of a checkpoint or of the folder that it is in."""
    sha256: str
    """Digest of its weights, which the worker checks."""


def shipped() -> list[str]:
    """Return the names of the models that come with Overtile."""
    return ["threshold", *sorted(path.parent.name for path in SHIPPED.glob(f"*/{WEIGHTS}"))]


def find(name: str) -> Path | None:
    """Return the checkpoint that a name or path means; None for the threshold model.

    Raises:
        ConfigError: Nothing is called so.
    """
    if name == "threshold":
        return None
    inside = SHIPPED / name / WEIGHTS
    if "/" not in name and inside.is_file():
        return inside
    path = Path(name)
    if path.is_dir():
        path = path / WEIGHTS
    if path.is_file():
        return path.absolute()
    raise ConfigError(
        f"no model is called {name!r} and there is no such file; models that come with "
        f"Overtile: {', '.join(shipped())}"
    )


def card_of(name: str) -> ModelCard:
    """Return the card of a model without loading its weights.

    Raises:
        ConfigError: Nothing is called so.
        ModelError: The file has no valid card.
    """
    path = find(name)
    return CARD if path is None else read_card(path)


def chosen_device(device: Device, *, large: bool = False) -> str:
    """Return ``cpu``, ``cuda`` or ``openvino``.

    Args:
        device: What is asked for. ``auto``: CUDA where there is a device, else OpenVINO
            where it is installed and there is much to do, else torch on the CPU.
        large: There is much to do.

    Raises:
        ConfigError: CUDA or OpenVINO is asked for and not there.
    """
    if device == "cpu":
        return "cpu"
    if device == "openvino":
        from pipeline.models.engines.openvino import openvino_module

        openvino_module()
        return "openvino"
    import torch

    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise ConfigError("--device cuda: torch sees no CUDA device here; use --device cpu or auto")
    if there:
        return "cuda"
    return "openvino" if large and find_spec("openvino") is not None else "cpu"


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
    card, tensors = _planned(path, ref)
    with blaming(path):
        return VolumePredictor(card, tensors, device=device)


def _planned(path: Path, ref: ModelRef) -> tuple[ModelCard, dict[str, Tensor]]:
    card, tensors = load_checkpoint(path)
    if card.sha256 != ref.sha256:
        raise ModelError(
            f"{path}: another model than the plan was made with "
            f"(sha256 {card.sha256[:12]}..., planned {ref.sha256[:12]}...)"
        )
    return card, tensors


@lru_cache(maxsize=2)
def _loaded(ref: ModelRef, device: str) -> Predictor:
    path = find(ref.name)
    if path is None:
        return Threshold()
    from pipeline.models.engines.engine import TorchPredictor

    card, tensors = _planned(path, ref)
    with blaming(path):
        return TorchPredictor(card, tensors, device=device)


@contextmanager
def blaming(path: Path) -> Iterator[None]:
    """Name the file in what is wrong with a model."""
    try:
        yield
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
