"""What networks may be built with: each argument's type and limits, checked without torch.

A card and a training's configuration come from anywhere. Nothing in them reaches a library
before it has been found in these tables: an argument that is not listed is refused, and so is
a value outside its limits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

LARGEST_CLASSES = 250
"""Classes of a mask: one byte, 0 is background and 255 no data."""
LARGEST_CHANNELS = 256
"""Bands that a network sees, or channels that it gives."""
LARGEST_FILTERS = 4096
LARGEST_WIDTH = 1024
LARGEST_DEPTH = 8
DEEPEST_VALID = 6
"""Poolings from which on valid convolutions leave nothing of tiles of 1024 px."""
LARGEST_SIZE = 4096
"""Side of the only pictures that a network takes, and of what small pictures are padded to."""
LONGEST_TEXT = 200
"""Characters of a value that a message repeats."""


@runtime_checkable
class Rule(Protocol):
    """What one argument may be."""

    def holds(self, value: object) -> bool:
        """Return whether a value is allowed."""
        ...

    def __str__(self) -> str:
        """Return what is expected, such as ``a whole number from 1 to 8``."""
        ...


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number; True and 4.0 are none."""

    low: int
    high: int

    def holds(self, value: object) -> bool:
        """Return whether it is one within the limits."""
        return type(value) is int and self.low <= value <= self.high

    def __str__(self) -> str:
        """Return the limits."""
        return f"a whole number from {self.low} to {self.high}"


@dataclass(frozen=True, slots=True)
class Real:
    """A finite number."""

    low: float
    high: float

    def holds(self, value: object) -> bool:
        """Return whether it is one within the limits."""
        return type(value) in (int, float) and self.low <= value <= self.high  # type: ignore[operator]

    def __str__(self) -> str:
        """Return the limits."""
        return f"a number from {self.low:g} to {self.high:g}"


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of some values: text, numbers, true and false, or null."""

    values: tuple[str | int | bool | None, ...]

    def holds(self, value: object) -> bool:
        """Return whether it is one of them, and of the same type."""
        return any(type(value) is type(known) and value == known for known in self.values)

    def __str__(self) -> str:
        """Return all of them."""
        return ", ".join("null" if one is None else str(one) for one in self.values)


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list."""

    each: Rule
    least: int
    most: int

    def holds(self, value: object) -> bool:
        """Return whether it is one of such values, and as long as it may be."""
        return (
            isinstance(value, list | tuple)
            and self.least <= len(value) <= self.most
            and all(self.each.holds(one) for one in value)
        )

    def __str__(self) -> str:
        """Return the limits."""
        return f"a list of {self.least} to {self.most}, each {self.each}"


@dataclass(frozen=True, slots=True)
class Fields:
    """Names and values, every name optional."""

    rules: Mapping[str, Rule]

    def holds(self, value: object) -> bool:
        """Return whether all names are known and all values allowed."""
        return isinstance(value, dict) and all(
            name in self.rules and self.rules[name].holds(inner) for name, inner in value.items()
        )

    def __str__(self) -> str:
        """Return the limits of each."""
        return ", ".join(f"{name}: {rule}" for name, rule in self.rules.items())


@dataclass(frozen=True, slots=True)
class Either:
    """One of several kinds."""

    rules: tuple[Rule, ...]

    def holds(self, value: object) -> bool:
        """Return whether one of the rules allows it."""
        return any(rule.holds(value) for rule in self.rules)

    def __str__(self) -> str:
        """Return what each of them expects."""
        return "; or ".join(str(rule) for rule in self.rules)


@dataclass(frozen=True, slots=True)
class EncoderName:
    """A plain name: letters, digits, ``_``, ``-``, and the dot before a tag of weights."""

    def holds(self, value: object) -> bool:
        """Return whether it could be registered: no source before a colon, no path."""
        return isinstance(value, str) and bool(
            re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,99}(\.[a-z0-9_]{1,60})?", value, re.ASCII)
        )

    def __str__(self) -> str:
        """Return what is expected."""
        return (
            "the name of an encoder that segmentation_models_pytorch registers, or tu- and a name "
            "that timm registers; a hub, a folder and a file are none"
        )


FLAG = OneOf((True, False))
FILTERS = Whole(1, LARGEST_FILTERS)
DROPOUT = Real(0, 0.99)
COMMON: dict[str, Rule] = {
    "in_channels": Whole(1, LARGEST_CHANNELS),
    "classes": Whole(1, LARGEST_CHANNELS),
}
KINDS: dict[str, Rule] = {
    "activation": OneOf(("relu", "leaky_relu", "elu", "silu", "gelu")),
    "normalisation": OneOf(("none", "batch", "instance", "group")),
    "output_activation": OneOf(("none", "sigmoid", "softmax", "tanh")),
    "deep_supervision": FLAG,
}
UPSAMPLED: dict[str, Rule] = {
    "upsampling": OneOf(("transposed", "nearest", "bilinear", "max_unpooling"))
}
POOLED: dict[str, Rule] = {"pooling": OneOf(("max", "average", "median", "strided"))}
SIZED: dict[str, Rule] = {"width": Whole(1, LARGEST_WIDTH), "depth": Whole(1, LARGEST_DEPTH)}
OWN = COMMON | KINDS | UPSAMPLED | POOLED | SIZED
ROR = COMMON | KINDS | UPSAMPLED | SIZED | {
    "blocks": Whole(1, 64), "widen": Whole(1, 32), "survival": Real(0, 1)
}  # fmt: skip

NORM = Either((
    FLAG,
    OneOf(("batchnorm", "identity", "layernorm", "instancenorm", "inplace")),
    Fields({
        "type": OneOf(("batchnorm", "identity", "layernorm", "instancenorm")),
        "eps": Real(1e-12, 1),
        "momentum": Real(0, 1),
        "affine": FLAG,
        "elementwise_affine": FLAG,
        "track_running_stats": FLAG,
    }),
))  # fmt: skip
USES_NORM: dict[str, Rule] = {"decoder_use_norm": NORM, "decoder_use_batchnorm": NORM}
CHANNELS: dict[str, Rule] = {"decoder_channels": ListOf(FILTERS, 1, LARGEST_DEPTH)}
WIDE: dict[str, Rule] = {"decoder_channels": FILTERS}
RESIZED: dict[str, Rule] = {
    "decoder_interpolation": OneOf(("nearest", "nearest-exact", "bilinear", "bicubic", "area"))
}
ATTENTION: dict[str, Rule] = {"decoder_attention_type": OneOf((None, "scse"))}
ENLARGED: dict[str, Rule] = {"upsampling": Either((OneOf((None,)), Whole(1, 32)))}
DILATED: dict[str, Rule] = {
    "encoder_output_stride": OneOf((8, 16)),
    "decoder_atrous_rates": ListOf(Whole(1, 96), 1, 3),
    "decoder_aspp_separable": FLAG,
    "decoder_aspp_dropout": DROPOUT,
}
ENCODED = COMMON | {
    "encoder_name": EncoderName(),
    "encoder_depth": Whole(1, LARGEST_DEPTH),
    # Weights come from the model's file, or from what a training names: none is fetched here.
    "encoder_weights": OneOf((None,)),
    "activation": OneOf((
        None, "identity", "sigmoid", "softmax", "softmax2d", "logsoftmax", "tanh", "argmax",
        "argmax2d", "clamp",
    )),
    # Of timm's encoders.
    "dynamic_img_size": FLAG,
    "img_size": Either((Whole(16, LARGEST_SIZE), ListOf(Whole(16, LARGEST_SIZE), 2, 2))),
    "drop_rate": DROPOUT,
    "drop_path_rate": DROPOUT,
}  # fmt: skip

RULES: dict[str, dict[str, Rule]] = {
    "unet": OWN | {"padding": OneOf(("padded", "valid"))},
    "dropout_unet": OWN,
    "residual_unet": OWN,
    "attention_unet": OWN,
    "multires_unet": OWN | {"alpha": Real(0.1, 16)},
    "unetr": COMMON | KINDS | {
        "width": SIZED["width"],
        "size": Whole(16, 2048),
        "transformer": Either((
            OneOf((None,)),
            Fields({
                "hidden": Whole(1, 8192),
                "heads": Whole(1, 256),
                "mlp": Whole(1, 32768),
                "number": Whole(4, 64),
            }),
        )),
    },
    "ror3_unet": ROR,
    "pre_ror3_unet": ROR,
    "ror3_wrn_unet": ROR,
    "unet_3d": OWN,
    "smp_unet": ENCODED | USES_NORM | CHANNELS | ATTENTION | RESIZED,
    "smp_unetplusplus": ENCODED | USES_NORM | CHANNELS | ATTENTION | RESIZED,
    "smp_manet": ENCODED | USES_NORM | CHANNELS | RESIZED | {
        "decoder_pab_channels": Whole(1, LARGEST_WIDTH)
    },
    "smp_linknet": ENCODED | USES_NORM,
    "smp_fpn": ENCODED | ENLARGED | RESIZED | {
        "decoder_pyramid_channels": FILTERS,
        "decoder_segmentation_channels": FILTERS,
        "decoder_merge_policy": OneOf(("add", "cat")),
        "decoder_dropout": DROPOUT,
    },
    "smp_pspnet": ENCODED | ENLARGED | {
        "decoder_use_norm": NORM,
        "psp_use_batchnorm": NORM,
        "psp_out_channels": FILTERS,
        "psp_dropout": DROPOUT,
    },
    "smp_pan": ENCODED | ENLARGED | WIDE | RESIZED | {"encoder_output_stride": OneOf((16, 32))},
    "smp_deeplabv3": ENCODED | ENLARGED | WIDE | DILATED,
    "smp_deeplabv3plus": ENCODED | ENLARGED | WIDE | DILATED,
    "smp_upernet": ENCODED | ENLARGED | WIDE | {"decoder_use_norm": NORM},
    "smp_segformer": ENCODED | ENLARGED | {"decoder_segmentation_channels": FILTERS},
    "smp_dpt": ENCODED | {
        "encoder_output_indices": Either((OneOf((None,)), ListOf(Whole(-64, 63), 1, 8))),
        "decoder_readout": OneOf(("ignore", "add", "cat")),
        "decoder_intermediate_channels": ListOf(FILTERS, 1, 8),
        "decoder_fusion_channels": FILTERS,
    },
}  # fmt: skip
"""Each network's arguments; the names are those of `pipeline.models.networks.NETWORKS`."""


VOLUMES = frozenset({"unet_3d"})
"""Networks that see volumes; all others see pictures."""


def dims_of(name: str) -> int:
    """Return 3 for a network of volumes, 2 for one of pictures."""
    return 3 if name in VOLUMES else 2


def argument_error(name: str, arguments: Mapping[str, Any]) -> str | None:
    """Return why no network of this name can be built with these arguments; None if it may be.

    Args:
        name: A network's name.
        arguments: What it is to be built with, plain values.
    """
    if name not in RULES:
        return f"no network is called {shortened(name)}; there are {', '.join(sorted(RULES))}"
    rules = RULES[name]
    for key, value in arguments.items():
        if key not in rules:
            why = (
                f"got an unexpected keyword argument {shortened(key)}; it takes {', '.join(rules)}"
            )
        elif rules[key].holds(value):
            continue
        elif isinstance(rules[key], OneOf):
            why = f"{key} {shortened(value)} is none of {rules[key]}"
        else:
            why = f"{key} is {shortened(value)}, and must be {rules[key]}"
        return f"network {name!r} cannot be built with {shortened(dict(arguments))}: {why}"
    if arguments.get("padding") == "valid" and arguments.get("depth", 4) > DEEPEST_VALID:
        return (
            f"network {name!r} cannot be built with "
            f"{shortened(dict(arguments))}: valid convolutions "
            f"take a depth of at most {DEEPEST_VALID}"
        )
    return None


def shortened(value: object, *, levels: int = 2) -> str:
    """Return a value as a message repeats it: at most `LONGEST_TEXT` characters, one line.

    Args:
        value: A plain value; long text, long and nested lists are cut before they are written.
        levels: Lists and fields within each other that are written out.
    """
    if isinstance(value, str):
        text = repr(value[:LONGEST_TEXT])
    elif isinstance(value, dict | list | tuple) and not levels:
        text = "..."
    elif isinstance(value, dict):
        some = list(value.items())[:32]
        parts = (f"{shortened(key)}: {shortened(inner, levels=levels - 1)}" for key, inner in some)
        text = "{" + ", ".join(parts) + "}"
    elif isinstance(value, list | tuple):
        text = "[" + ", ".join(shortened(one, levels=levels - 1) for one in value[:16]) + "]"
    elif isinstance(value, int) and abs(value) >= 10**30:
        text = "a whole number of more than 30 digits"
    else:
        text = repr(value)
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}..."


def least_bytes_per_pixel(arguments: Mapping[str, Any]) -> float:
    """Return what a pixel takes at least while a network predicts: its widest features' floats.

    Of the networks whose arguments give the filters at full resolution; 0 for others.
    """
    width = arguments.get("width")
    if type(width) is int:
        widen = arguments.get("widen", 1)
        return 4.0 * width * (widen if type(widen) is int else 1)
    channels = arguments.get("decoder_channels")
    if isinstance(channels, list | tuple) and channels and type(channels[-1]) is int:
        return 4.0 * float(channels[-1])
    return 0.0
