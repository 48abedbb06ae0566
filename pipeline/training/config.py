"""What a training is: places, crops, targets, network, schedule; read once from YAML."""

from __future__ import annotations

import hashlib
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipeline.errors import ConfigError


class Section(BaseModel):
    """A frozen part of a configuration that knows all its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class PlaceConfig(Section):
    """One ground, photographed once or at several zooms, with one label file."""

    name: str
    """What logs and scores call it."""
    scenes: tuple[Path, ...] = Field(min_length=1)
    """Rasters of the same ground, one a zoom."""
    labels: Path
    """Polygons, one a building, in any CRS."""
    share: float = Field(default=1.0, gt=0)
    """How often crops come from here, relative to the other places."""
    empty: int | None = None
    """Pixels with this value in every band lie outside the survey: not labelled."""


class MadeConfig(Section):
    """Scenes that the project makes itself, as extra variety."""

    share: float = Field(gt=0, lt=1)
    """Part of all crops that comes from made scenes."""
    first_seed: int = Field(ge=1000)
    """Seed of the first scene; seeds below 1000 are kept for demos and tests."""
    count: int = Field(ge=1)
    """How many scenes, one a seed."""
    size: int = Field(ge=256)
    """Edge of a scene in pixels."""
    pixel_m: tuple[float, float] = (0.12, 0.5)
    """Smallest and largest ground size of a pixel."""


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


class TargetConfig(Section):
    """What the network is asked for."""

    interior_m: float = Field(default=0.5, gt=0)
    """How far a building is eroded, on the ground, to get its interior."""
    interior_px: tuple[float, float] = (1.5, 4.0)
    """Least and largest erosion in pixels, whatever the ground size."""
    gap: bool = True
    """Label pixels that touch another building as background: a 2 px line between them."""
    contact_weight: float = Field(default=6.0, ge=0)
    """w0 of the U-Net paper's weight map: extra weight where two buildings meet."""
    contact_inside: float = Field(default=0.3, ge=0, le=1)
    """Part of w0 on the buildings' own side; with 1 a doubtful wall is no likelier a gap."""
    contact_sigma: float = Field(default=4.0, gt=0)
    """Sigma of that map, in pixels of the source."""


class AugmentConfig(Section):
    """How far crops are driven from what the camera saw; 0 switches a part off."""

    pixel_m: tuple[float, float] = (0.09, 0.6)
    """Ground sizes of a pixel that are drawn."""
    usual_pixel_m: float = 0.16
    """The likeliest of them; the draw is triangular in the logarithm."""
    shape: float = Field(default=0.12, ge=0, lt=0.5)
    """Largest relative change of aspect, and shear."""
    rotate: bool = True
    """Turn by any angle, beside flips and quarter turns."""
    tone: float = Field(default=0.3, ge=0, lt=1)
    """Largest relative change of brightness, contrast and gamma."""
    colour: float = Field(default=0.15, ge=0, lt=1)
    """Largest relative change of one band against the others."""
    hue: float = Field(default=0.3, ge=0)
    """Largest turn of the hue, in radians."""
    blur: float = Field(default=0.35, ge=0, le=1)
    """How often a crop is blurred."""
    noise: float = Field(default=0.35, ge=0, le=1)
    """How often sensor noise is added."""
    jpeg: float = Field(default=0.3, ge=0, le=1)
    """How often a crop goes through a lossy JPEG."""
    shadow: float = Field(default=0.2, ge=0, le=1)
    """How often a shadow falls over a crop."""


class ScheduleConfig(Section):
    """How long and how fast."""

    steps: int = Field(ge=1)
    """Optimiser steps in all."""
    warmup: int = Field(default=200, ge=0)
    """Steps of rising rate."""
    decay: int = Field(ge=0)
    """Steps at the end over which the rate falls to a hundredth; constant before."""
    rate: float = Field(default=1e-3, gt=0)
    """AdamW's rate for the decoder."""
    encoder_rate: float = Field(default=0.5, gt=0)
    """The encoder's rate, relative to the decoder's."""
    weight_decay: float = Field(default=1e-2, ge=0)
    """AdamW's, on convolutions only."""
    average: float = Field(default=0.998, ge=0, lt=1)
    """Decay of the averaged weights, which are what ships."""

    @model_validator(mode="after")
    def _phases_fit(self) -> ScheduleConfig:
        if self.warmup + self.decay > self.steps:
            raise ValueError(f"warmup + decay exceed the {self.steps} steps")
        return self


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
    try:
        return TrainingConfig.model_validate(yaml.safe_load(path.read_text()))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise ConfigError(f"{path}: {error}") from error
