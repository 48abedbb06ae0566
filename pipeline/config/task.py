"""Task files (YAML): what is mapped and how; parsed once."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.config.formats import Format
from pipeline.config.nodata import Nodata
from pipeline.config.section import Section, read_section
from pipeline.errors import ConfigError

TASKS = Path(__file__).parents[1] / "tasks"


class ValueRange(Section):
    """Which values of a scene become black and white for the network."""

    range: tuple[float, float] | None = None
    """These two; given once for all scenes."""
    percentiles: tuple[float, float] = (1.0, 99.0)
    """Otherwise these percentiles over a sample of the whole scene, all bands together."""

    @model_validator(mode="after")
    def _ordered(self) -> ValueRange:
        if self.range is not None and self.range[0] >= self.range[1]:
            raise ValueError(f"range {list(self.range)} must rise")
        if not 0 <= self.percentiles[0] < self.percentiles[1] <= 100:
            raise ValueError(f"percentiles {list(self.percentiles)} must rise within 0..100")
        return self


class Separate(Section):
    """How touching objects are taken apart; what is left out is the model card's."""

    threshold: Annotated[float, Field(gt=0, le=1)] | None = None
    """Interior probability from which an object's inside is sure: a marker."""
    opening: Annotated[int, Field(ge=1, le=16)] = 1
    """Markers are unions of squares of so many pixels of the network: 1 leaves them all."""
    min_area_m2: Annotated[float, Field(ge=0)] | None = None
    """Smallest object beside another where the border between them is sure; 0: none falls."""
    doubling_probability: Annotated[float, Field(gt=0)] | None = None
    """By which interior probability along the border an object must be twice as large."""


class Guide(Section):
    """How probabilities follow the edges of the image: the guided filter."""

    radius_px: Annotated[int, Field(ge=1, le=32)] | None = None
    """What the filter's square reaches to every side, in pixels of the scene."""
    radius_m: Annotated[float, Field(gt=0)] | None = None
    """The same in metres; at least a pixel, at most 32."""
    eps: Annotated[float, Field(ge=1e-6, le=1)] = 1e-3
    """Variance of the brightness, 0 black and 1 white, from which an edge is followed."""

    @model_validator(mode="after")
    def _one_radius(self) -> Guide:
        if (self.radius_px is None) == (self.radius_m is None):
            raise ValueError("give radius_px or radius_m, one of them")
        return self


class Refine(Section):
    """What is done to probabilities and mask before polygons are traced; nothing by default."""

    guided: Guide | None = None
    """Probabilities follow the edges of the image."""
    opening_px: Annotated[int, Field(ge=0, le=16)] = 0
    """Parts of the mask that hold no disk of this radius go, in pixels of the scene."""
    closing_px: Annotated[int, Field(ge=0, le=16)] = 0
    """Then gaps that hold no disk of this radius are filled, in pixels of the scene."""


class Shape(Section):
    """What polygons look like in the outputs; the mask stays as it is."""

    outline: Literal["pixels", "subpixel", "simplified", "regularised"] = "pixels"
    """Along the pixels' edges; through the places between pixels where the probability crosses
    the threshold; with fewer corners, shared walls staying shared; or, for buildings, with
    walls at right angles where that does them no wrong."""
    tolerance_m: Annotated[float, Field(gt=0)] | None = None
    """How far an outline may stray from a straight wall, in metres; a pixel and a bit at least."""
    tolerance_px: Annotated[float, Field(gt=0, le=64)] | None = None
    """The same in pixels of the scene; 1.6 where neither is given."""
    min_iou: Annotated[float, Field(ge=0.5, le=1)] = 0.8
    """A polygon whose new outline shares less with its pixels keeps to these."""
    min_hole_m2: Annotated[float, Field(ge=0)] = 0.0
    """Smaller holes are filled; square pixels where there is no place."""

    @model_validator(mode="after")
    def _one_tolerance(self) -> Shape:
        given = [self.tolerance_m, self.tolerance_px]
        if None not in given:
            raise ValueError("give tolerance_m or tolerance_px, not both")
        if self.outline in ("pixels", "subpixel") and given != [None, None]:
            raise ValueError(
                f"outline {self.outline} has no tolerance; leave it out, or use outline: simplified"
            )
        return self


class Task(Section):
    """What to map and how."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    """What the task is called in outputs."""
    model: str
    """Name of a model (`overtile models list`) or path of a checkpoint."""
    threshold: Annotated[float, Field(gt=0, le=1)] | None = None
    """Probability from which a pixel belongs to a class; the model card's if left out."""
    bands: tuple[str | int, ...] | None = None
    """Bands for the network's channels, by name or number; by colour if left out."""
    values: ValueRange = ValueRange()
    """Which values become black and white, where pixels are not 8-bit."""
    nodata: Nodata = "declared"
    """Which value marks missing pixels: ``declared``, ``none``, or the value itself."""
    min_area_m2: Annotated[float, Field(ge=0)] = 0.0
    """Polygons smaller than this are left out; square pixels where there is no place."""
    separate: bool | Separate = True
    """Whether touching objects are taken apart, where the model has a channel for it; or how."""
    refine: Refine = Refine()
    """What is done to probabilities and mask before polygons are traced."""
    shape: Shape = Shape()
    """What polygons look like."""
    formats: tuple[Format, ...] = ("geojson", "parquet")
    """Formats of the polygons; COCO alone where a scene is not georeferenced."""
    edge: Literal["mirror", "replicate", "constant"] | None = None
    """What lies past the scene's edges; the model card's if left out."""

    @model_validator(mode="after")
    def _holes_hold_nothing(self) -> Task:
        # A smaller hole can hold no polygon that is large enough to be kept.
        if self.shape.min_hole_m2 > self.min_area_m2:
            raise ValueError(
                f"shape.min_hole_m2 is {self.shape.min_hole_m2:g} and min_area_m2 "
                f"{self.min_area_m2:g}: a filled hole could hold a polygon; give at most as much"
            )
        return self

    @model_validator(mode="after")
    def _formatted(self) -> Task:
        if not self.formats:
            raise ValueError("formats: name at least one, such as [geojson]")
        return self


def builtin_tasks() -> list[str]:
    """Return the names of the tasks that come with Overtile."""
    return sorted(path.stem for path in TASKS.glob("*.yaml"))


@cache
def load_task(name: str) -> Task:
    """Return a built-in task, or that of a YAML file.

    Raises:
        ConfigError: There is no such task, or its file is invalid; names the field.
    """
    path = TASKS / f"{name}.yaml"
    if "/" in name or not path.is_file():
        path = Path(name)
        if not path.is_file():
            known = ", ".join(builtin_tasks())
            raise ConfigError(
                f"no task is called {name!r} and there is no such file; built-in tasks: {known}"
            )
    return read_section(path, Task, example="name: buildings")
