"""The request of a mapping run."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.config import Task, explain_errors, load_task
from pipeline.errors import ConfigError
from pipeline.models.registry import Device
from pipeline.outputs.vectors.formats import unknown_format
from pipeline.scenes.mosaics.adjoining import Overlap

_UNITS = ("", "K", "M", "G", "T")


@dataclass(frozen=True, slots=True, kw_only=True)
class MapRequest:
    """Scenes to map, and how."""

    scenes: tuple[str, ...]
    """Files, folders, globs, STAC items or URLs."""
    out: Path
    """Folder in which each scene gets its own."""
    task: str = "buildings"
    """Name or file of the task."""
    model: str | None = None
    """Name or file of the model, instead of the task's."""
    executor: str = "local"
    """``serial``, ``local``, or the address of a Dask scheduler."""
    device: Device = "auto"
    """Where the network runs."""
    tile_timeout_s: float = 1800.0
    """How long a tile may take before it is tried elsewhere; not with ``serial``."""
    tile: int | None = None
    """Edge of a tile with its halo, in pixels; None follows from memory."""
    max_memory: int = 4 * 10**9
    """Bytes that the process may take."""
    aoi: Path | None = None
    """Area of interest."""
    aoi_layer: str | None = None
    """Which layer of its file; the only one with polygons if None."""
    clip: bool = False
    """Whether polygons are cut at the area of interest."""
    truth: Path | None = None
    """True polygons, for a report at the end."""
    truth_layer: str | None = None
    """Which layer of their file; the only one with polygons if None."""
    threshold: float | None = None
    """Instead of the task's."""
    bands: tuple[str, ...] | None = None
    """Instead of the task's."""
    values: tuple[float, float] | None = None
    """Values that become black and white, instead of the task's."""
    nodata: str | float | None = None
    """``declared``, ``none``, ``nan`` or a number that marks missing pixels, instead of the
    task's."""
    formats: tuple[str, ...] = ()
    """Formats of the polygons, instead of the task's."""
    separate: bool | None = None
    """Whether touching objects are separated, instead of the task's setting."""
    as_one_scene: bool = False
    """Whether the scenes are adjoining files that are mapped as one."""
    overlap: Overlap | None = None
    """Whose pixels are taken where such files overlap; those of the one named first if None."""
    name: str | None = None
    """Folder of the outputs of such files; the first file's name if None."""
    keep_interior: bool = False
    """Whether the interior probability is an output too, as joining across scenes needs."""
    scene_options: tuple[tuple[str, str], ...] = ()
    """Settings for opening scenes: ``crs``, ``datetime``, ``asset``, ``slices``."""

    @property
    def chosen_task(self) -> Task:
        """The task, overridden by the options of the command.

        Raises:
            ConfigError: There is no such task, or a value is out of range.
        """
        task = load_task(self.task)
        if self.aoi_layer is not None and self.aoi is None:
            raise ConfigError("--aoi-layer is for --aoi alone; leave it out")
        if self.truth_layer is not None and self.truth is None:
            raise ConfigError("--truth-layer is for --truth alone; leave it out")
        for name in self.formats:
            if fault := unknown_format(name):
                raise ConfigError(f"--format {fault}")
        if self.threshold is not None and not 0 < self.threshold <= 1:
            raise ConfigError(f"--threshold {self.threshold:g}: give a number above 0, at most 1")
        changes: dict[str, Any] = {
            "model": self.model,
            "threshold": self.threshold,
            "bands": self.bands,
            "values": None if self.values is None else {"range": self.values},
            "nodata": self.nodata,
            "formats": self.formats or None,
            # The separation options of a task stay in force.
            "separate": None if self.separate == bool(task.separate) else self.separate,
        }
        known = {name: value for name, value in changes.items() if value is not None}
        try:
            return Task.model_validate({**task.model_dump(), **known}, strict=False)
        except ValidationError as error:
            raise ConfigError(explain_errors(error, Task)) from error


def memory(text: str) -> int:
    """Return bytes of ``4GB``, ``512M``, ``1.5 GiB`` or ``4000000000``.

    Raises:
        ConfigError: It is no size.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(I?)B?\s*", text.upper())
    if found is None:
        raise ConfigError(f"--max-memory {text!r} is no size; write it as 4GB or 512MB")
    base = 1024 if found[3] else 1000
    return int(float(found[1]) * base ** _UNITS.index(found[2]))


def numbers(text: str, *, option: str) -> tuple[float, float]:
    """Return two numbers of ``LOW,HIGH``.

    Raises:
        ConfigError: They are not two rising numbers.
    """
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(f"{option} {text!r}: give two numbers, such as 0,3000") from error
    if not low < high or not math.isfinite(high - low):
        raise ConfigError(f"{option} {text!r}: both finite, the first less than the second")
    return low, high
