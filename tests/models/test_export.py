"""Exports predict what torch predicts, in OpenVINO and in ONNX Runtime."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from pipeline.cli.models import models
from pipeline.errors import ConfigError, ModelError
from pipeline.models.card import Network
from pipeline.models.checkpoint import load_checkpoint, save_checkpoint
from pipeline.models.describe import describe_network
from pipeline.models.engines.convert import convert, largest_difference
from pipeline.models.engines.network_predictor import NetworkPredictor
from pipeline.models.engines.openvino import OpenVinoNetwork
from pipeline.models.engines.torch_predictor import TorchPredictor
from pipeline.models.export import export
from pipeline.models.registry import ModelRef, card_of, find, load_predictor
from pipeline.models.restore import restore_network
from pipeline.models.sizes import trial_sizes
from tests.mapping.scenery import band, blobs, run, write_scene
from tests.models.small import FULL, PADDED, SHELF, TINY, VALID, card_for, noise, weights_for

openvino = pytest.importorskip("openvino")


def _apart(file: Path, name: str, rows: int, cols: int) -> float:
    """Return how far an export's probabilities are from torch's on coloured shapes."""
    path = find(name)
    assert path is not None
    card, tensors = load_checkpoint(path)
    colours = [blobs(seed, height=rows, width=cols) for seed in range(len(card.inputs.bands))]
    pixels = torch.from_numpy(np.stack(colours)).float()[None] / 255
    values = (pixels - 0.5) / 0.5
    with torch.inference_mode():
        wanted = restore_network(card, tensors)(values)
    found = torch.from_numpy(OpenVinoNetwork(file)(values.numpy()))
    assert found.shape == wanted.shape
    assert wanted.std() > 0.1
    assert (found - wanted).abs().max() <= 1e-3
    chances, true = found.sigmoid(), wanted.sigmoid()
    limit = card.outputs.threshold
    assert limit is not None
    off = (chances >= limit) != (true >= limit)
    assert ((true[off] - limit).abs() < 1e-3).all()
    return float((chances - true).abs().max())


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [("openvino", ".xml"), pytest.param("onnx", ".onnx", marks=pytest.mark.slow)],
)
def test_the_shipped_model_is_exported_for_all_sizes(
    tmp_path: Path, kind: str, suffix: str
) -> None:
    out = tmp_path / f"buildings{suffix}"
    found = CliRunner().invoke(models, ["export", "buildings", "--format", kind, "--out", str(out)])
    assert found.exit_code == 0, found.output
    told = json.loads(found.stdout)
    assert told["largest_difference"] <= 1e-3
    assert told["sha256"] == card_of("buildings").sha256
    for rows, cols in ((160, 240), (272, 32)):
        assert _apart(out, "buildings", rows, cols) <= 1e-3
    wanted = {out.name, out.with_suffix(".bin").name} if kind == "openvino" else {out.name}
    assert {path.name for path in tmp_path.iterdir()} == wanted


@pytest.mark.parametrize(
    ("name", "kind", "out", "message"),
    [
        ("threshold", "onnx", "a.onnx", "nothing to export"),
        ("buildings", "onnx", "a.xml", "ends in .onnx"),
        ("buildings", "openvino", "a.onnx", "ends in .xml"),
        ("buildings", "onnx", "none/a.onnx", "there is no folder"),
        ("nonesuch", "onnx", "a.onnx", "no model is called"),
    ],
)
def test_what_cannot_be_exported_is_refused(
    tmp_path: Path, name: str, kind: Any, out: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        export(name, kind=kind, out=tmp_path / out)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_format_is_refused_as_usage(tmp_path: Path) -> None:
    out = str(tmp_path / "a.tflite")
    found = CliRunner().invoke(models, ["export", "buildings", "--format", "tflite", "--out", out])
    assert found.exit_code == 2
    assert "none of onnx, openvino" in found.output


def test_an_engine_that_says_something_else_is_not_believed() -> None:
    card = card_for(TINY)
    network = restore_network(card, weights_for(TINY))
    other = OpenVinoNetwork(convert(restore_network(card, weights_for(TINY, seed=1)), card))
    same = OpenVinoNetwork(convert(network, card))
    assert largest_difference(network, same, card) <= 1e-4
    with pytest.raises(ModelError, match="other logits there than in torch"):
        largest_difference(network, other, card)


@pytest.mark.parametrize("network", [PADDED, VALID, TINY], ids=["padded", "valid", "tiny"])
def test_openvino_predicts_what_torch_predicts(network: Network) -> None:
    card, weights = card_for(network), weights_for(network)
    stride = network.stride
    pixels = noise(13 * stride + 64, 14 * stride)[:, : (13 * stride + 64) // stride * stride]
    valid = np.ones(pixels.shape[1:], bool)
    wanted = TorchPredictor(card, weights).predict(pixels, valid, FULL)
    compiled = OpenVinoNetwork(convert(restore_network(card, weights), card))
    fast = NetworkPredictor(card, compiled, engine=compiled.engine)
    np.testing.assert_allclose(fast.predict(pixels, valid, FULL), wanted, rtol=0, atol=1e-5)
    assert fast.engine.startswith("openvino ")
    assert "float32" in fast.engine


def test_a_model_of_volumes_predicts_no_pictures() -> None:
    network = describe_network("unet_3d", {"in_channels": 2, **SHELF["unet_3d"]}, limit=48)
    card = card_for(network)
    assert network.rf_radius is not None
    with pytest.raises(ModelError, match="sees volumes, not pictures"):
        TorchPredictor(card, weights_for(network))


def test_trial_sizes_are_sizes_that_the_network_takes() -> None:
    for network in (PADDED, VALID, TINY):
        module = restore_network(card_for(network), weights_for(network))
        for rows, cols in trial_sizes(card_for(network)):
            assert module(torch.zeros(1, 2, rows, cols)).numel()


@pytest.mark.slow
def test_a_made_scene_of_odd_size_is_mapped_alike(tmp_path: Path) -> None:
    colours = np.stack([blobs(seed, height=75, width=131) for seed in range(3)])
    scene = write_scene(tmp_path / "s.tif", colours)
    devices = ("torch", "openvino", "onnxruntime")
    for device in devices:
        run(scene, tmp_path / device, model="buildings", threshold=0.3, device=device)
    steps = [band(tmp_path / device / "s" / "probability.tif").astype(int) for device in devices]
    assert np.ptp(steps[0]) > 10
    masks = [band(tmp_path / device / "s" / "mask.tif") for device in devices]
    for other, mask in zip(steps[1:], masks[1:], strict=True):
        assert np.abs(steps[0] - other).max() <= 1
        assert (np.abs(steps[0][masks[0] != mask] - 75) <= 1).all()


def test_the_shelf_loads_either(tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    ref = ModelRef(
        name=str(path), sha256=save_checkpoint(path, weights_for(TINY), card_for(TINY)).sha256
    )
    assert load_predictor(ref, device="openvino").engine.startswith("openvino")
    assert load_predictor(ref, device="cpu").engine.startswith("torch")
