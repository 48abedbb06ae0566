"""Models in the formats of other engines, checked against torch as they are written."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from pipeline.errors import ConfigError, ModelError
from pipeline.models.card import ModelCard
from pipeline.models.checkpoint import DIGEST, KEY, load_checkpoint
from pipeline.models.engines.convert import TOLERANCE, convert, largest_difference
from pipeline.models.engines.openvino import OpenVinoNetwork, openvino_module
from pipeline.models.onnx_file import graph_digest
from pipeline.models.registry import blaming, find
from pipeline.models.restore import restore_network
from pipeline.models.sizes import remainder, trial_sizes

Format = Literal["onnx", "openvino"]
LARGEST, MOST = 65536, 1024
"""Longest side of a picture, and pictures of a batch."""
CLOSE = 1e-4
"""Largest difference of an ONNX file's logits from torch's."""


def export(name: str, *, kind: Format, out: Path) -> dict[str, Any]:
    """Write a model for another engine and return what was written, for people.

    The input ``pixels`` is ``(batch, bands, rows, cols)`` float32, normalised as the card
    states, rows and columns any multiples of the stride; the output ``logits`` is what
    torch gives, within `CLOSE` in an ONNX file. The card lies in the file's metadata.

    Args:
        name: Name or file of a model.
        kind: ``onnx``, or ``openvino``: an .xml with its .bin beside it.
        out: The file.

    Raises:
        ConfigError: There is no such model, nothing to export in it, or a library lacks.
        ModelError: The network cannot be exported, or the export's outputs differ.
    """
    path = find(name)
    if path is None:
        raise ConfigError(f"model {name!r} has no network: there is nothing to export")
    suffix = {"onnx": ".onnx", "openvino": ".xml"}[kind]
    if out.suffix != suffix:
        raise ConfigError(f"--out {out}: give a file that ends in {suffix}")
    if not out.parent.is_dir():
        raise ConfigError(f"--out {out}: there is no folder {out.parent}; make it first")
    card, tensors = load_checkpoint(path)
    with blaming(path):
        network = restore_network(card, tensors)
    made = out.with_name(f".{out.name}.part{suffix}")
    try:
        (_write_onnx if kind == "onnx" else _write_openvino)(network, card, made)
        tolerance = CLOSE if kind == "onnx" else TOLERANCE
        apart = largest_difference(network, OpenVinoNetwork(made), card, tolerance=tolerance)
        if kind == "openvino":
            made.with_suffix(".bin").replace(out.with_suffix(".bin"))
        made.replace(out)
    finally:
        for left in (made, made.with_suffix(".bin")):
            left.unlink(missing_ok=True)
    return {
        "model": card.name,
        "sha256": card.sha256,
        "format": kind,
        "file": str(out),
        "stride": card.network.stride,
        "rf_radius_px": card.network.rf_radius,
        "largest_difference": apart,
    }


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """Keep the exporter's prints and logged graphs off the terminal."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def _write_onnx(network: nn.Module, card: ModelCard, path: Path) -> None:
    """Write ONNX through torch's exporter, its chatter kept off the terminal.

    Raises:
        ConfigError: The exporter's libraries lack.
        ModelError: It cannot export this network.
    """
    stride, rest = card.network.stride, remainder(card)
    axes = {0: torch.export.Dim("batch", min=1, max=MOST)}
    if card.network.size is None:
        for axis, name in ((2, "rows"), (3, "cols")):
            axes[axis] = stride * torch.export.Dim(name, min=2, max=LARGEST // stride) + rest
    values = torch.zeros(2, len(card.inputs.bands), *trial_sizes(card)[0])
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), _silenced():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                network,
                (values,),
                dynamo=True,
                dynamic_shapes=(axes,),
                input_names=["pixels"],
                output_names=["logits"],
                verbose=False,
            )
    except ImportError as error:
        raise ConfigError(f"{error}: pip install 'overtile[train]'") from error
    except Exception as error:
        raise ModelError(
            f"network {card.network.architecture!r} cannot be written as ONNX: {_reason(error)}"
        ) from error
    if program is None:
        raise ModelError(f"network {card.network.architecture!r} cannot be written as ONNX")
    program.model.metadata_props[KEY] = card.model_dump_json()
    program.save(str(path))
    program.model.metadata_props[DIGEST] = graph_digest(path.read_bytes())
    program.save(str(path))


def _reason(error: Exception) -> str:
    """Return the innermost of the exporter's errors in a line."""
    inner: BaseException = error
    while inner.__cause__ is not None:
        inner = inner.__cause__
    return " ".join(str(inner).split())[:200]


def _write_openvino(network: nn.Module, card: ModelCard, path: Path) -> None:
    model = convert(network, card)
    model.inputs[0].set_names({"pixels"})
    model.outputs[0].set_names({"logits"})
    model.set_rt_info(card.model_dump_json(), [KEY])
    openvino_module().save_model(model, str(path), compress_to_fp16=False)
