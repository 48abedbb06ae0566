"""Every engine on the CPU: tiles are one forward pass, and a run gives the same bytes twice."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.models.predictor import Stretch
from pipeline.models.registry import ModelRef, card_of, load_predictor
from tests.mapping.scenery import band, blobs, contents, run, write_scene

ENGINES = {"openvino": "openvino", "onnxruntime": "onnxruntime", "torch": "cpu"}
"""What is asked for, and what `load_predictor` calls it."""
HALO = 176
"""The receptive field of the shipped model, up to a multiple of its stride."""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pixels = np.stack([blobs(seed, height=432, width=496, size=24) for seed in range(3)])
    # Of 0.15 m, as the model prefers: the network's grid is the scene's.
    where = {"transform": (0.15, 0, 354_000, 0, -0.15, 3_057_500)}
    return write_scene(tmp_path_factory.mktemp("scene") / "s.tif", pixels, **where)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_tiles_are_one_forward_pass_and_runs_are_alike(
    tmp_path: Path, scene: Path, engine: str
) -> None:
    folders = []
    for name in ("one", "two"):
        run(scene, tmp_path / name, model="buildings", device=engine, tile=HALO * 2 + 96)
        folders.append(contents(tmp_path / name / "s"))
    assert folders[0] == folders[1]
    manifest = json.loads((tmp_path / "one" / "s" / "run.json").read_text())
    assert manifest["engine"].startswith(engine)
    assert manifest["grid"]["tiles"] > 15
    steps = band(tmp_path / "one" / "s" / "probability.tif").astype(np.float64)
    pixels = np.stack([blobs(seed, height=432, width=496, size=24) for seed in range(3)])
    pads = ((0, 0), (HALO, HALO), (HALO, HALO))
    padded = np.pad(pixels, pads, mode="symmetric")
    ref = ModelRef(name="buildings", sha256=card_of("buildings").sha256)
    predictor = load_predictor(ref, device=ENGINES[engine])
    valid = np.ones(padded.shape[1:], bool)
    whole = predictor.predict(padded, valid, Stretch(low=0, high=255))[0]
    exact = whole[HALO:-HALO, HALO:-HALO].astype(np.float64) * 250
    assert np.ptp(exact) > 25
    # A quantised step, and what 1e-5 may move over the middle between two.
    assert np.abs(steps - exact).max() <= 0.5 + 250e-5
