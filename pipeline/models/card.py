"""The model card, stored in the metadata of a checkpoint."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from pipeline.core.quantise import quantised_threshold
from pipeline.models.arguments import LARGEST_CHANNELS, LARGEST_CLASSES, LARGEST_SIZE

LONGEST_RADIUS = 2048
"""Pixels that a network may look to every side and still be given a halo."""
LARGEST_STRIDE = 512
LEAST_STD = 1e-6
MOST_NOTES = 1000
"""Entries of a list of sentences."""
PLAIN = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]*$"
"""No characters that steer a terminal or turn the direction of text."""

Probability = Annotated[float, Field(gt=0, le=1)]
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=PLAIN)]
"""What a band is called."""
Sentence = Annotated[str, Field(max_length=10_000, pattern=PLAIN)]
"""What people read."""
Text = Annotated[str, Field(max_length=4096)]
"""A name, a path or a value in another file."""
Number = Annotated[int, Field(ge=-(2**63), le=2**63)]
"""A whole number in another file."""
Metres = Annotated[float, Field(gt=0, le=1e6)]
"""Edge of a pixel on the ground."""
Value = Annotated[float, Field(ge=-1e12, le=1e12)]
"""A value of a band, or of a channel."""


class CardSection(BaseModel):
    """A frozen part of a card or configuration; unknown keys are refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )


class Network(CardSection):
    """Which network the weights belong to."""

    architecture: Name
    """Name in `pipeline.models.networks`: ``unet``, ``smp_unet``, ``threshold``, ..."""
    arguments: dict[str, JsonValue] = {}
    """What the network is built with."""
    stride: int = Field(ge=1, le=LARGEST_STRIDE)
    """Total down-sampling: tile sizes are multiples of it."""
    size: int | None = Field(default=None, ge=1, le=LARGEST_SIZE)
    """Side of the only square tiles that it takes; None: any multiples of the stride."""
    rf_radius: int | None = Field(ge=0, le=LONGEST_RADIUS)
    """Radius of the receptive field in pixels; None: the whole tile (global context)."""
    dims: Literal[2, 3] = 2
    """2: it sees pictures; 3: volumes, inline, crossline and sample."""


def check_preferred_gsd(
    preferred_gsd_m: tuple[float, float] | None, gsd_range_m: tuple[float, float] | None
) -> None:
    """Check that the preferred ground sample distances lie within the accepted ones.

    Raises:
        ValueError: They do not rise or lie outside, or there is no ``gsd_range_m``.
    """
    limits = gsd_range_m
    if preferred_gsd_m and not (
        limits and limits[0] <= preferred_gsd_m[0] <= preferred_gsd_m[1] <= limits[1]
    ):
        raise ValueError(
            "preferred_gsd_m must rise and lie within gsd_range_m, which must be given"
        )


class Inputs(CardSection):
    """Inputs of the network."""

    bands: tuple[Name, ...] = Field(min_length=1, max_length=LARGEST_CHANNELS)
    """Colours in the order of the network's channels; ``any`` takes what there is."""
    gsd_range_m: tuple[Metres, Metres] | None = None
    """Smallest and largest ground pixel size in metres; None: any, and none needed."""
    preferred_gsd_m: tuple[Metres, Metres] | None = None
    """Ground sample distances to which scenes are resampled that lie a fifth or more outside;
    None: scenes are predicted at their own."""
    low: Value = 0.0
    """Value of an 8-bit band that becomes 0."""
    high: Value = 255.0
    """Value of an 8-bit band that becomes 1; other bands are stretched, see the task."""
    mean: tuple[Value, ...] = Field(max_length=LARGEST_CHANNELS)
    """Subtracted from each channel once it lies in 0..1."""
    std: tuple[Value, ...] = Field(max_length=LARGEST_CHANNELS)
    """Then divided by."""

    @model_validator(mode="after")
    def _lengths_agree(self) -> Inputs:
        if not len(self.bands) == len(self.mean) == len(self.std):
            raise ValueError("bands, mean and std must have the same length")
        if min(self.std) < LEAST_STD or self.high <= self.low:
            raise ValueError(f"std must be positive, at least {LEAST_STD:g}, and high above low")
        if self.gsd_range_m is not None and self.gsd_range_m[0] > self.gsd_range_m[1]:
            raise ValueError("gsd_range_m must rise")
        check_preferred_gsd(self.preferred_gsd_m, self.gsd_range_m)
        return self


class Class(CardSection):
    """One class of the mask."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=100)
    """What polygons of it are called."""
    colour: str = Field(pattern=r"^#[0-9a-f]{6}$")
    """Colour in mask and pictures."""


class SeparationDefaults(CardSection):
    """Separation of touching objects by the channel ``interior``.

    Markers are grown inside the mask (seeded region growing); two neighbours are merged
    where the smaller one covers less than ``min_area_m2 * 2 ** (p / doubling_probability)``,
    p being the mean interior probability along their shared boundary. The defaults were
    chosen on the validation place, the training places and synthetic scenes.
    """

    threshold: Probability = 0.7
    """Interior probability from which a pixel is part of a marker."""
    growth: int = Field(default=24, ge=1, le=1024)
    """Most steps that a marker is grown, in pixels of the network's grid."""
    min_area_m2: float = Field(default=10.0, ge=0, le=1e12)
    """Smallest object beside another where the interior probability along their boundary is 0;
    square pixels where the scene is not georeferenced. 0: nothing is merged."""
    doubling_probability: float = Field(default=0.2, ge=1e-6, le=1e6)
    """Rise of the interior probability along the boundary that doubles the smallest area."""


class Outputs(CardSection):
    """Outputs of the network: the meaning of its channels."""

    classes: tuple[Class, ...] = Field(min_length=1, max_length=LARGEST_CLASSES)
    """Classes from 1; the network's first channels, in this order."""
    separating: tuple[Literal["interior", "boundary", "distance"], ...] = Field(
        default=(), max_length=3
    )
    """Channels after the classes, for the separation of touching objects; ``interior`` is used:
    the probability that a pixel lies inside an object, away from its outline."""
    separation: SeparationDefaults = SeparationDefaults()
    """How the interior channel separates objects."""
    activation: Literal["sigmoid", "softmax", "none"] = "sigmoid"
    """What makes channels probabilities; softmax has the background as its channel 0."""
    threshold: Probability | None = None
    """Probability from which a pixel belongs to a class. Not given: 0.5; with softmax none, so
    that the class is the arg max over all channels, background included."""

    @property
    def shares(self) -> bool:
        """Whether the classes share the probability with the background, as softmax has it."""
        return self.activation == "softmax"

    def quantised_threshold(self, wanted: float | None = None) -> int:
        """Compute the least quantised probability of a class: of ``wanted``, or the card's own.

        1, the least that there is, where a softmax has neither: the arg max alone decides.
        """
        threshold = self.threshold if wanted is None else wanted
        if threshold is None and self.shares:
            return 1
        return quantised_threshold(0.5 if threshold is None else threshold)

    @property
    def channels(self) -> int:
        """Channels that the network gives."""
        background = 1 if self.activation == "softmax" else 0
        return background + len(self.classes) + len(self.separating)


class Terms(CardSection):
    """Licence, permitted use and credits."""

    license: Sentence
    """SPDX name of the licence of the weights, or a sentence."""
    use: Sentence = ""
    """Limits of use, shown whenever the model runs; empty where there are none."""
    credits: tuple[Sentence, ...] = Field(default=(), max_length=MOST_NOTES)
    """Data and weights that it was made from, with their licences."""


class ModelCard(CardSection):
    """A model card: network, inputs, outputs, terms and scores."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=100)
    """What the model is called in outputs."""
    network: Network
    """Which network the weights belong to."""
    inputs: Inputs
    """Inputs of the network."""
    outputs: Outputs
    """What its channels mean."""
    context: Literal["exact", "blend", "pad"] = "exact"
    """Context of tiles: a halo of the receptive-field radius; overlapping tiles that are
    blended; or the image padded to ``pad_to`` as in training."""
    pad_to: int = Field(default=0, ge=0, le=LARGEST_SIZE)
    """Size that small images are padded to where ``context`` is ``pad``."""
    edge: Literal["mirror", "replicate", "constant"] = "mirror"
    """What lies past the scene's edges."""
    flip: bool = False
    """Predict tiles a second time, left and right flipped, and take the mean: twice the time."""
    bytes_per_pixel: float = Field(default=400.0, ge=1, le=1e9)
    """Memory that one pixel of a tile takes while it is predicted on the CPU; measured."""
    pixels_per_s: float = Field(default=5e5, ge=1e-3, le=1e15)
    """Tile pixels a second on two CPU cores; measured, for estimates only."""
    terms: Terms
    """Permitted use."""
    training: dict[str, JsonValue] = {}
    """Data, recipe, steps and hours."""
    scores: dict[str, JsonValue] = {}
    """Measured quality, and on what."""
    known_failures: tuple[Sentence, ...] = Field(default=(), max_length=MOST_NOTES)
    """Where the model is known to be wrong."""
    sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    """Digest of the weights; filled in and checked by `pipeline.models.checkpoint`."""

    @model_validator(mode="after")
    def _context_is_possible(self) -> ModelCard:
        if self.context == "exact" and self.network.rf_radius is None:
            raise ValueError(
                "a network of global context (rf_radius: null) cannot be exact: use context: blend"
            )
        if (self.context == "pad") != (self.pad_to > 0):
            raise ValueError("pad_to goes with context 'pad'")
        if self.pad_to % self.network.stride:
            raise ValueError("pad_to must be a multiple of the stride")
        if self.network.dims == 3 and (self.context != "exact" or self.flip):
            raise ValueError("networks of volumes are exact, and do not flip")
        if self.network.dims == 3 and self.outputs.separating:
            raise ValueError("models of volumes have no separating channels")
        return self
