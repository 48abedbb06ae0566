"""Limits of what networks are built with: nothing outside them reaches a library."""

from __future__ import annotations

import inspect
import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigError, ModelError
from pipeline.models.arguments import (
    ENCODED,
    LARGEST_CHANNELS,
    RULES,
    argument_error,
    dims_of,
    shortened,
)
from pipeline.models.checkpoint import read_card, save_checkpoint
from pipeline.models.networks import NETWORKS, build, empty
from pipeline.models.networks.encoders import registered
from pipeline.models.networks.registry import DECODERS
from pipeline.models.networks.skeleton import LARGEST_PARAMETERS
from pipeline.models.registry import ModelRef, load_predictor
from pipeline.training.config import read_config
from tests.audit import watched
from tests.models.small import SHELF, TINY, card_for, weights_for
from tests.strategies import examples

ALIASES = {"decoder_use_batchnorm", "psp_use_batchnorm"}
"""Older names that segmentation_models_pytorch still takes."""
SCHEDULE = {"steps": 10, "warmup": 0, "decay": 0}


def test_every_network_has_limits() -> None:
    assert sorted(RULES) == sorted(NETWORKS)
    assert {name: dims_of(name) for name in RULES} == {
        name: entry.dims for name, entry in NETWORKS.items()
    }


@pytest.mark.parametrize("name", sorted(DECODERS))
def test_only_what_a_decoder_names_itself_is_taken(name: str) -> None:
    import segmentation_models_pytorch as smp

    there = set(inspect.signature(getattr(smp, DECODERS[name])).parameters)
    of_encoders = {"dynamic_img_size", "img_size", "drop_rate", "drop_path_rate"}
    assert RULES[name].keys() - there <= ALIASES | of_encoders
    assert there - RULES[name].keys() == {"aux_params", "kwargs"}
    assert "encoder_name" in ENCODED


@pytest.mark.parametrize("name", sorted(SHELF))
def test_the_networks_in_use_are_within_them(name: str) -> None:
    assert (
        argument_error(name, {"in_channels": 3, "classes": LARGEST_CHANNELS, **SHELF[name]}) is None
    )


EXTREMES: tuple[Any, ...] = (
    -(10**30), -4, -1, 0, 1, 2, 3, 7, 8, 60, 1024, 4096, 20_000, 65_536, 10**9, 2**63, 10**400,
    -1.5, 0.0, 0.5, 4.0, 1e9, 1e308, float("nan"), float("inf"), True, False, None, "", "4", "max",
    "none", "scse", "batchnorm", "é", "x" * 10_000, [], [0], [-1, 2], [4096] * 5, [65_536] * 5,
    [[[1]]], [None], {}, {"hidden": 8192, "heads": 8, "mlp": 32_768, "number": 64},
    {"type": "batchnorm"}, {"type": "batchnorm", "eps": -1}, {"hidden": "x"},
)  # fmt: skip
"""Values far outside the limits, at them, and of other types."""


@st.composite
def _extreme(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    name = draw(st.sampled_from(sorted(RULES)))
    keys = st.sampled_from([*(key for key in RULES[name] if key != "encoder_name"), "more"])
    some = draw(st.dictionaries(keys, st.sampled_from(EXTREMES), min_size=1, max_size=4))
    return name, {**SHELF[name], **some}


# Names of earlier versions of segmentation_models_pytorch, which cards may hold, still build.
@pytest.mark.filterwarnings("ignore:The usage of .*use_batchnorm is deprecated:DeprecationWarning")
@settings(max_examples=examples(150), suppress_health_check=[HealthCheck.too_slow])
@given(asked=_extreme())
@example(asked=("smp_linknet", {**SHELF["smp_linknet"], "decoder_use_batchnorm": True}))
@example(asked=("smp_pspnet", {**SHELF["smp_pspnet"], "psp_use_batchnorm": True}))
@example(asked=("unet", {"width": 1024, "depth": 8}))
@example(asked=("unet_3d", {"width": 1024, "depth": 8}))
@example(asked=("smp_unet", {**SHELF["smp_unet"], "decoder_channels": [4096] * 3}))
@example(asked=("unetr", {"width": 1024, "size": 2048}))
@example(asked=("ror3_wrn_unet", {"width": 1024, "widen": 32, "blocks": 64}))
@example(asked=("multires_unet", {"width": 1}))
def test_a_network_is_refused_in_a_line_or_has_a_size_that_is_allowed(
    asked: tuple[str, dict[str, Any]],
) -> None:
    name, arguments = asked
    began = time.process_time()
    said, values = "", 0
    try:
        values = sum(tensor.numel() for tensor in empty(name, arguments).parameters())
    except ModelError as error:
        said = str(error)
    assert 0 < values <= LARGEST_PARAMETERS or 0 < len(said) < 2000
    assert "\n" not in said
    assert time.process_time() - began < 20


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("unet", {"width": 20_000}, "width is 20000, and must be a whole number from 1 to 1024"),
        ("unet", {"width": -4}, "width is -4"),
        ("unet", {"width": 8.0}, "width is 8.0"),
        ("unet", {"width": True}, "width is True"),
        ("unet", {"depth": 60}, "depth is 60, and must be a whole number from 1 to 8"),
        ("unet", {"classes": 10**9}, "classes is 1000000000"),
        ("unet", {"padding": "valid", "depth": 7}, "valid convolutions take a depth of at most 6"),
        ("unet", {"width": 1024, "depth": 8}, "million weights, and the limit is 537 million"),
        ("unet_3d", {"width": 1024}, "million weights"),
        ("unet_3d", {"depth": 30}, "depth is 30"),
        ("attention_unet", {"in_channels": 10**12}, "in_channels is 1000000000000"),
        ("unetr", {"size": 10**9}, "size is 1000000000"),
        ("unetr", {"transformer": {"number": 10**6}}, "transformer is"),
        ("ror3_unet", {"blocks": 10**7}, "blocks is 10000000"),
        ("multires_unet", {"alpha": float("nan")}, "alpha is nan"),
        ("smp_unet", {"decoder_channels": [65_536] * 5}, "decoder_channels is"),
        ("smp_unet", {"decoder_channels": [4096] * 5}, "million weights"),
        ("smp_unet", {"aux_params": {"classes": 3}}, "unexpected keyword argument 'aux_params'"),
        ("smp_fpn", {"upsampling": 10**6}, "upsampling is"),
        ("smp_pspnet", {"psp_out_channels": -1}, "psp_out_channels is -1"),
        ("smp_deeplabv3", {"decoder_atrous_rates": [10**9] * 3}, "decoder_atrous_rates is"),
    ],
)
def test_what_is_out_of_bounds_is_named_with_its_limit(
    name: str, arguments: dict[str, Any], message: str
) -> None:
    began = time.process_time()
    with pytest.raises(ModelError, match=message):
        build(name, arguments)
    assert time.process_time() - began < 10


def test_a_value_is_repeated_in_a_few_characters() -> None:
    nested: Any = []
    for _ in range(400):
        nested = [nested, nested]
    for value in ("x" * 10**6, list(range(10**6)), 10**5000, nested, {"a": {"b": {"c": nested}}}):
        assert len(shortened(value)) < 250


# ---- nothing calls out


def _reaching(folder: Path) -> list[dict[str, Any]]:
    """Return arguments of which some library would make a request or a read."""
    plain = [
        "hf-hub:evil/repo", "hf_hub:evil/repo", "HF-HUB:evil/repo", "Hf_Hub:evil/repo",
        "hf-hub:evil/repo@main", " hf-hub:evil/repo", "hf-hub :evil/repo", "hf-hub\uff1aevil/repo",
        "hf\u2010hub:evil/repo", f"local-dir:{folder}", f"LOCAL-DIR:{folder}",
        f"local_dir:{folder}", f"local-dir:{folder}/../{folder.name}", str(folder), "../evil",
        "evil/repo", "https://evil.example/x", "file:///etc", "s3://evil/x", "\\\\evil\\share",
        "resnet18\n", " resnet18", "resnet18 ", "RESNET18", "resnet\u0131\u0038", "r\u0435snet18",
        "resnet18.evil", "resnet18.a1_in1k.x", "", ".", "..", "resnet18\0", "nonesuch",
    ]  # fmt: skip
    names = [
        *plain, *(f"tu-{name}" for name in plain), *(f"tu-tu-{name}" for name in plain[:4]),
        *(f"timm-regnet{name}" for name in plain[:4]), "timm-res2hf-hub:evil/repo",
        "smp-hub:evil/repo", "TU-hf-hub:evil/repo", "tu_hf-hub:evil/repo",
    ]  # fmt: skip
    own = {"encoder_name": "tu-resnet18"}
    extra: list[dict[str, Any]] = [
        {"encoder_weights": "imagenet"}, {"encoder_weights": True}, {"encoder_weights": "x"},
        {"pretrained": True}, {"checkpoint_path": str(folder / "config.json")},
        {"pretrained_cfg": {"hf_hub_id": "evil/repo"}}, {"pretrained_cfg": "a1_in1k"},
        {"pretrained_cfg_overlay": {"file": str(folder / "model.safetensors")}},
        {"pretrained_cfg_overlay": {"url": "https://evil.example/x"}},
        {"cache_dir": str(folder)}, {"features_only": False}, {"scriptable": True},
        {"encoder_params": {"pretrained": True}}, {"aux_params": {"classes": 1}},
        {"pretrained_model_name_or_path": str(folder)}, {"config": str(folder)},
        {"block": "x"}, {"norm_layer": "os.system"}, {"act_layer": "x"}, {"out_indices": [1]},
    ]  # fmt: skip
    return [*({"encoder_name": name} for name in names), *(own | more for more in extra)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder as timm takes one: a network by its ``config.json``."""
    place = tmp_path / "planted"
    place.mkdir()
    (place / "config.json").write_text(json.dumps({"architecture": "resnet18"}))
    torch.save({}, place / "pytorch_model.bin")
    return place


def _with_card(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Write a checkpoint whose card nobody checked."""
    save_checkpoint(path, weights_for(TINY), card_for(TINY))
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    card = json.loads(header["__metadata__"]["overtile"])
    change(card)
    header["__metadata__"]["overtile"] = json.dumps(card)
    told = json.dumps(header).encode()
    path.write_bytes(len(told).to_bytes(8, "little") + told + content[8 + size :])
    return path


def test_no_name_and_no_argument_reaches_a_host_or_a_folder(folder: Path, tmp_path: Path) -> None:
    registered()  # the libraries are imported before anything is watched
    path, training = tmp_path / "model.safetensors", tmp_path / "t.yaml"
    place = {"name": "a", "scenes": ["a.tif"], "labels": "a.geojson"}
    with watched(folder) as asked:
        for number, arguments in enumerate(_reaching(folder)):
            name = sorted(DECODERS)[number % len(DECODERS)]

            def change(card: dict[str, Any], name: str = name, told: Any = arguments) -> None:
                card["network"] |= {"architecture": name, "arguments": told}

            with pytest.raises(ModelError, match="cannot be built with"):
                build(name, arguments)
            _with_card(path, change)
            with pytest.raises(ModelError, match=r"model\.safetensors: "):
                load_predictor(
                    ModelRef(name=str(path), sha256=read_card(path).sha256), device="cpu"
                )
            network = {"name": name, "arguments": arguments}
            training.write_text(
                yaml.safe_dump({"places": [place], "network": network, "schedule": SCHEDULE})
            )
            with pytest.raises(ConfigError, match=r"network"):
                _trained(training)
    assert asked.hosts == []
    assert asked.files == []


def _trained(path: Path) -> None:
    from pipeline.training.step.network import build_network as start

    start(read_config(path))


@pytest.mark.parametrize("encoder", ["resnet18", "tu-resnet18", "tu-resnet18.a1_in1k"])
def test_registered_encoders_are_built_without_a_request(folder: Path, encoder: str) -> None:
    arguments = {"encoder_name": encoder, "encoder_depth": 3, "decoder_channels": [8] * 3}
    registered()
    with watched(folder) as asked:
        network = build("smp_unet", arguments).eval()
        with torch.inference_mode():
            assert network(torch.zeros(1, 3, 32, 32)).shape == (1, 1, 32, 32)
    assert asked.hosts == []


def test_the_watch_sees_what_is_asked_for(folder: Path) -> None:
    import timm

    with watched(folder) as asked:
        timm.create_model(f"local-dir:{folder}")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("evil.example", 80))
    assert asked.files
    assert asked.hosts
