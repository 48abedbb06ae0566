"""Provenance of outputs: scene, model, classes."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.core.georef import Georef


@dataclass(frozen=True, slots=True, kw_only=True)
class MapClass:
    """One class of the map."""

    value: int
    """As it stands in the mask, from 1 to 254."""
    name: str
    """As it stands in the polygons' ``class``."""
    colour: tuple[int, int, int]
    """Red, green and blue, 0..255, in the mask's colour table and in pictures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """The scene, model and classes of an output."""

    scene: str
    """Name of the scene."""
    fingerprint: str
    """Digest of the scene's content; polygon ids depend on it."""
    datetime: str | None
    """Time of acquisition as RFC 3339 in UTC, where it is known."""
    model: str
    """Name and version of the model."""
    classes: tuple[MapClass, ...]
    """The classes, by value."""
    height: int
    """Rows of the scene."""
    width: int
    """Columns of the scene."""
    georef: Georef | None
    """Where the scene's pixels lie; None for images that are not georeferenced."""

    def class_name(self, value: int) -> str:
        """Return the name of the class that stands as ``value`` in the mask.

        Raises:
            ValueError: No class has this value.
        """
        for known in self.classes:
            if known.value == value:
                return known.name
        raise ValueError(f"class {value} is not among {[c.value for c in self.classes]}")
