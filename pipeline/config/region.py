"""Region files (YAML): what is mapped repeatedly, and where the results go."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from pipeline.config.formats import Output
from pipeline.config.interval import parse_interval
from pipeline.config.nodata import Nodata
from pipeline.config.section import Section, read_section
from pipeline.errors import ConfigError

_CRON = re.compile(r"[0-9A-Za-z*,/-]+( [0-9A-Za-z*,/-]+){4}")
_ENV = r"^[A-Za-z_][A-Za-z0-9_]*$"
_TABLE = r"^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?$"
Box = tuple[float, float, float, float]
Url = Annotated[str, Field(pattern="^(https?|s3|gs)://")]


class RegionArea(Section):
    """What is mapped: one of both."""

    file: str | None = None
    """Polygons in a file: GeoJSON, GeoPackage, ..."""
    layer: str | None = None
    """Layer of the file; its only one with polygons if left out."""
    bbox: Box | None = None
    """West, south, east, north in degrees."""

    @model_validator(mode="after")
    def _one(self) -> RegionArea:
        if (self.file is None) == (self.bbox is None):
            raise ValueError("give either file or bbox")
        if self.layer is not None and self.file is None:
            raise ValueError("a layer is that of a file; leave layer out")
        if self.bbox is not None:
            west, south, east, north = self.bbox
            if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
                raise ValueError(
                    f"bbox {list(self.bbox)} must be west < east in -180..180 and south < north "
                    "in -90..90; across the antimeridian give a file with both parts"
                )
        return self


class Filter(Section):
    """Which scenes of a catalogue are wanted."""

    datetime: str | None = None
    """From/to as in STAC: ``2024-01-01/..``, ``../2024-06-30``, ``2024-01-01/2024-06-30``."""
    max_cloud: Annotated[float, Field(ge=0, le=100)] | None = None
    """Largest ``eo:cloud_cover`` in percent; items without it are taken."""
    asset: str = ""
    """Which asset of an item is the scene; chosen by media type and role if left out."""

    @field_validator("datetime")
    @classmethod
    def _interval(cls, text: str | None) -> str | None:
        if text is not None:
            parse_interval(text)
        return text


class Files(Section):
    """A folder of scenes, or a glob."""

    type: Literal["files"]
    """``files``."""
    path: str
    """Folder, file or glob, such as ``scenes/*.tif``."""


class Catalog(Filter):
    """A static STAC catalogue: a file or a URL, read along its links."""

    type: Literal["catalog"]
    """``catalog``."""
    href: str
    """``catalog.json``, a collection, or a feature collection of items."""


class Api(Filter):
    """A STAC API."""

    type: Literal["api"]
    """``api``."""
    url: Annotated[str, Field(pattern="^https?://")]
    """Its landing page."""
    collections: Annotated[tuple[str, ...], Field(min_length=1)]
    """Collections that are searched."""
    limit: Annotated[int, Field(ge=1, le=100_000)] = 10_000
    """More items than this are an error: the search is too wide."""


class Urls(Section):
    """Scenes by URL."""

    type: Literal["urls"]
    """``urls``."""
    urls: Annotated[tuple[Url, ...], Field(min_length=1)]
    """GeoTIFFs or STAC items."""


Source = Annotated[Files | Catalog | Api | Urls, Field(discriminator="type")]


class Schedule(Section):
    """When the region is mapped."""

    cron: str
    """Minute, hour, day, month, weekday (0 or 7: Sunday); day, weekday or both are ``*``."""
    timezone: str = "UTC"
    """By the clocks of this place, such as ``Asia/Kathmandu``."""

    @model_validator(mode="after")
    def _known(self) -> Schedule:
        if not _CRON.fullmatch(self.cron):
            raise ValueError(f"cron {self.cron!r} must be five fields, such as '30 2 * * 1'")
        _, _, day, _, weekday = self.cron.split(" ")
        if "*" not in (day, weekday):
            raise ValueError(
                f"cron {self.cron!r} has both a day and a weekday: crontab takes either, others "
                "both at once; write * for one of the two"
            )
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(
                f"timezone {self.timezone!r} is unknown; write it as Asia/Kathmandu or UTC"
            ) from error
        return self


class PostGIS(Section):
    """A table that holds the layer."""

    type: Literal["postgis"]
    """``postgis``."""
    url_env: Annotated[str, Field(pattern=_ENV)]
    """Environment variable with the URL: passwords have no place in files."""
    table: Annotated[str, Field(pattern=_TABLE)]
    """``TABLE`` or ``SCHEMA.TABLE``."""


class Policies(Section):
    """How the region deals with overlaps, age and failure."""

    overlap: Literal["newest", "confident", "nadir"] = "newest"
    """Whose outline stays where several scenes show one building."""
    withdrawn: Literal["keep", "drop"] = "keep"
    """Whether scenes that their source no longer lists stay in the layer; the results of dropped
    ones are set aside, and removed by the next run that does not find them either."""
    keep_runs: Annotated[int, Field(ge=2)] = 12
    """Layers of so many runs are kept."""
    error_budget: Annotated[int, Field(ge=0)] = 20
    """A run stops, and leaves the layer as it was, when more scenes than this fail."""
    retries: Annotated[int, Field(ge=0)] = 5
    """A scene that failed is tried so many times more, until its content changes."""
    backoff_s: Annotated[float, Field(ge=0)] = 900.0
    """First wait before a scene is tried again; doubled every time, a week at most."""


class Compute(Section):
    """Executor, device and memory; the results do not depend on them."""

    executor: str = "local"
    """``serial``, ``local`` or the address of a Dask scheduler."""
    device: Literal["auto", "cpu", "cuda", "openvino", "onnxruntime", "torch"] = "auto"
    """Where the network runs."""
    max_memory: str = "4GB"
    """Memory of the process."""


class Region(Section):
    """A region that is mapped again and again. Paths start at its folder and stay in it."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
    """What the region is called."""
    aoi: RegionArea | None = None
    """Area of interest; all of every scene if left out."""
    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    """Where scenes come from."""
    task: str = "buildings"
    """Name or file of the task."""
    model: str | None = None
    """Name or file of the model, instead of the task's."""
    nodata: Nodata | None = None
    """Which value marks missing pixels (``declared``, ``none`` or the value), instead of the
    task's."""
    out: str = "out"
    """Folder for everything that is made."""
    ledger_env: Annotated[str, Field(pattern=_ENV)] | None = None
    """Environment variable with the URL of a PostgreSQL ledger; a file in ``out`` if left out."""
    schedule: Schedule | None = None
    """When it is mapped."""
    outputs: tuple[Output, ...] = ("geojson", "stac")
    """Formats of the layer, named as for a scene, and ``stac``, a catalogue; GeoParquet in one
    piece is always there, and ``parquet`` is GeoParquet in squares."""
    sinks: tuple[PostGIS, ...] = ()
    """Where else the layer goes."""
    policies: Policies = Policies()
    """How the region deals with overlaps, age and failure."""
    compute: Compute = Compute()
    """Executor, device and memory."""


def load_region(path: Path) -> Region:
    """Return the region of a YAML file.

    Raises:
        ConfigError: It cannot be read or is invalid; names the field.
    """
    return read_section(path, Region, example="name: town")


def resolve_path(root: Path, text: str, *, field: str) -> Path:
    """Return a path of a region file, absolute; links are followed.

    Raises:
        ConfigError: It leads out of ``root``.
    """
    path = Path(os.path.realpath(root / text.replace("\0", "")))
    if "\0" in text or not path.is_relative_to(os.path.realpath(root)):
        raise ConfigError(
            f"{field}: {text} leads out of {root}; move it there, or give another --root"
        )
    return path


def region_schema() -> str:
    """Return the JSON schema of region files, for editors."""
    schema: dict[str, Any] = Region.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"
