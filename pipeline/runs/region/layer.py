"""The footprints of many overlapping scenes as one layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Policy = Literal["newest", "confident", "nadir"]
"""Whose outline stays: the newest scene's, the surest footprint, or the scene seen most upright."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerScene:
    """One mapped scene as the layer takes it in."""

    key: str
    """Name that tells it from all other scenes of the region, the same in every run."""
    parquet: Path
    """``polygons.parquet`` as ``overtile map`` writes it, in the scene's reference system."""
    coverage: bytes
    """Area that was validly mapped, as WKB in WGS 84 longitude and latitude."""
    datetime: str | None = None
    """Time of acquisition as RFC 3339; without one the scene is older than every dated one."""
    off_nadir: float | None = None
    """Angle off nadir in degrees; without one it is taken to be the most oblique."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSummary:
    """What became of the footprints; ``given == footprints + united + gone + lost``."""

    scenes: int
    """Scenes taken in."""
    given: int
    """Footprints of all scenes."""
    footprints: int
    """Footprints of the layer."""
    united: int
    """Footprints that show a building which another footprint stands for."""
    gone: int
    """Footprints of buildings that a newer scene covers and does not show (policy newest)."""
    lost: int
    """Footprints that have no place on the Earth, or no area after rounding."""
    new: int
    """Footprints whose building_id the previous layer does not have."""
    kept: int
    """Footprints whose building_id is the previous layer's."""
    ended: int
    """Building ids of the previous layer that this one no longer has."""


def build_layer(
    scenes: Sequence[LayerScene], *, previous: Path | None, out: Path, policy: Policy
) -> LayerSummary:
    """Write the footprints of all scenes as one clean layer: GeoParquet 1.1 in WGS 84.

    The layer is what the given scenes show, whatever their order; ``previous`` lends
    building ids and dates, and no geometry. Give all scenes of the region at every run.

    Beside ``out`` stands ``<stem>.observations.arrow``: a row for each given footprint with
    ``scene``, ``id``, ``outcome`` (drawn, united, gone, lost) and ``building_id``.

    Args:
        scenes: Mapped scenes with different keys.
        previous: The layer of the run before, if there is one.
        out: The file to be.
        policy: Whose outline stays where several scenes show one building.

    Raises:
        ConfigError: Two scenes have the same key, or a date or coverage cannot be read.
        SceneError: The footprints of a scene cannot be read.
        ExportError: The layer could not be written.
    """
    raise NotImplementedError
