"""How long and how fast."""

from __future__ import annotations

from pydantic import Field, model_validator

from pipeline.models.card import CardSection

MOST_STEPS = 10**9


class ScheduleConfig(CardSection):
    """How long and how fast."""

    steps: int = Field(ge=1, le=MOST_STEPS)
    """Optimiser steps in all."""
    warmup: int = Field(default=200, ge=0, le=MOST_STEPS)
    """Steps of rising rate."""
    decay: int = Field(ge=0, le=MOST_STEPS)
    """Steps at the end over which the rate falls to a hundredth; constant before."""
    rate: float = Field(default=1e-3, gt=0, le=1e30)
    """AdamW's rate for the decoder."""
    encoder_rate: float = Field(default=0.5, gt=0, le=1e6)
    """The encoder's rate, relative to the decoder's."""
    weight_decay: float = Field(default=1e-2, ge=0, le=1e6)
    """AdamW's, on convolutions only."""
    average: float = Field(default=0.998, ge=0, lt=1)
    """Decay of the averaged weights, which are what ships."""

    @model_validator(mode="after")
    def _phases_fit(self) -> ScheduleConfig:
        if self.warmup + self.decay > self.steps:
            raise ValueError(f"warmup + decay exceed the {self.steps} steps")
        return self
