"""What is trained."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from pipeline.models.card import Section


class NetworkConfig(Section):
    """A U-Net on a MobileNetV2 encoder."""

    depth: int = Field(default=4, ge=3, le=5)
    """Halvings in the encoder; 4 gives a reach of 165 px, 5 of 309."""
    decoder: tuple[int, ...] = (128, 64, 32, 16)
    """Channels of each decoder block, the coarsest first."""
    encoder_weights: Path | None = None
    """Where the encoder starts; random without."""

    @model_validator(mode="after")
    def _one_block_a_halving(self) -> NetworkConfig:
        if len(self.decoder) != self.depth:
            raise ValueError(f"decoder has {len(self.decoder)} blocks, depth is {self.depth}")
        return self
