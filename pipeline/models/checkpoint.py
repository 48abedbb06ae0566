"""Model files with the model card in their metadata: safetensors (weights) and ONNX (a graph).

Nothing is ever unpickled. A flipped bit in the weights loads without complaint from
any format, so the card carries their sha256 and loading checks it. An ONNX file that was made
of a checkpoint has its card, and a digest of its own content beside it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from pipeline.errors import ModelError
from pipeline.models.arguments import argument_error, dims_of
from pipeline.models.card import ModelCard
from pipeline.models.header import (
    LARGEST_HEADER,
    NoHeaderError,
    check_tensors,
    read_safetensors_header,
)
from pipeline.models.onnx_file import (
    NotOnnxError,
    graph_digest,
    metadata_of,
    read_model_bytes,
    refers_to_other_files,
)

if TYPE_CHECKING:
    import torch

KEY, DIGEST = "overtile", "overtile_sha256"
"""Names in the metadata: of the card, and of the digest of an ONNX file's content."""
WEIGHTS, ONNX, COPY = "model.safetensors", "model.onnx", "card.json"
"""Files of a model, and the copy of its card that lies beside them."""
LARGEST_CARD = 2**20
"""Characters of a card."""


def weights_digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """Return the sha256 over names, types, shapes and bytes of all tensors."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        total.update(tensor.reshape(-1).view(_bytes()).numpy().tobytes())
    return total.hexdigest()


def _bytes() -> torch.dtype:
    import torch

    return torch.uint8


def save_checkpoint(path: Path, tensors: Mapping[str, torch.Tensor], card: ModelCard) -> ModelCard:
    """Write a checkpoint atomically and return its card with the digest filled in."""
    from safetensors.torch import save as as_bytes

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    card = card.model_copy(update={"sha256": weights_digest(tensors)})
    temporary = path.with_name(f".{path.name}.tmp")
    # Written by ourselves: safetensors' own files may be read by their owner alone.
    with temporary.open("wb") as handle:
        handle.write(as_bytes(tensors, metadata={KEY: card.model_dump_json()}))
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(path)
    return card


def read_card(path: Path) -> ModelCard:
    """Return the card of a checkpoint or ONNX file; weights are not loaded.

    Raises:
        ModelError: The file is neither, has no valid card or one outside the limits, holds
            tensors that cannot be, or the copy of the card beside it was changed.
    """
    return read_onnx(path)[0] if path.suffix == ".onnx" else _read_checkpoint_card(path)


def _read_checkpoint_card(path: Path) -> ModelCard:
    hint = "give a .safetensors file written by overtile, or a name from `overtile models list`"
    try:
        header = read_safetensors_header(path)
        text = header["__metadata__"][KEY]
        if len(text) > LARGEST_CARD:
            raise ModelError(
                f"{path}: its card has {len(text)} characters, the limit is {LARGEST_CARD}; {hint}"
            )
        card = ModelCard.model_validate_json(text)
    except NoHeaderError as error:
        raise ModelError(f"{path}: not a safetensors file (pickles are refused); {hint}") from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); {hint}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reason = _faults(error) if isinstance(error, ValidationError) else "no model card in it"
        raise ModelError(f"{path}: {reason}; {hint}") from error
    _refuse_impossible(path, card)
    check_tensors(path, header)
    _refuse_another(path.with_name(COPY), text, path)
    return card


def read_onnx(path: Path) -> tuple[ModelCard, bytes]:
    """Return card and content of an ONNX file; the content is not parsed.

    Raises:
        ModelError: It is no ONNX file, has no valid card or one outside the limits, is damaged,
            may refer to other files, or the copy of the card beside it was changed.
    """
    hint = "give a .onnx file written by overtile, or a name from `overtile models list`"
    try:
        content = read_model_bytes(path)
        metadata = metadata_of(content)
        text = metadata[KEY]
        if len(text) > LARGEST_CARD:
            raise ModelError(
                f"{path}: its card has {len(text)} characters, the limit is {LARGEST_CARD}; {hint}"
            )
        card = ModelCard.model_validate_json(text)
        digest = graph_digest(content)
    except NotOnnxError as error:
        raise ModelError(f"{path}: not an ONNX file: it {error}; {hint}") from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); {hint}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reason = _faults(error) if isinstance(error, ValidationError) else "no model card in it"
        raise ModelError(f"{path}: {reason}; {hint}") from error
    if digest != metadata.get(DIGEST):
        raise ModelError(
            f"{path}: its content has sha256 {digest[:12]}..., its metadata state "
            f"{metadata.get(DIGEST, 'none')[:12]}...; the file is damaged, fetch it again"
        )
    if refers_to_other_files(content):
        raise ModelError(f"{path}: it may refer to other files; save it as one file")
    _refuse_impossible(path, card)
    _refuse_another(path.with_name(COPY), text, path)
    return card, content


def _refuse_impossible(path: Path, card: ModelCard) -> None:
    """Refuse a card whose network is unknown, or has arguments that it cannot be built with."""
    network = card.network
    fault = argument_error(network.architecture, network.arguments)
    if fault is None and network.dims != dims_of(network.architecture):
        fault = f"dims is {network.dims}, and {network.architecture} sees " + (
            "volumes" if network.dims == 2 else "pictures"
        )
    if fault is not None:
        raise ModelError(f"{path}: its card cannot be used: {fault}")


def _refuse_another(copy: Path, text: str, path: Path) -> None:
    """Refuse a card beside a checkpoint that differs from the one inside: it has no effect."""
    if path.name not in (WEIGHTS, ONNX) or not copy.is_file():
        return
    try:
        small = copy.stat().st_size <= LARGEST_HEADER
        same = small and json.loads(copy.read_bytes()) == json.loads(text)
    except (OSError, ValueError, RecursionError):
        same = False
    if not same:
        raise ModelError(
            f"{copy}: not the card inside {path.name}, of which it is a copy to read; put that "
            "back or remove it, and set in a task what is to be different (threshold: 0.6)"
        )


def _faults(error: ValidationError) -> str:
    faults = [(".".join(map(str, fault["loc"])), fault["msg"]) for fault in error.errors()[:8]]
    text = [": ".join(filter(None, fault))[:300] for fault in faults]
    more = error.error_count() - len(text)
    return "no valid model card: " + "; ".join([*text, *([f"and {more} more"] if more else [])])


def load_checkpoint(path: Path) -> tuple[ModelCard, dict[str, torch.Tensor]]:
    """Return card and weights.

    Raises:
        ModelError: The file is damaged, or the weights are not those of the card.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    card = read_card(path)
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: damaged or cut short ({error}); fetch it again") from error
    found = weights_digest(tensors)
    if found != card.sha256:
        raise ModelError(
            f"{path}: the weights have sha256 {found[:12]}..., the card states "
            f"{card.sha256[:12]}...; the file is damaged, fetch it again"
        )
    return card, tensors
