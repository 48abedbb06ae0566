"""What the last bits of a prediction depend on besides library and threads is told apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.models.engines.processor import LIMITS, instruction_sets, noise_digest
from pipeline.models.registry import ModelRef, load_predictor
from tests.mapping.scenery import classic


@pytest.mark.parametrize("device", ["cpu", "openvino", "onnxruntime"])
@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_set_for_a_library_is_another_instruction_set(
    monkeypatch: pytest.MonkeyPatch, name: str, device: str
) -> None:
    for other in LIMITS:
        monkeypatch.delenv(other, raising=False)
    plain = instruction_sets(device)
    monkeypatch.setenv(name, "avx2")
    assert instruction_sets(device) == f"{plain}, {name}=AVX2"


def test_two_networks_differ_in_what_they_make_of_noise(tmp_path: Path) -> None:
    digests: list[str] = []
    for seed in (0, 0, 1):
        path = tmp_path / f"{len(digests)}.safetensors"
        card = classic(path, seed=seed)
        ref = ModelRef(name=str(path), sha256=card.sha256)
        digests.append(noise_digest(load_predictor(ref, device="cpu")))
    assert digests[0] == digests[1] != digests[2]
    assert len(digests[0]) == 16
