"""How wrong a prediction is."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pipeline.models.arguments import LARGEST_CLASSES, LARGEST_DEPTH
from pipeline.models.card import CardSection
from pipeline.training.config.schedule import MOST_STEPS

LossName = Literal["bce", "dice", "bce_dice", "focal", "tversky", "lovasz"]
Positive = Annotated[float, Field(ge=1e-9, le=1e9)]


class LossConfig(CardSection):
    """What is made small; the weights of pixels are the targets' affair."""

    name: LossName = "bce_dice"
    """Loss of the training; with ``softmax``, ``bce`` is the cross-entropy over all classes."""
    softmax: bool = False
    """Classes exclude each other, and background is one; without, each has its own sigmoid."""
    class_weights: tuple[Positive, ...] = Field(default=(), max_length=LARGEST_CLASSES)
    """How much each class counts, in their order; 1 without. Background always counts 1."""
    interior_weight: float = Field(default=1.0, ge=0, le=1e9)
    """How much the interiors count."""
    focal_gamma: float = Field(default=2.0, ge=0, le=100)
    """How fast `focal` forgets what is nearly right; 0 is the cross-entropy."""
    focal_alpha: float | None = Field(default=None, gt=0, lt=1)
    """Part of `focal` that what belongs to a class counts, the rest being the others'."""
    tversky_false: float = Field(default=0.3, ge=0, le=1e6)
    """What a false positive counts in `tversky`; 0.5 and 0.5 is Dice."""
    tversky_missed: float = Field(default=0.7, ge=0, le=1e6)
    """What a false negative counts in it."""
    lovasz_soft: bool = True
    """``elu + 1`` in place of the hinge of `lovasz`: right pixels still learn a little."""
    coarse: tuple[Positive, ...] = Field(default=(), max_length=LARGEST_DEPTH)
    """Weights of coarser outputs relative to the first one's 1, where a network has them in
    training; 1/2, 1/4, ... without."""
    finish: LossName | None = None
    """Loss of its last steps; the same without."""
    finish_steps: int = Field(default=0, ge=0, le=MOST_STEPS)
    """How many steps that are."""
