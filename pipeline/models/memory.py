"""Memory of a forward pass, counted tensor by tensor."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

WORKSPACE = 1.6
"""What is resident over what tensors hold: convolutions reorder their inputs into copies of
their own. Measured with 3D U-Nets of 8, 16 and 32 filters: 1.59, 1.53, 1.27 times."""


def bytes_per_pixel(network: nn.Module, pixels: Tensor) -> float:
    """Return the memory that a pixel or voxel takes while a network predicts.

    Args:
        network: On the CPU.
        pixels: (1, channels, ...), as it sees them.
    """
    network.eval()
    with torch.inference_mode(), _Counted() as counted:
        network(pixels)
    return float(WORKSPACE * counted.most / pixels[0, 0].numel())


class _Counted(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Bytes of the tensors that operations gave and that are still there."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0
        self._there: set[int] = set()

    def __torch_dispatch__(
        self,
        function: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        out = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                self._take(tensor.untyped_storage())
        return out

    def _take(self, storage: torch.UntypedStorage) -> None:
        # Views share a storage, and in-place operations give what was there already.
        key = storage._cdata
        if key in self._there:
            return
        self._there.add(key)
        self.now += storage.nbytes()
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._leave, key, storage.nbytes())

    def _leave(self, key: int, size: int) -> None:
        self._there.discard(key)
        self.now -= size
