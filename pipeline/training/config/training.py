"""A whole training, read once from YAML."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from pipeline.config import read_section
from pipeline.core.block import Three
from pipeline.models.arguments import LARGEST_CLASSES
from pipeline.models.card import CardSection
from pipeline.training.config.augment import AugmentConfig
from pipeline.training.config.crop import Crop
from pipeline.training.config.data import (
    ClassConfig,
    ImagesConfig,
    PlaceConfig,
    SplitOverlapConfig,
    SyntheticConfig,
)
from pipeline.training.config.export import ExportConfig, ScoreConfig
from pipeline.training.config.loss import LossConfig
from pipeline.training.config.network import NetworkConfig
from pipeline.training.config.schedule import MOST_STEPS, ScheduleConfig
from pipeline.training.config.target import TargetConfig
from pipeline.training.config.volumes import VolumesConfig

LARGEST_BATCH = 2**28
"""Pixels or voxels of a batch: 64 crops of 2048 x 2048."""
MOST_PLACES = 10_000
DEFAULT_MEMORY_GB = 4.0
OFF: dict[str, Any] = {"interior": False, "gap": False, "border_weight": 0}
"""Targets of volumes: their classes, and nothing else."""
OF_VOLUMES: dict[str, Any] = {"crop": 64, "batch": 2}
"""Defaults of a training on volumes."""


class TrainingConfig(CardSection):
    """A whole training."""

    seed: int = Field(default=0, ge=0, le=2**63)
    """All randomness derives from it and the step."""
    classes: tuple[ClassConfig, ...] = Field(
        default=(ClassConfig(name="building", colour="#e6550d"),),
        min_length=1,
        max_length=LARGEST_CLASSES,
    )
    """What is looked for."""
    places: tuple[PlaceConfig, ...] = Field(default=(), max_length=MOST_PLACES)
    """Where crops are cut; or `images`."""
    validation: tuple[PlaceConfig, ...] = Field(default=(), max_length=MOST_PLACES)
    """Where exports are scored and the threshold is chosen; never trained on."""
    test: tuple[PlaceConfig, ...] = Field(default=(), max_length=MOST_PLACES)
    """Where the last export is scored; nothing is chosen by it."""
    images: ImagesConfig | None = None
    """Images and masks without a place, in place of `places`."""
    volumes: VolumesConfig | None = None
    """Seismic volumes and their labels, in place of `places` and `images`."""
    synthetic: SyntheticConfig | None = None
    """Made scenes mixed in; none without."""
    split_overlap: SplitOverlapConfig = SplitOverlapConfig()
    """What is done about ground or images that two splits share."""
    crop: Crop = 256
    """Edge of a crop in pixels; of volumes in voxels, or inlines, crosslines and samples."""
    batch: int = Field(default=8, ge=1, le=65_536)
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
    export: ExportConfig = ExportConfig()
    """Fields of the model card."""
    bfloat16: bool = True
    """Multiply in bfloat16 where the device is made for it: GPUs, and processors with AMX, which
    it makes twice as fast; sums stay float32."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """What computes."""
    devices: int = Field(default=1, ge=1, le=1024)
    """How many of them; each takes its part of every batch."""
    workers: int = Field(default=0, ge=0, le=1024)
    """Processes that cut crops ahead; worth it beside a GPU."""
    threads: int | None = Field(default=None, ge=1, le=1024)
    """Threads of a step; all cores without."""
    memory_gb: float = Field(default=DEFAULT_MEMORY_GB, ge=0.1, le=1e5)
    """Memory that scenes and labels may take, in 10^9 bytes: places to train on that are larger
    are read by windows, all else that is larger is refused before it is read."""
    log_every: int = Field(default=50, ge=1, le=MOST_STEPS)
    """Steps between two lines of progress."""
    save_every: int = Field(default=250, ge=1, le=MOST_STEPS)
    """Steps between two checkpoints."""
    score_every_minutes: float = Field(default=15.0, gt=0, le=1e9)
    """Minutes between two scored exports."""

    @model_validator(mode="before")
    @classmethod
    def _volumes_have_defaults_of_their_own(cls, found: Any) -> Any:
        if not isinstance(found, dict) or found.get("volumes") is None:
            return found
        given = {**OF_VOLUMES, **found}
        own: dict[str, dict[str, Any]] = {
            "network": {"name": "unet_3d"}, "targets": OFF, "score": {"kind": "pixels"}
        }  # fmt: skip
        for name, values in own.items():
            section = given.get(name, {})
            if isinstance(section, dict):
                given[name] = {**values, **section}
        return given

    @model_validator(mode="after")
    def _one_source(self) -> TrainingConfig:
        given = [bool(self.places), self.images is not None, self.volumes is not None]
        if sum(given) != 1:
            raise ValueError(
                "give `places`, `images` or `volumes`, one of them: where crops are cut"
            )
        beside = self.validation or self.test or self.synthetic
        if self.images is not None and beside:
            raise ValueError(
                "`images` are split by fold: no validation, test or synthetic beside them"
            )
        if self.volumes is not None and beside:
            raise ValueError(
                "`volumes` hold their own validation and test: no validation, test or synthetic "
                "beside them"
            )
        if self.volumes is None and self.network.dims == 3:
            raise ValueError(
                f"network.name: {self.network.name} sees volumes: give `volumes`, or choose a "
                "network of pictures, such as smp_unet"
            )
        if self.volumes is None and not isinstance(self.crop, int):
            raise ValueError(
                f"crop {list(self.crop)}: crops of pictures are squares; give one number"
            )
        return self

    @model_validator(mode="after")
    def _volumes_ask_for_what_there_is(self) -> TrainingConfig:
        if self.volumes is not None:
            refuse_pictures(self)
        return self

    @model_validator(mode="after")
    def _parts_agree(self) -> TrainingConfig:
        valid = self.network.arguments.get("padding") == "valid"
        if not valid and any(edge % self.network.total_stride for edge in self.box):
            detail = self.crop if isinstance(self.crop, int) else list(self.crop)
            raise ValueError(
                f"crop {detail} is no multiple of the network's stride {self.network.total_stride}"
            )
        if self.batch * math.prod(self.box[: self.network.dims]) > LARGEST_BATCH:
            raise ValueError(
                f"a batch of {self.batch} crops of {' x '.join(map(str, self.box))} is more than "
                f"{LARGEST_BATCH} pixels; give a smaller crop or batch"
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
    def edge(self) -> int:
        """Edge of a picture's crop."""
        return self.box[0]

    @property
    def box(self) -> Three:
        """Voxels of a volume's crop along inlines, crosslines and samples."""
        return (self.crop,) * 3 if isinstance(self.crop, int) else self.crop

    @property
    def channels(self) -> int:
        """Channels that the network gives: background, classes, interior, as asked for."""
        return int(self.loss.softmax) + len(self.classes) + int(self.targets.interior)

    def digest(self) -> str:
        """Return what a checkpoint must agree on to be continued: all that changes a step."""
        detail = {"score", "export", "device", "devices", "workers", "log_every", "save_every"}
        detail |= {"score_every_minutes", "split_overlap", "validation", "test", "threads"}
        if self.memory_gb == DEFAULT_MEMORY_GB:
            detail.add("memory_gb")  # a larger one may hold whole what was read by windows
        left_out: dict[str, Any] = dict.fromkeys(detail, True)
        # A training of pictures has the digest that it had before there were volumes.
        left_out["volumes"] = {"validation", "test", "gap"} if self.volumes is not None else True
        # A place without this key has the digest that it had before there was one.
        unnamed = [at for at, place in enumerate(self.places) if place.area_layer is None]
        left_out["places"] = {at: {"area_layer"} for at in unnamed}
        text = self.model_dump_json(exclude=left_out)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def refuse_pictures(config: TrainingConfig) -> None:
    """Refuse what a training of volumes asks for and only pictures have.

    Raises:
        ValueError: The message names the key and what to do.
    """
    network, export = config.network, config.export
    asked = {
        f"network.name: {network.name} sees pictures: name unet_3d": network.dims != 3,
        f"network.encoder_weights: {network.name} has no encoder that was trained before: leave "
        "it out": network.encoder_weights is not None,
        "augment is for pictures: give `volumes.augment`": "augment" in config.model_fields_set,
        "targets: volumes have classes alone: interior, gap and border_weight are for pictures": (
            config.targets.interior or config.targets.gap or config.targets.border_weight > 0
        ),
        f"score.kind: {config.score.kind} is for pictures: volumes are scored by their voxels, "
        "kind pixels": config.score.kind != "pixels",
        "score.flip, score.min_area_px: they are for pictures: leave them out": (
            config.score.flip or config.score.min_area_px != (0,)
        ),
        "loss.interior_weight: volumes have no interiors: leave it out": (
            config.loss.interior_weight != 1
        ),
        "export: bands, gsd_range_m, preferred_gsd_m: volumes have amplitudes alone: "
        "leave them out": bool(
            export.model_fields_set & {"bands", "gsd_range_m", "preferred_gsd_m"}
        ),
        f"export.context: {export.context} is for pictures: models of volumes are exact": (
            export.context not in (None, "exact")
        ),
    }
    found = [what for what, there in asked.items() if there]
    if found:
        raise ValueError("; ".join(found))


def read_config(path: Path) -> TrainingConfig:
    """Return the training that a YAML file describes.

    Raises:
        ConfigError: The file cannot be read, or a key is unknown or out of range.
    """
    return read_section(path, TrainingConfig, example="seed: 1")
