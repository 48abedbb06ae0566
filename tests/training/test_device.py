"""Where a training computes, and how its pictures lie in memory there."""

from __future__ import annotations

import pytest
import torch

from pipeline.models.networks import build
from pipeline.training.config import TrainingConfig
from pipeline.training.step.device import OnDevice, layout_of, on_cuda, scoring
from tests.models.small import SHELF


@pytest.mark.parametrize(
    ("name", "arguments", "there"),
    [
        ("smp_unet", SHELF["smp_unet"], torch.contiguous_format),
        ("smp_unet", {"encoder_name": "resnet18"}, torch.channels_last),
        ("unet", {"width": 4, "depth": 2}, torch.channels_last),
    ],
)
def test_only_depthwise_convolutions_on_gpus_want_channels_first(
    name: str, arguments: dict[str, object], there: torch.memory_format
) -> None:
    network = build(name, {"in_channels": 3, "classes": 1, **arguments})
    assert layout_of(network, cuda=False) == torch.channels_last
    assert layout_of(network, cuda=True) == there


def test_volumes_have_channels_first_everywhere() -> None:
    network = build("unet_3d", {"in_channels": 1, "classes": 1, "width": 2, "depth": 2})
    assert layout_of(network, cuda=False) == layout_of(network, cuda=True)
    assert layout_of(network, cuda=False) == torch.contiguous_format


def test_a_network_elsewhere_says_the_same() -> None:
    network = build("unet", {"in_channels": 3, "classes": 1, "width": 4, "depth": 2}).eval()
    seen = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(OnDevice(network, torch.device("cpu"))(seen), network(seen))


def test_scores_are_found_where_the_steps_were_taken() -> None:
    config = TrainingConfig.model_validate(
        {
            "places": [{"name": "a", "scenes": ["a.tif"], "labels": "a.geojson"}],
            "schedule": {"steps": 1, "warmup": 0, "decay": 0},
            "device": "cpu",
        }
    )
    network = build("unet", {"in_channels": 3, "classes": 1, "width": 4, "depth": 2})
    assert not on_cuda(config)
    assert scoring(network, config) is network
    asked = config.model_copy(update={"device": "auto"})
    assert on_cuda(asked) == torch.cuda.is_available()
    assert isinstance(scoring(network, asked), OnDevice) == torch.cuda.is_available()
