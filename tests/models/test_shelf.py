"""The shelf: models by name or file, the planned ones and no others."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from pipeline.errors import ConfigError, ModelError
from pipeline.models.checkpoint import save_checkpoint
from pipeline.models.engines.threshold import CARD
from pipeline.models.registry import ModelRef, card_of, chosen_device, find, load_predictor, shipped
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
    assert chosen_device("cpu") == "cpu"
    if torch.cuda.is_available():
        assert chosen_device("auto") == chosen_device("cuda") == "cuda"
        return
    assert chosen_device("auto") == "cpu"
    assert chosen_device("auto", large=True) == ("openvino" if find_spec("openvino") else "cpu")
    with pytest.raises(ConfigError, match="no CUDA device"):
        chosen_device("cuda")
