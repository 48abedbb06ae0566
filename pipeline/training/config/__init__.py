"""What a training is: data, augmentation, targets, network, schedule; read once from YAML."""

from pipeline.training.config.augment import AugmentConfig
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
from pipeline.training.config.schedule import ScheduleConfig
from pipeline.training.config.target import TargetConfig
from pipeline.training.config.training import TrainingConfig, read_config
from pipeline.training.config.volumes import (
    VolumeAugmentConfig,
    VolumeConfig,
    VolumesConfig,
)

__all__ = [
    "AugmentConfig",
    "ClassConfig",
    "ExportConfig",
    "ImagesConfig",
    "LossConfig",
    "NetworkConfig",
    "PlaceConfig",
    "ScheduleConfig",
    "ScoreConfig",
    "SplitOverlapConfig",
    "SyntheticConfig",
    "TargetConfig",
    "TrainingConfig",
    "VolumeAugmentConfig",
    "VolumeConfig",
    "VolumesConfig",
    "read_config",
]
