"""Networks without their weights: how large they would be, known before memory is taken."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

LARGEST_PARAMETERS = 2**29
"""Values of a network: 2 GiB in float32, of which a training holds five copies."""
FILLED = frozenset({
    torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn, torch.empty_strided
})  # fmt: skip
"""What makes tensors of a given size."""


class _WithoutMemory(TorchFunctionMode):
    """Puts tensors of a given size on the meta device.

    All others stay as they are: some encoders compute with small ones while they are built,
    which `torch.device("meta")` does not allow.
    """

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        named = kwargs or {}
        if function in FILLED and named.get("device") is None:
            named = {**named, "device": "meta"}
        return function(*args, **named)


def skeleton(make: Callable[..., nn.Module], arguments: Mapping[str, Any]) -> nn.Module:
    """Return a network whose weights have shapes and no values; no chance is drawn for it.

    Raises:
        ValueError: It would have more than `LARGEST_PARAMETERS` values.
    """
    with torch.random.fork_rng(devices=[]), _WithoutMemory():
        network = make(**arguments)
    values = sum(tensor.numel() for tensor in network.state_dict(keep_vars=True).values())
    if values > LARGEST_PARAMETERS:
        raise ValueError(
            f"it would have {values / 1e6:.0f} million weights, and the limit is "
            f"{LARGEST_PARAMETERS / 1e6:.0f} million; give a smaller width, depth or encoder"
        )
    return network
