"""Where crops come from: places on the Earth, folders of images, synthetic scenes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.models.card import CardSection, Class, Metres, Name, Number, Text

Band = Annotated[int, Field(ge=1, le=65_535)]
"""Number of a raster's band, from 1."""
Part = Annotated[float, Field(ge=0, le=1)]
Box = tuple[Part, Part, Part, Part]
"""Left, top, right, bottom, as parts of a scene's width and height."""


class ClassConfig(Class):
    """One class of objects, and how labels name it."""

    values: tuple[Text | Number, ...] = Field(default=(), max_length=10_000)
    """Values of the place's ``field``, or of the label raster; without, every label is of it."""


class PlaceConfig(CardSection):
    """One ground, photographed once or at several zooms, with one label file."""

    name: Name
    """What logs and scores call it."""
    scenes: tuple[Path, ...] = Field(min_length=1, max_length=10_000)
    """Rasters of the same ground, one a zoom."""
    labels: Path
    """Polygons in any CRS (GeoJSON, GeoPackage, shapefile), or a raster of labels."""
    layer: Text | None = None
    """Layer of the labels' file; its only one with polygons without."""
    field: Text | None = None
    """Attribute of the polygons that holds their class; needed for more than one class."""
    objects: bool = False
    """A label raster numbers objects, instead of holding a value for each class."""
    ignore_value: Number | None = 255
    """Value of a label raster that means: not labelled; a class that names it wins.

    255 is the class itself where it is the only one."""
    area: Path | None = None
    """Polygons within which everything is labelled; all of the scene without."""
    area_layer: Text | None = None
    """Layer of the area's file; its only one with polygons without."""
    share: float = Field(default=1.0, ge=1e-9, le=1e9)
    """How often crops come from here, relative to the other places."""
    image_nodata: Number | None = None
    """Pixels with this value in every band lie outside the survey: not labelled."""
    bands: tuple[Band, ...] = Field(default=(1, 2, 3), min_length=1, max_length=3)
    """Bands that the network sees; one alone is repeated."""
    within: Box | None = None
    """The only block of the ground that is used."""
    without: tuple[Box, ...] = Field(default=(), max_length=10_000)
    """Blocks that are left out, such as the one that another split is `within`."""
    gap_m: float = Field(default=0.0, ge=0, le=1e9)
    """Metres around the blocks of `without` that are left out too."""

    @model_validator(mode="after")
    def _blocks_have_a_size(self) -> PlaceConfig:
        for left, top, right, bottom in (*self.without, *((self.within,) if self.within else ())):
            if not (left < right and top < bottom):
                raise ValueError(
                    f"block {left, top, right, bottom} is empty: left, top, right, bottom "
                    "are parts of the scene, 0 to 1"
                )
        return self


class ImagesConfig(CardSection):
    """Pairs of image and mask without a place: ``images/``, ``masks/``, perhaps ``depths.csv``."""

    folder: Path
    """Where they lie."""
    images: Text = "images"
    """Folder of the images in it."""
    masks: Text = "masks"
    """Folder of the masks in it, by the same names."""
    folds: int = Field(default=5, ge=2, le=10_000)
    """Into how many parts the images are divided, by a hash of their names."""
    fold: int = Field(default=0, ge=0, le=10_000)
    """Which of them is held out for validation."""
    test_fold: int | None = Field(default=None, ge=0, le=10_000)
    """Which of them is held out for the test; none without."""
    ignore_value: Number | None = 255
    """Value of a mask that means: not labelled; a class that names it wins.

    255 is the class itself where it is the only one in all masks."""
    pixel_size_m: Metres = 1.0
    """Nominal size of a pixel; sizes in metres are relative to it."""

    @model_validator(mode="after")
    def _folds_are_there(self) -> ImagesConfig:
        for fold in (self.fold, self.test_fold):
            if fold is not None and fold >= self.folds:
                raise ValueError(f"fold {fold} of {self.folds}: folds count from 0")
        if self.fold == self.test_fold:
            raise ValueError(f"fold {self.fold} is held out twice: fold and test_fold are the same")
        return self


class SyntheticConfig(CardSection):
    """Scenes that the project makes itself, as extra variety."""

    share: float = Field(gt=0, lt=1)
    """Part of all crops that comes from synthetic scenes."""
    first_seed: int = Field(ge=1000, le=2**31)
    """Seed of the first scene; seeds below 1000 are kept for demos and tests."""
    count: int = Field(ge=1, le=100_000)
    """How many scenes, one a seed."""
    size: int = Field(ge=256, le=8192)
    """Edge of a scene in pixels."""
    pixel_size_m: tuple[Metres, Metres] = (0.12, 0.5)
    """Smallest and largest ground size of a pixel."""


class SplitOverlapConfig(CardSection):
    """What is done about ground or images that two splits share."""

    action: Literal["refuse", "warn"] = "refuse"
    """Stop before the first step, or warn and go on."""
    distance: int = Field(default=4, ge=0, le=20)
    """Bits of 64 in which the perceptual hashes of two images may differ and still be one."""
