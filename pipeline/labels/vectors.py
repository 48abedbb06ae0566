"""Geometries as they stand in a file, and the errors that name what is wrong with one."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from jaxtyping import Shaped
from pyproj import CRS
from pyproj.exceptions import CRSError

from pipeline.errors import ConfigError

KEPT = ("id", "class", "label", "class_name", "category", "confidence", "score", "probability")
"""Attributes that mean something here; all others stay in the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors:
    """The geometries of a file as they stand there, and what they are called."""

    source: str
    """The file, for messages."""
    geometry: Shaped[np.ndarray, " n"]
    """Shapely geometries of any kind in two dimensions, valid or not; None where there is none."""
    crs: CRS | None
    """What their coordinates mean; None for pixels ``(x=col, y=row)``."""
    columns: dict[str, list[Any]]
    """The attributes asked for, one value a geometry."""
    fields: tuple[str, ...] = ()
    """Names of all attributes of the file or layer."""
    notes: tuple[str, ...] = field(default=())
    """What was repaired while reading."""


def refusal(path: Path, reason: str, hint: str) -> ConfigError:
    """Return the error that names a file, what is wrong with it, and what to do."""
    return ConfigError(f"{path}: {reason}; {hint}")


def from_wkb(shapes: Shaped[np.ndarray, " n"]) -> Shaped[np.ndarray, " n"]:
    """Return geometries of well-known binary; NaN among their coordinates is no complaint yet."""
    with np.errstate(invalid="ignore"):
        return np.asarray(shapely.from_wkb(shapes), object)


def known_crs(path: Path, text: str) -> CRS:
    """Return the reference system that a file names.

    Raises:
        ConfigError: It is not known, or it is defined in another file.
    """
    if "+init" in text.lower() and not re.search(r"(?i)\+init=\s*epsg:\d+", text):
        raise refusal(path, f"its CRS {text[:80]!r} is another file", "reproject it to EPSG:4326")
    try:
        return CRS.from_user_input(text)
    except CRSError as error:
        raise refusal(
            path, f"its CRS {text[:80]!r} is not known", "reproject it to EPSG:4326"
        ) from error


def not_georeferenced(path: Path) -> ConfigError:
    """Return the error for coordinates that could be anywhere."""
    return refusal(path, "it names no CRS", "write it with one, or as GeoJSON in degrees")


def first_words(error: BaseException) -> str:
    """Return the first words of an error on one line."""
    return " ".join(str(error).split())[:160]
