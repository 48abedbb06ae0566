"""Where crops of volumes come from, and how far they are driven from what was recorded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field, model_validator

from pipeline.models.card import CardSection, Name, Number, Value

Lines = tuple[Number, Number]
"""Numbers of the first and the last line, both included."""


class VolumeConfig(CardSection):
    """A volume, or a block of its traces, with its labels: SEG-Y both, on the same traces."""

    name: Name
    """What logs and scores call it."""
    volume: Path
    """Amplitudes."""
    labels: Path
    """A value a voxel: 0 is background, others are those of the classes."""
    share: float = Field(default=1.0, ge=1e-9, le=1e9)
    """How often crops come from here, relative to the others; of no matter but in `train`."""
    ignore_value: Number | None = -1
    """Label that means: not labelled; -1 is nodata of Overtile's own `mask.sgy`. A class
    that names it wins. Samples that are not finite are unknown too."""
    inlines: Lines | None = None
    """Numbers of the first and last inline that are used; all without."""
    crosslines: Lines | None = None
    """Numbers of the first and last crossline that are used; all without."""
    values: tuple[Value, Value] | None = None
    """Amplitudes that become black and white; without, the percentiles that mapping takes."""

    @model_validator(mode="after")
    def _ranges_rise(self) -> VolumeConfig:
        for name in ("inlines", "crosslines"):
            lines = getattr(self, name)
            if lines is not None and lines[0] > lines[1]:
                raise ValueError(
                    f"{name} {list(lines)} are none: give the first number, then the last"
                )
        if self.values is not None and self.values[0] >= self.values[1]:
            raise ValueError(f"values {list(self.values)} must rise")
        return self


class VolumeAugmentConfig(CardSection):
    """How far crops of volumes are driven from what was recorded; 0 switches a part off."""

    flips: bool = True
    """Flip along inlines and along crosslines."""
    upside_down: bool = False
    """Flip along samples as well: down is not up where rock was laid down in order."""
    turns: bool = True
    """Turn by quarters around the vertical, where a crop has as many inlines as crosslines."""
    elastic: float = Field(default=0.0, ge=0, le=256)
    """Deviation of the displacements on a coarse grid, in voxels; 0: stiff."""
    elastic_share: float = Field(default=0.5, ge=0, le=1)
    """How often a crop is deformed so."""
    elastic_nodes: int = Field(default=3, ge=2, le=16)
    """Nodes of that grid along each edge of the crop."""
    gain: float = Field(default=0.3, ge=0, lt=1)
    """Largest relative change of the amplitudes' distance from their middle."""
    noise: float = Field(default=0.35, ge=0, le=1)
    """How often noise is added."""
    noise_level: float = Field(default=0.1, ge=0, le=1e3)
    """Its largest deviation, as a part of the span from black to white."""


class VolumesConfig(CardSection):
    """Volumes by split: each with a range of lines of its own, or in files of its own.

    What is used of them is held in memory, five bytes a voxel.
    """

    train: tuple[VolumeConfig, ...] = Field(min_length=1, max_length=1000)
    """Where crops are cut."""
    validation: tuple[VolumeConfig, ...] = Field(default=(), max_length=1000)
    """Where exports are scored and the threshold is chosen; never trained on."""
    test: tuple[VolumeConfig, ...] = Field(default=(), max_length=1000)
    """Where the last export is scored; nothing is chosen by it."""
    gap: int = Field(default=16, ge=0, le=2**31)
    """Lines that must lie between what two splits use of one volume: neighbours look alike."""
    augment: VolumeAugmentConfig = VolumeAugmentConfig()
    """What the network is shown."""

    @model_validator(mode="after")
    def _names_differ(self) -> VolumesConfig:
        names = [one.name for one in self.every()]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two volumes have one name: {', '.join(twice)}")
        return self

    def every(self) -> Iterator[VolumeConfig]:
        """Yield the volumes of all splits."""
        yield from (*self.train, *self.validation, *self.test)
