"""A whole training, read once from YAML."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from pipeline.config import read_section
from pipeline.models.card import Section
from pipeline.training.config.augment import AugmentConfig
from pipeline.training.config.data import (
    ClassConfig,
    ImagesConfig,
    LeakConfig,
    MadeConfig,
    PlaceConfig,
)
from pipeline.training.config.loss import LossConfig
from pipeline.training.config.network import NetworkConfig
from pipeline.training.config.schedule import ScheduleConfig
from pipeline.training.config.ship import ScoreConfig, ShipConfig
from pipeline.training.config.target import TargetConfig


class TrainingConfig(Section):
    """A whole training."""

    seed: int = Field(default=0, ge=0)
    """All randomness derives from it and the step."""
    classes: tuple[ClassConfig, ...] = Field(
        default=(ClassConfig(name="building", colour="#e6550d"),), min_length=1
    )
    """What is looked for."""
    places: tuple[PlaceConfig, ...] = ()
    """Where crops are cut; or `images`."""
    validation: tuple[PlaceConfig, ...] = ()
    """Where exports are scored and the threshold is chosen; never trained on."""
    test: tuple[PlaceConfig, ...] = ()
    """Where the last export is scored; nothing is chosen by it."""
    images: ImagesConfig | None = None
    """Images and masks without a place, in place of `places`."""
    made: MadeConfig | None = None
    """Made scenes mixed in; none without."""
    leaks: LeakConfig = LeakConfig()
    """What is done about ground or images that two splits share."""
    crop: int = Field(default=256, ge=16)
    """Edge of a crop in pixels."""
    batch: int = Field(default=8, ge=1)
    """Crops a step, over all devices."""
    foreground: float = Field(default=0.8, ge=0, le=1)
    """How often a crop is laid around an object instead of anywhere."""
    network: NetworkConfig = NetworkConfig.model_validate({})
    """What is trained."""
    targets: TargetConfig = TargetConfig()
    """What it is asked for."""
    augment: AugmentConfig = AugmentConfig()
    """What it is shown."""
    loss: LossConfig = LossConfig()
    """What is made small."""
    schedule: ScheduleConfig
    """How long and how fast."""
    score: ScoreConfig = ScoreConfig()
    """How exports are scored."""
    ship: ShipConfig = ShipConfig()
    """What the card of the model says."""
    bfloat16: bool = True
    """Multiply in bfloat16 where the device is made for it: GPUs, and processors with AMX, which
    it makes twice as fast; sums stay float32."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """What computes."""
    devices: int = Field(default=1, ge=1)
    """How many of them; each takes its part of every batch."""
    workers: int = Field(default=0, ge=0)
    """Processes that cut crops ahead; worth it beside a GPU."""
    threads: int | None = Field(default=None, ge=1)
    """Threads of a step; all cores without."""
    log_every: int = Field(default=50, ge=1)
    """Steps between two lines of progress."""
    save_every: int = Field(default=250, ge=1)
    """Steps between two checkpoints."""
    score_every_minutes: float = Field(default=15.0, gt=0)
    """Minutes between two scored exports."""

    @model_validator(mode="after")
    def _parts_agree(self) -> TrainingConfig:
        if bool(self.places) == (self.images is not None):
            raise ValueError("give `places` or `images`: where crops are cut")
        if self.images is not None and (self.validation or self.test or self.made):
            raise ValueError("`images` are split by fold: no validation, test or made beside them")
        valid = self.network.arguments.get("padding") == "valid"
        if not valid and self.crop % self.network.total_stride:
            raise ValueError(
                f"crop {self.crop} is no multiple of the network's stride "
                f"{self.network.total_stride}"
            )
        if self.batch % self.devices:
            raise ValueError(f"a batch of {self.batch} cannot be shared by {self.devices} devices")
        names = [known.name for known in self.classes]
        if len(set(names)) < len(names):
            raise ValueError(f"two classes have one name: {', '.join(names)}")
        if len(self.classes) > 1 and any(not known.values for known in self.classes):
            raise ValueError("each of several classes needs `values`: how labels name it")
        if len(self.loss.class_weights) not in (0, len(self.classes)):
            raise ValueError(
                f"loss.class_weights has {len(self.loss.class_weights)} numbers for "
                f"{len(self.classes)} classes: give one a class, or none"
            )
        if self.loss.finish_steps > self.schedule.steps:
            raise ValueError(f"loss.finish_steps exceed the {self.schedule.steps} steps")
        return self

    @property
    def channels(self) -> int:
        """Channels that the network gives: background, classes, interior, as asked for."""
        return int(self.loss.softmax) + len(self.classes) + int(self.targets.interior)

    def digest(self) -> str:
        """Return what a checkpoint must agree on to be continued: all that changes a step."""
        told = {"score", "ship", "device", "devices", "workers", "log_every", "save_every"}
        told |= {"score_every_minutes", "leaks", "validation", "test", "threads"}
        return hashlib.sha256(self.model_dump_json(exclude=told).encode()).hexdigest()[:16]


def read_config(path: Path) -> TrainingConfig:
    """Return the training that a YAML file describes.

    Raises:
        ConfigError: The file cannot be read, or a key is unknown or out of range.
    """
    return read_section(path, TrainingConfig, example="seed: 1")
