"""What changed between two layers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """Some footprints: how many, and how large together."""

    count: int
    """Footprints."""
    area_m2: float
    """Their geodesic area, to 0.1 square metres."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeSummary:
    """What changed between two layers, where both were mapped."""

    added: Amount
    """Footprints of the later layer on ground where the earlier has none."""
    removed: Amount
    """Footprints of the earlier layer on ground where the later has none."""
    changed: Amount
    """Footprints of the later layer that differ from the earlier by more than the tolerances."""
    unchanged: Amount
    """Footprints of the later layer that are the earlier's, but for noise."""
    unseen_before: Amount
    """Footprints of the later layer on ground that was not mapped in the earlier run."""
    unseen_after: Amount
    """Footprints of the earlier layer on ground that was not mapped in the later run."""


def changes(
    before: Path, after: Path, out: Path, *, iou: float = 0.5, area: float = 0.25
) -> ChangeSummary:
    """Write what changed between two layers as ``changes.geojson`` and ``changes.parquet``.

    Each feature has ``change``: added, removed or changed.

    Args:
        before: The earlier layer, as `build_layer` writes it.
        after: The later layer.
        out: Folder for both files; made where it is missing.
        iou: Footprints that overlap at least so much have the same outline.
        area: Footprints whose areas differ by at most this share of the larger have the
            same size. What has the same outline and size is unchanged.

    Raises:
        ConfigError: A file is no layer, or a tolerance lies outside 0..1.
        ExportError: A file could not be written.
    """
    raise NotImplementedError
