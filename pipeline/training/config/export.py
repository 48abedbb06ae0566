"""Export of a finished training: scoring, and the model card."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.models.arguments import LARGEST_SIZE
from pipeline.models.card import (
    MOST_NOTES,
    CardSection,
    Metres,
    Name,
    Probability,
    Sentence,
    check_preferred_gsd,
)


class ScoreConfig(CardSection):
    """How exports are scored, and their threshold chosen."""

    kind: Literal["objects", "pixels", "salt", "membranes"] = "objects"
    """Object F1 at IoU 0.5; pixel F1; the TGS Salt challenge's precision; pixel and Rand error."""
    thresholds: tuple[Probability, ...] = Field(
        default=tuple(round(0.3 + 0.05 * step, 2) for step in range(11)),
        min_length=1,
        max_length=1000,
    )
    """Probabilities that are tried on the validation places; the best one goes into the card."""
    precision: float | None = Field(default=None, gt=0, le=1)
    """Least pixel precision that the threshold must reach; without, the best score decides."""
    min_area_px: tuple[Annotated[int, Field(ge=0, le=2**40)], ...] = Field(
        default=(0,), min_length=1, max_length=1000
    )
    """Sizes below which a whole mask is dropped, tried likewise; of images alone."""
    flip: bool = False
    """Predict twice, left and right flipped once, and take the mean; the card asks for it too."""


class ExportConfig(CardSection):
    """Fields of the model card."""

    name: str = Field(default="model", pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=100)
    """What the model is called."""
    bands: tuple[Name, Name, Name] = ("red", "green", "blue")
    """Colours that the network sees; three times ``gray`` for images of one band."""
    gsd_range_m: tuple[Metres, Metres] | None = None
    """Ground pixels it is made for; from the augmentation where there are places, else any."""
    preferred_gsd_m: tuple[Metres, Metres] | None = None
    """Ground pixels at which it does best: others are resampled when it maps. Validation scores
    them as they are; `benchmarks.footprints` maps them."""
    context: Literal["exact", "blend", "pad"] | None = None
    """How tiles see their surroundings; by the network's reach without."""
    pad_to: int = Field(default=0, ge=0, le=LARGEST_SIZE)
    """Size to which small images are padded; goes with context ``pad``."""
    license: Sentence = "not stated"
    """Terms of the weights."""
    use: Sentence = ""
    """Limits of use, shown whenever the model runs."""
    credits: tuple[Sentence, ...] = Field(default=(), max_length=MOST_NOTES)
    """Data and weights it was made from, with their licences."""
    known_failures: tuple[Sentence, ...] = Field(default=(), max_length=MOST_NOTES)
    """Where it is known to be wrong."""

    @model_validator(mode="after")
    def _padding_goes_with_its_context(self) -> ExportConfig:
        if (self.context == "pad") != (self.pad_to > 0):
            raise ValueError("pad_to goes with context 'pad'")
        return self

    @model_validator(mode="after")
    def _shown_is_within_what_it_is_made_for(self) -> ExportConfig:
        # Before a training, not when its card is written.
        check_preferred_gsd(self.preferred_gsd_m, self.gsd_range_m)
        return self
