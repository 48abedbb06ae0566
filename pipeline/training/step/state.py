"""What a training must remember to go on as if nothing had happened."""

from __future__ import annotations

import logging
import os
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from pipeline.errors import ConfigError

log = logging.getLogger(__name__)

KEPT = 2
"""Checkpoints kept, the newest ones."""


class Average:
    """Weights averaged over the steps; they predict better than the last ones."""

    def __init__(self, network: nn.Module, *, decay: float) -> None:
        self.decay = decay
        self.state = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take the network's weights in; early steps are forgotten faster."""
        decay = min(self.decay, (1.0 + step) / (10.0 + step))
        new = network.state_dict()
        moving = [name for name, value in new.items() if value.is_floating_point()]
        # All at once: a GPU would wait for each.
        blend = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        blend([self.state[name] for name in moving], [new[name] for name in moving], step)
        for name in new.keys() - set(moving):
            self.state[name].copy_(new[name])

    def to(self, device: torch.device) -> None:
        """Move to where the network is."""
        self.state = {name: value.to(device) for name, value in self.state.items()}


def save_state(folder: Path, step: int, state: dict[str, Any]) -> None:
    """Write a checkpoint whole or not at all, and drop the oldest."""
    part = folder / "state.part"
    with part.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder / f"state-{step:07d}.pt")
    for old in checkpoints(folder)[:-KEPT]:
        old.unlink()


def checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints of a folder, the oldest first."""
    return sorted(folder.glob("state-*.pt"))


def load_state(folder: Path, *, digest: str) -> dict[str, Any]:
    """Return the newest checkpoint that can be read: tensors and plain values only.

    Raises:
        ConfigError: There is none, or it is of another training.
    """
    found = checkpoints(folder)
    if not found:
        raise ConfigError(f"{folder}: no checkpoint to resume from; start without --resume")
    state = _newest(found)
    if state.get("digest") != digest:
        raise ConfigError(f"{found[-1]}: of another training; choose another --out")
    return state


def _newest(found: list[Path]) -> dict[str, Any]:
    for path in reversed(found):
        try:
            state = torch.load(path, weights_only=True, map_location="cpu")
        except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
            log.warning("%s: damaged, taking the one before it: %s", path, error)
            continue
        if isinstance(state, dict):
            return state
    raise ConfigError(f"{found[-1]}: no checkpoint can be read; start without --resume")


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under a temporary name, then rename it."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    part.replace(path)


def contiguous(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return weights as safetensors wants them: contiguous, nothing shared."""
    return {name: value.detach().clone().contiguous() for name, value in state.items()}
