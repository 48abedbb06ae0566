"""The shelf: models by name or file, the planned ones and no others."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.errors import ConfigError, ModelError
from pipeline.models.checkpoint import save_checkpoint
from pipeline.models.engines.threshold import CARD
from pipeline.models.registry import (
    SHIPPED,
    ModelRef,
    card_of,
    engines_for,
    find,
    load_predictor,
    shipped,
)
from tests.models.small import TINY, card_for, weights_for


def test_every_shipped_model_has_a_card_of_its_own_name() -> None:
    for name in shipped():
        assert card_of(name).name == name


def test_a_file_is_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = save_checkpoint(tmp_path / "mine.safetensors", weights_for(TINY), card_for(TINY))
    monkeypatch.chdir(tmp_path)
    assert find("mine.safetensors") == tmp_path / "mine.safetensors"
    assert card_of("mine.safetensors") == saved


@pytest.mark.parametrize("name", ["", ".", "..", "nonesuch", "no/such/file.safetensors"])
def test_what_is_no_model_is_refused_with_the_names_of_those_there_are(name: str) -> None:
    with pytest.raises(ConfigError, match=f"no model is called {name!r}.*threshold"):
        find(name)


def test_a_model_is_loaded_once_a_process(tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    ref = ModelRef(
        name=str(path), sha256=save_checkpoint(path, weights_for(TINY), card_for(TINY)).sha256
    )
    assert load_predictor(ref, device="cpu") is load_predictor(ref, device="cpu")


def test_another_model_than_the_planned_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    ref = ModelRef(
        name=str(path), sha256=save_checkpoint(path, weights_for(TINY), card_for(TINY)).sha256
    )
    save_checkpoint(path, weights_for(TINY, seed=1), card_for(TINY))
    with pytest.raises(ModelError, match=f"planned {ref.sha256[:12]}"):
        load_predictor(ref, device="cpu")


def test_the_threshold_model_needs_no_file() -> None:
    assert find("threshold") is None
    assert card_of("threshold") is CARD
    predictor = load_predictor(ModelRef(name="threshold", sha256=CARD.sha256), device="cpu")
    assert predictor.card is CARD


def test_cuda_where_there_is_none_is_refused() -> None:
    card = card_of("buildings")
    if torch.cuda.is_available():
        for device in ("auto", "cuda"):
            assert engines_for("buildings", card, device) == ["cuda"]
        return
    with pytest.raises(ConfigError, match="no CUDA device"):
        engines_for("buildings", card, "cuda")


@pytest.mark.parametrize(
    ("device", "large", "expected"),
    [
        ("cpu", False, ["openvino"]),
        ("openvino", False, ["openvino"]),
        ("onnxruntime", False, ["onnxruntime"]),
        ("torch", True, ["cpu"]),
    ],
)
def test_a_model_with_a_graph_runs_on_the_engine_that_is_asked_for(
    device: Any, large: bool, expected: list[str]
) -> None:
    assert engines_for("buildings", card_of("buildings"), device, large=large) == expected


@pytest.mark.parametrize(
    ("device", "large", "expected"),
    [
        ("cpu", False, ["cpu"]),
        ("cpu", True, ["cpu"]),
        ("openvino", False, ["openvino"]),
        ("torch", True, ["cpu"]),
    ],
)
def test_a_checkpoint_alone_runs_with_torch_or_is_converted(
    tmp_path: Path, device: Any, large: bool, expected: list[str]
) -> None:
    path = tmp_path / "mine.safetensors"
    card = save_checkpoint(path, weights_for(TINY), card_for(TINY))
    assert engines_for(str(path), card, device, large=large) == expected
    if not torch.cuda.is_available():
        assert engines_for(str(path), card, "auto", large=True) == ["openvino", "cpu"]
    with pytest.raises(ConfigError, match="is no ONNX file; write one with `overtile models exp"):
        engines_for(str(path), card, "onnxruntime")


def test_a_folder_of_another_graph_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    shutil.copytree(SHIPPED / "buildings", folder)
    assert card_of(str(folder)) == card_of("buildings")
    (folder / "card.json").unlink()
    save_checkpoint(folder / "model.safetensors", weights_for(TINY), card_for(TINY))
    with pytest.raises(ModelError, match=r"model\.onnx: its card is not that of"):
        card_of(str(folder))
