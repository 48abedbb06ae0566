"""Encoders start from files and from torchgeo's weights, or say why not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pipeline.errors import ConfigError
from pipeline.models.networks import build
from pipeline.models.networks.pretrained import start_encoder
from tests.models.small import SHELF

NAME = "ResNet18_Weights.SENTINEL2_RGB_MOCO"
MOBILE = {"in_channels": 3, "classes": 1, **SHELF["smp_unet"]}
RESNET = {"encoder_name": "resnet18", "encoder_depth": 3, "decoder_channels": [8] * 3}


def test_an_encoder_starts_from_a_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = build("smp_unet", MOBILE).get_submodule("encoder").state_dict()
    save_file({**source, "classifier.1.weight": torch.zeros(3)}, tmp_path / "a.safetensors")
    network = build("smp_unet", MOBILE)
    start_encoder(network, str(tmp_path / "a.safetensors"))
    found = network.get_submodule("encoder").state_dict()
    assert all(torch.equal(found[name], value) for name, value in source.items())


def test_weights_of_another_encoder_are_refused(tmp_path: Path) -> None:
    encoder = build("ror3_unet", SHELF["ror3_unet"]).get_submodule("encoder").state_dict()
    save_file(encoder, tmp_path / "a.safetensors")
    with pytest.raises(ConfigError, match="not one of its weights"):
        start_encoder(build("smp_unet", MOBILE), str(tmp_path / "a.safetensors"))
    partial = build("smp_unet", MOBILE).get_submodule("encoder").state_dict()
    del partial["features.0.0.weight"]
    save_file(partial, tmp_path / "b.safetensors")
    with pytest.raises(ConfigError, match=r"another encoder.*features\.0\.0"):
        start_encoder(build("smp_unet", MOBILE), str(tmp_path / "b.safetensors"))


def test_what_is_no_file_and_no_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no weights to start an encoder from"):
        start_encoder(build("smp_unet", MOBILE), str(tmp_path / "none.safetensors"))
    (tmp_path / "cut.safetensors").write_bytes(b"12345678901234")
    with pytest.raises(ConfigError, match="no weights to start an encoder from"):
        start_encoder(build("smp_unet", MOBILE), str(tmp_path / "cut.safetensors"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torchgeo and what it brings along
def test_torchgeos_weights_are_taken_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torchgeo = pytest.importorskip("torchgeo.models")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")  # nobody listens: no network
    network = build("smp_unet", RESNET)
    with pytest.raises(ConfigError, match="cannot be fetched from https"):
        start_encoder(network, NAME)
    with pytest.raises(ConfigError, match="torchgeo has no such weights"):
        start_encoder(network, "ResNet18_Weights.NONESUCH")
    # As if it had been fetched before: the file lies where torch keeps them.
    state = build("smp_unet", RESNET).get_submodule("encoder").state_dict()
    url = torchgeo.get_weight(NAME).url
    cached = tmp_path / "hub" / "checkpoints" / url.rsplit("/", 1)[-1]
    cached.parent.mkdir(parents=True, exist_ok=True)
    torch.save({**state, "fc.weight": torch.zeros(2, 512)}, cached)
    start_encoder(network, NAME)
    found = network.get_submodule("encoder").state_dict()
    assert all(torch.equal(found[name], value) for name, value in state.items())
