"""Our MobileNetV2 U-Net is the library's, without its imports."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from pipeline.models.networks.mobile import MobileUNet
from pipeline.models.networks.registry import _smp, _smp_unet


@pytest.mark.parametrize(
    ("depth", "bands", "classes"), [(1, 3, 1), (2, 4, 2), (3, 3, 1), (4, 1, 3), (5, 3, 2)]
)
def test_it_has_the_librarys_weights_and_gives_its_logits(
    depth: int, bands: int, classes: int
) -> None:
    arguments = {
        "encoder_name": "mobilenet_v2",
        "encoder_depth": depth,
        "decoder_channels": [32, 24, 16, 8, 8][:depth],
        "in_channels": bands,
        "classes": classes,
    }
    torch.manual_seed(depth)
    theirs, ours = _smp("Unet", **arguments).eval(), _smp_unet(**arguments).eval()
    assert isinstance(ours, MobileUNet)
    state = theirs.state_dict()
    for name, value in state.items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 1.5)
    assert list(ours.state_dict()) == list(state)
    for name, value in ours.state_dict().items():
        if value.ndim == 4 and value.numel() > 500:
            # Drawn from the same distribution to begin with.
            assert 0.6 < float(value.std() / state[name].std()) < 1.6, name
    ours.load_state_dict(state)
    pixels = torch.randn(2, bands, 64, 96)
    with torch.inference_mode():
        assert torch.equal(ours(pixels), theirs(pixels))


@pytest.mark.parametrize(
    "more", [{"decoder_attention_type": "scse"}, {"activation": "sigmoid"}, {"encoder_depth": 3}]
)
def test_what_it_cannot_do_is_left_to_the_library(more: dict[str, object]) -> None:
    arguments = {"encoder_name": "mobilenet_v2", "encoder_depth": 2, "decoder_channels": [16, 16]}
    try:
        network = _smp_unet(**{**arguments, **more})
    except ValueError as error:
        assert "Model depth is 3" in str(error)  # noqa: PT017 - one of three ends so
        return
    assert not isinstance(network, MobileUNet)


def test_loading_the_shipped_model_imports_none_of_it() -> None:
    code = (
        "import sys; from pipeline.models.registry import *; "
        "load_predictor(ModelRef(name='buildings', sha256=card_of('buildings').sha256), "
        "device='cpu'); "
        "print([name for name in ('torchvision', 'timm', 'segmentation_models_pytorch') "
        "if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
