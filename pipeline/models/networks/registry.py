"""Registry of networks, and construction from their arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from typing import Any

from torch import nn

from pipeline.models.networks.kit import Kit

KINDS = frozenset({"activation", "normalisation", "output_activation", "deep_supervision"})
"""Fields of a kit that can be chosen for every network of this package."""
POOLED = KINDS | {"pooling", "upsampling"}
DECODERS = {
    "smp_unet": "Unet",
    "smp_unetplusplus": "UnetPlusPlus",
    "smp_manet": "MAnet",
    "smp_linknet": "Linknet",
    "smp_fpn": "FPN",
    "smp_pspnet": "PSPNet",
    "smp_pan": "PAN",
    "smp_deeplabv3": "DeepLabV3",
    "smp_deeplabv3plus": "DeepLabV3Plus",
    "smp_upernet": "UPerNet",
    "smp_segformer": "Segformer",
    "smp_dpt": "DPT",
}
"""Decoders of segmentation_models_pytorch, each with any of its encoders."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A network on the shelf."""

    make: Callable[..., nn.Module]
    """Builds it from its arguments."""
    depth: str = "depth"
    """Argument that gives the depth: how often the size is halved."""
    halved: int = 4
    """How often, where the argument is not given."""
    dims: int = 2
    """2 for pictures, 3 for volumes."""
    size: int | None = None
    """Side of the only pictures it takes, unless its argument ``size`` is another."""
    patch: int | None = None
    """Down-sampling of a network that cuts patches, whatever its depth."""

    def stride(self, arguments: Mapping[str, Any]) -> int:
        """Return the total down-sampling that the arguments give."""
        if self.patch is not None:
            return self.patch
        return int(2 ** int(arguments.get(self.depth, self.halved)))


def _own(place: str, kit: Kit, *, choices: frozenset[str] = POOLED, **fixed: Any) -> Any:
    """Return what builds one of our networks: ``module:function`` of this package."""

    def make(**arguments: Any) -> nn.Module:
        module, _, name = place.partition(":")
        chosen = {key: arguments[key] for key in arguments.keys() & choices}
        rest = {key: value for key, value in arguments.items() if key not in choices}
        function = getattr(import_module(f"pipeline.models.networks.{module}"), name)
        network: nn.Module = function(replace(kit, **chosen), **fixed, **rest)
        return network

    return make


MOBILE = {
    "in_channels": 3,
    "classes": 1,
    "encoder_depth": 5,
    "decoder_channels": (256, 128, 64, 32, 16),
    "encoder_weights": None,
    "activation": None,
}
"""Arguments of this package's MobileNetV2 U-Net, and their defaults."""


def _smp_unet(**arguments: Any) -> nn.Module:
    """Return our equal of smp's U-Net where there is one, which spares its imports."""
    text = {**MOBILE, **arguments}
    if (
        text.pop("encoder_name", None) != "mobilenet_v2"
        or text.keys() != MOBILE.keys()
        or text["activation"] is not None
        or text["encoder_depth"] not in (1, 2, 3, 4, 5)
        or len(text["decoder_channels"]) != text["encoder_depth"]
    ):
        return _smp("Unet", **arguments)
    from pipeline.models.networks.mobile import MobileUNet

    return MobileUNet(text["in_channels"], text["classes"], text["decoder_channels"])


def _smp(decoder: str, **arguments: Any) -> nn.Module:
    import segmentation_models_pytorch as smp

    # Weights come from the checkpoint: nothing is fetched from anywhere.
    network: nn.Module = getattr(smp, decoder)(**{**arguments, "encoder_weights": None})
    return network


PLAIN = Kit()
NORMED = Kit(normalisation="batch")
STRIDED = KINDS | {"upsampling"}

NETWORKS: dict[str, Entry] = {
    "unet": Entry(make=_own("classic:classic_unet", PLAIN)),
    "dropout_unet": Entry(make=_own("dropout:dropout_unet", Kit(activation="elu"))),
    "residual_unet": Entry(
        make=_own(
            "residual:residual_unet",
            Kit(normalisation="batch", pooling="strided", upsampling="nearest"),
        ),
        halved=3,
    ),
    "attention_unet": Entry(make=_own("attention:attention_unet", NORMED)),
    "multires_unet": Entry(make=_own("multires:multires_unet", NORMED)),
    "unetr": Entry(
        make=_own(
            "unetr:unetr",
            Kit(activation="leaky_relu", normalisation="instance"),
            choices=KINDS,
        ),
        depth="",
        size=256,
    ),
    **{
        f"{kind}_unet": Entry(
            make=_own("ror:ror_unet", NORMED, choices=STRIDED, kind=kind), halved=3
        )
        for kind in ("ror3", "pre_ror3", "ror3_wrn")
    },
    "unet_3d": Entry(
        make=_own("volume:unet_3d", Kit(normalisation="batch", dims=3)), halved=3, dims=3
    ),
    **{
        name: Entry(
            make=_smp_unet if name == "smp_unet" else partial(_smp, decoder),
            depth="encoder_depth",
            halved=3 if name == "smp_pspnet" else 5,
            # Patches of 16 px, and their features halved once more.
            patch=32 if name == "smp_dpt" else None,
        )
        for name, decoder in DECODERS.items()
    },
}
