"""What is trained."""

from __future__ import annotations

from typing import Any

from pydantic import Field, JsonValue, model_validator

from pipeline.models.arguments import RULES, argument_error
from pipeline.models.card import LARGEST_STRIDE, CardSection, Text

MOBILENET: dict[str, JsonValue] = {
    "encoder_name": "mobilenet_v2",
    "encoder_depth": 4,
    "decoder_channels": [128, 64, 32, 16],
}
"""Depth 4 gives a reach of 165 px, depth 5 of 309."""


class NetworkConfig(CardSection):
    """A network by name; every other key is an argument of it.

    ::

        network: {name: unet, width: 32, depth: 4}
    """

    name: Text = "smp_unet"
    """Name in `pipeline.models.networks`."""
    arguments: dict[str, JsonValue] = Field(default_factory=dict)
    """What it is built with, apart from the channels that go in and come out."""
    encoder_weights: Text | None = None
    """Where the encoder starts: a safetensors file, or a name of torchgeo's weights."""
    start: Text | None = None
    """A model of the same network, by name or folder, whose weights all of it starts from."""
    stride: int | None = Field(default=None, ge=1, le=LARGEST_STRIDE)
    """Total down-sampling; from the arguments where they hold a depth."""

    @model_validator(mode="before")
    @classmethod
    def _rest_are_arguments(cls, found: Any) -> Any:
        if not isinstance(found, dict):
            return found
        own = {name: value for name, value in found.items() if name in cls.model_fields}
        rest = {name: value for name, value in found.items() if name not in cls.model_fields}
        arguments = {**own.get("arguments", {}), **rest}
        if own.get("name", "smp_unet") == "smp_unet":
            arguments = {**MOBILENET, **arguments}
        return {**own, "arguments": arguments}

    @model_validator(mode="after")
    def _parts_agree(self) -> NetworkConfig:
        if self.name not in RULES:
            raise ValueError(argument_error(self.name, {}))
        depth, decoder = (self.arguments.get(key) for key in ("encoder_depth", "decoder_channels"))
        if isinstance(decoder, list | tuple) and depth is not None and len(decoder) != depth:
            raise ValueError(
                f"decoder_channels has {len(decoder)} blocks, encoder_depth is {depth}"
            )
        # One that it does not take is refused when the network is built.
        fault = argument_error(self.name, self._known())
        if fault is not None:
            raise ValueError(fault)
        if self.start is not None and self.encoder_weights is not None:
            raise ValueError("a network starts from `start` or from `encoder_weights`, not both")
        return self

    @property
    def dims(self) -> int:
        """2 where it sees pictures, 3 where it sees volumes."""
        from pipeline.models.networks import NETWORKS

        return NETWORKS[self.name].dims

    @property
    def total_stride(self) -> int:
        """Total down-sampling: what sizes of crops and tiles are multiples of."""
        if self.stride is not None:
            return self.stride
        from pipeline.models.networks import stride_of

        return stride_of(self.name, self._known())

    def _known(self) -> dict[str, JsonValue]:
        return {key: value for key, value in self.arguments.items() if key in RULES[self.name]}
