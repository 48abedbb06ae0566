"""Where a training computes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pipeline.training.config import TrainingConfig


def on_cuda(config: TrainingConfig) -> bool:
    """Return whether GPUs compute, not processors."""
    return config.device != "cpu" and torch.cuda.is_available()


def layout_of(network: nn.Module, *, cuda: bool) -> torch.memory_format:
    """Return how pictures lie in memory for a network's steps: channels last, or first.

    Channels last is the faster one, but on GPUs for depthwise convolutions: 38 steps of a
    MobileNetV2 U-Net did not end within 40 s on an H100 in it, and take 39 ms each with
    channels first (32 pictures of 128 px, torch 2.11). Volumes have channels first.
    """
    convolutions = [part for part in network.modules() if isinstance(part, nn.Conv2d)]
    depthwise = any(part.groups > 1 and part.groups == part.in_channels for part in convolutions)
    last = convolutions and not (cuda and depthwise)
    return torch.channels_last if last else torch.contiguous_format


class OnDevice(nn.Module):
    """A network on a GPU that takes and gives tensors of the processor's memory."""

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        """Move ``network`` to ``device``."""
        super().__init__()
        self.network = network.to(device)
        self.device = device

    def forward(self, seen: Tensor) -> Tensor:
        """Predict in float32 without TF32, as a CPU would."""
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            predictions: Tensor = self.network(seen.to(self.device))
        return predictions.cpu()


def scoring(network: nn.Module, config: TrainingConfig) -> nn.Module:
    """Return a network that scores where the training computes; on the CPU it is itself."""
    return OnDevice(network, torch.device("cuda")) if on_cuda(config) else network
