"""Small networks with weights worth testing, and the cards that go with them."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from pipeline.models.card import Class, Inputs, ModelCard, Network, Outputs, Terms
from pipeline.models.networks import build
from pipeline.models.predictor import Stretch

FULL = Stretch(low=0, high=255)

PADDED = Network(
    architecture="unet",
    arguments={"in_channels": 2, "classes": 1, "width": 4, "depth": 4},
    stride=16,
    rf_radius=94,
)
VALID = PADDED.model_copy(update={"arguments": {**PADDED.arguments, "padding": "valid"}})
MOBILE = Network(
    architecture="smp_unet",
    arguments={
        "encoder_name": "mobilenet_v2",
        "encoder_depth": 4,
        "decoder_channels": [16, 8, 8, 8],
        "in_channels": 2,
        "classes": 1,
    },
    stride=16,
    rf_radius=165,
)
TINY = Network(
    architecture="unet",
    arguments={"in_channels": 2, "classes": 1, "width": 2, "depth": 1},
    stride=2,
    rf_radius=10,
)


def card_for(
    network: Network,
    *,
    classes: int = 1,
    activation: Literal["sigmoid", "softmax", "none"] = "sigmoid",
    separating: tuple[Literal["interior", "boundary", "distance"], ...] = (),
) -> ModelCard:
    """Return a card around a network of two bands."""
    return ModelCard(
        name="small",
        network=network,
        inputs=Inputs(bands=("red", "green"), mean=(0.4, 0.5), std=(0.2, 0.25)),
        outputs=Outputs(
            classes=tuple(Class(name=f"c{at}", colour="#112233") for at in range(classes)),
            activation=activation,
            separating=separating,
        ),
        context="blend" if network.rf_radius is None else "exact",
        terms=Terms(license="Apache-2.0"),
    )


def weights_for(network: Network, *, seed: int = 0) -> dict[str, torch.Tensor]:
    """Return weights whose answer varies: batch normalisation as if it had seen data."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = build(network.architecture, network.arguments)
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                nn.init.uniform_(part.running_mean, -0.3, 0.3)  # type: ignore[arg-type]  # there
                nn.init.uniform_(part.running_var, 0.5, 1.5)  # type: ignore[arg-type]  # there
                nn.init.uniform_(part.weight, 0.7, 1.3)
                nn.init.uniform_(part.bias, -0.2, 0.2)
    return module.state_dict()


def noise(height: int, width: int, *, seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return two bands of bytes."""
    return np.random.default_rng(seed).integers(0, 256, (2, height, width), np.uint8)


SHELF: dict[str, dict[str, Any]] = {
    "unet": {"width": 8, "depth": 2},
    "dropout_unet": {"width": 8, "depth": 2},
    "residual_unet": {"width": 8, "depth": 2},
    "attention_unet": {"width": 8, "depth": 2},
    "multires_unet": {"width": 12, "depth": 2},
    "unetr": {
        "width": 8,
        "size": 64,
        "transformer": {"hidden": 32, "heads": 4, "mlp": 32, "number": 4},
    },
    "ror3_unet": {"width": 8, "depth": 2, "blocks": 2},
    "pre_ror3_unet": {"width": 8, "depth": 2, "blocks": 2},
    "ror3_wrn_unet": {"width": 4, "depth": 2, "blocks": 2, "widen": 2},
    "unet_3d": {"width": 8, "depth": 2},
    "smp_unet": {"encoder_name": "mobilenet_v2", "encoder_depth": 3, "decoder_channels": [16] * 3},
    "smp_unetplusplus": {
        "encoder_name": "resnet18",
        "encoder_depth": 3,
        "decoder_channels": [16] * 3,
    },
    "smp_manet": {"encoder_name": "resnet18", "encoder_depth": 3, "decoder_channels": [16] * 3},
    "smp_linknet": {"encoder_name": "vgg11_bn", "encoder_depth": 3},
    "smp_fpn": {"encoder_name": "mobilenet_v2", "encoder_depth": 5},
    "smp_pspnet": {"encoder_name": "resnet18", "encoder_depth": 3},
    "smp_pan": {"encoder_name": "resnet18"},
    "smp_deeplabv3": {"encoder_name": "mobilenet_v2", "decoder_channels": 16},
    "smp_deeplabv3plus": {"encoder_name": "mobilenet_v2", "decoder_channels": 16},
    "smp_upernet": {"encoder_name": "mobilenet_v2", "decoder_channels": 16},
    "smp_segformer": {"encoder_name": "mit_b0", "decoder_segmentation_channels": 16},
    "smp_dpt": {
        "encoder_name": "tu-vit_tiny_patch16_224",
        "encoder_depth": 4,
        "dynamic_img_size": True,
    },
}
"""Every network on the shelf, small enough to be tried in seconds."""
