"""A whole training, read once from YAML."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import Field, ValidationError

from pipeline.config import explained, read_yaml
from pipeline.errors import ConfigError
from pipeline.models.card import Section
from pipeline.training.config.augment import AugmentConfig
from pipeline.training.config.data import MadeConfig, PlaceConfig
from pipeline.training.config.network import NetworkConfig
from pipeline.training.config.schedule import ScheduleConfig
from pipeline.training.config.target import TargetConfig


class TrainingConfig(Section):
    """A whole training."""

    seed: int = 0
    """All randomness derives from it and the step."""
    places: tuple[PlaceConfig, ...] = Field(min_length=1)
    """Where crops are cut."""
    validation: tuple[PlaceConfig, ...] = ()
    """Where exports are scored; never trained on."""
    made: MadeConfig | None = None
    """Made scenes mixed in; none without."""
    crop: int = Field(default=256, ge=32, multiple_of=32)
    """Edge of a crop in pixels."""
    batch: int = Field(default=8, ge=1)
    """Crops a step."""
    foreground: float = Field(default=0.8, ge=0, le=1)
    """How often a crop is laid around a building instead of anywhere."""
    network: NetworkConfig = NetworkConfig()
    """What is trained."""
    targets: TargetConfig = TargetConfig()
    """What it is asked for."""
    augment: AugmentConfig = AugmentConfig()
    """What it is shown."""
    schedule: ScheduleConfig
    """How long and how fast."""
    bfloat16: bool = True
    """Multiply in bfloat16: twice as fast on processors with AMX; sums stay float32."""
    threads: int | None = None
    """Threads of a step; all cores without."""
    log_every: int = Field(default=50, ge=1)
    """Steps between two lines of progress."""
    save_every: int = Field(default=250, ge=1)
    """Steps between two checkpoints."""
    score_every_minutes: float = Field(default=15.0, gt=0)
    """Minutes between two scored exports."""

    def digest(self) -> str:
        """Return what a checkpoint must agree on to be continued: network and targets."""
        kept = {"network", "targets", "crop", "batch", "seed"}
        return hashlib.sha256(self.model_dump_json(include=kept).encode()).hexdigest()[:16]


def read_config(path: Path) -> TrainingConfig:
    """Return the training that a YAML file describes.

    Raises:
        ConfigError: The file cannot be read, or a key is unknown or out of range.
    """
    found = read_yaml(path)
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: must be fields and values, such as `seed: 1`")
    try:
        return TrainingConfig.model_validate(found)
    except ValidationError as error:
        raise ConfigError(f"{path}: {explained(error, TrainingConfig)}") from error
