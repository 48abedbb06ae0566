"""What a CUDA device predicts and trains; skipped where there is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from pipeline.models.checkpoint import load_checkpoint
from pipeline.models.engines.torch_predictor import TorchPredictor
from pipeline.models.registry import find
from pipeline.training.fit import fit
from pipeline.training.step import state as states
from tests.models.small import FULL, MOBILE, card_for, weights_for
from tests.training.conftest import ground, small

__all__ = ["ground", "small"]  # fixtures

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is here")

SIZE = 512


def _pixels(bands: int, *, size: int = SIZE) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (bands, size // 8, size // 8), np.uint8)
    pixels = np.kron(coarse, np.ones((1, 8, 8), np.uint8))
    valid = np.ones((size, size), np.bool_)
    valid[:40, :60] = False
    return pixels, valid


def test_it_agrees_with_the_processor() -> None:
    card, weights = card_for(MOBILE), weights_for(MOBILE)
    here = TorchPredictor(card, weights)
    there = TorchPredictor(card, weights, device="cuda")
    pixels, valid = _pixels(2)
    one, other = (each.predict(pixels, valid, FULL) for each in (here, there))
    assert one.std() > 0.01
    assert np.abs(one - other).max() <= 1e-5
    assert torch.cuda.get_device_name() in there.engine


def test_the_shipped_model_agrees_with_the_processor() -> None:
    path = find("buildings")
    assert path is not None
    here = TorchPredictor(*load_checkpoint(path))
    there = TorchPredictor(*load_checkpoint(path), device="cuda")
    pixels, valid = _pixels(3)
    one, other = (each.predict(pixels, valid, FULL) for each in (here, there))
    assert np.abs(one - other).max() <= 1e-4


def test_tiles_that_do_not_fit_are_predicted_in_halves() -> None:
    card, weights = card_for(MOBILE), weights_for(MOBILE)
    predictor = TorchPredictor(card, weights, device="cuda")
    pixels, valid = _pixels(2, size=2048)
    torch.cuda.reset_peak_memory_stats()
    whole = predictor.predict(pixels, valid, FULL)
    used, there = torch.cuda.max_memory_allocated(), torch.cuda.mem_get_info()[1]
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.7 * used / there)
    try:
        parts = predictor.predict(pixels, valid, FULL)
        assert torch.cuda.max_memory_allocated() <= used
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert np.abs(whole - parts).max() <= 1e-5


@pytest.mark.parametrize("more", [{}, {"bfloat16": True}, {"workers": 2}])
def test_a_training_there_is_resumed_and_its_model_predicts_here(
    small: Path, tmp_path: Path, more: dict[str, Any]
) -> None:
    _change(small, device="cuda", **more)
    summary = fit(small, tmp_path / "whole")
    assert summary["steps"] == 6
    part = tmp_path / "part"
    part.mkdir()
    kept = states.checkpoints(tmp_path / "whole")[0]
    (part / kept.name).write_bytes(kept.read_bytes())
    assert fit(small, part, resume=True)["steps"] == 6
    whole, resumed = (
        load_file(folder / "model" / "model.safetensors") for folder in (tmp_path / "whole", part)
    )
    for name, value in whole.items():
        # A GPU adds up in no fixed order.
        torch.testing.assert_close(value.float(), resumed[name].float(), atol=5e-3, rtol=5e-3)
    card, tensors = load_checkpoint(part / "model" / "model.safetensors")
    pixels, valid = _pixels(3, size=64)
    said = TorchPredictor(card, tensors).predict(pixels, valid, FULL)
    assert np.isfinite(said).all()
    told = json.loads((tmp_path / "whole" / "history.jsonl").read_text().splitlines()[0])
    assert np.isfinite(told["loss"])


def _change(path: Path, **changes: Any) -> None:
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes))
