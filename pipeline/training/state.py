"""What a training must remember to go on as if nothing had happened."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import ConfigError

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
        for name, value in network.state_dict().items():
            kept = self.state[name]
            if kept.is_floating_point():
                kept.lerp_(value, 1.0 - decay)
            else:
                kept.copy_(value)


def save(folder: Path, step: int, state: dict[str, Any]) -> None:
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


def load(folder: Path, *, digest: str) -> dict[str, Any]:
    """Return the newest checkpoint: tensors and plain values only.

    Raises:
        ConfigError: There is none, or it is of another training.
    """
    found = checkpoints(folder)
    if not found:
        raise ConfigError(f"{folder}: no checkpoint to resume from; start without --resume")
    state: dict[str, Any] = torch.load(found[-1], weights_only=True)
    if state["digest"] != digest:
        raise ConfigError(f"{found[-1]}: of another training; choose another --out")
    return state


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under a temporary name, then rename it."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    part.replace(path)


def plain(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return weights as safetensors wants them: contiguous, nothing shared."""
    return {name: value.detach().clone().contiguous() for name, value in state.items()}
