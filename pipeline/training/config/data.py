"""Where crops come from."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from pipeline.models.card import Section


class PlaceConfig(Section):
    """One ground, photographed once or at several zooms, with one label file."""

    name: str
    """What logs and scores call it."""
    scenes: tuple[Path, ...] = Field(min_length=1)
    """Rasters of the same ground, one a zoom."""
    labels: Path
    """Polygons, one a building, in any CRS."""
    share: float = Field(default=1.0, gt=0)
    """How often crops come from here, relative to the other places."""
    empty: int | None = None
    """Pixels with this value in every band lie outside the survey: not labelled."""


class MadeConfig(Section):
    """Scenes that the project makes itself, as extra variety."""

    share: float = Field(gt=0, lt=1)
    """Part of all crops that comes from made scenes."""
    first_seed: int = Field(ge=1000)
    """Seed of the first scene; seeds below 1000 are kept for demos and tests."""
    count: int = Field(ge=1)
    """How many scenes, one a seed."""
    size: int = Field(ge=256)
    """Edge of a scene in pixels."""
    pixel_m: tuple[float, float] = (0.12, 0.5)
    """Smallest and largest ground size of a pixel."""
