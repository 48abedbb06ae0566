"""A region as a page: scenes on a map, failures, changes, and how it went from run to run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from shapely.geometry.base import BaseGeometry

from pipeline.errors import ConfigError
from pipeline.outputs.report.page import write_region_page
from pipeline.regions.layer.changes import ChangeSummary

_WIDTH = 1000.0
_DEGREE_M = 111_195.0  # of latitude, on a sphere
_MOST_CHANGES = 4000
_MOST_FAILURES = 500
_MOST_FAULTS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportHeader:
    """Region and times of a report, as people read them."""

    region: str
    """Name of the region."""
    written: str
    """When the report is written."""
    next_run: str | None = None
    """When the schedule maps the region next; None without a schedule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportScene:
    """A scene in the report."""

    key: str
    """Its name."""
    state: str
    """``done``, ``failed``, ``partial`` (tiles failed), ``waiting``, or another word."""
    area: bytes | None = None
    """What it mapped, or its frame, as WKB in longitude and latitude."""
    datetime: str | None = None
    """When it was taken."""
    km2: float | None = None
    """Area that it mapped validly."""
    attempts: int = 0
    """How often it was tried."""
    reason: str | None = None
    """Why it failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRun:
    """A run in the report."""

    run: str
    """Its name."""
    began: str
    """When, as people read it."""
    state: str
    """What it came to."""
    mapped: int | None = None
    """Scenes mapped in it."""
    failed: int | None = None
    """Scenes that failed in it."""
    footprints: int | None = None
    """Footprints of the layer at its end."""
    added: int | None = None
    """Footprints added since the run before."""
    removed: int | None = None
    """Footprints removed since the run before."""
    changed: int | None = None
    """Footprints changed since the run before."""
    faults: tuple[str, ...] = ()
    """What was wrong with the sources."""
    notes: tuple[str, ...] = ()
    """What else is to be known of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportChanges:
    """What changed between the last two runs."""

    before: str
    """Name of the earlier run."""
    after: str
    """Name of the later run."""
    summary: ChangeSummary
    """Counts and areas."""
    layer: Path
    """``changes.parquet``."""
    iou: float = 0.5
    """Tolerance of outlines that `changes` was given."""
    area: float = 0.25
    """Tolerance of areas that `changes` was given."""


def write_region_report(
    path: Path,
    *,
    header: ReportHeader,
    scenes: Sequence[ReportScene],
    runs: Sequence[ReportRun],
    changes: ReportChanges | None = None,
) -> None:
    """Write the report of a region as one page that loads nothing.

    Args:
        path: The page to be.
        header: Region and times.
        scenes: All scenes.
        runs: All runs, the earliest first.
        changes: What changed in the last run.

    Raises:
        ConfigError: The changes cannot be read.
        ExportError: The page could not be written.
    """
    shapes = [_shape(scene.area) for scene in scenes]
    points = _changes(changes)
    plane = _Plane(shapely.union_all([shapely.box(*s.bounds) for s in shapes if not s.is_empty]))
    failures = [scene for scene in scenes if scene.state in ("failed", "partial")]
    faults = runs[-1].faults if runs else ()
    notes = [*(runs[-1].notes if runs else ()), *faults[:_MOST_FAULTS]]
    if len(faults) > _MOST_FAULTS:
        notes.append(f"{len(faults)} faults of the sources; {_MOST_FAULTS} of them are listed.")
    if len(failures) > _MOST_FAILURES:
        notes.append(f"{len(failures)} scenes failed; {_MOST_FAILURES} of them are listed.")
    write_region_page(
        path,
        title=f"Region {header.region}",
        data={
            "region": header.region,
            "written": header.written,
            "next": header.next_run,
            "notes": notes,
            "scenes": [
                {
                    "key": scene.key,
                    "state": scene.state,
                    "datetime": scene.datetime,
                    "reason": scene.reason,
                    "km2": scene.km2,
                    "rings": plane.rings(shape),
                }
                for scene, shape in zip(scenes, shapes, strict=True)
            ],
            "map": {
                "width": plane.width,
                "height": plane.height,
                "metres": plane.metres,
                "changes": [
                    [kind, *plane.point(x, y), name, area] for kind, x, y, name, area in points
                ],
                "note": _map_note(shapes, changes, len(points)),
            },
            "failures": [
                {"key": scene.key, "attempts": scene.attempts, "reason": scene.reason}
                for scene in failures[:_MOST_FAILURES]
            ],
            "runs": [_row(run) for run in runs],
            "changes": None if changes is None else _told(changes),
        },
    )


def _row(run: ReportRun) -> dict[str, Any]:
    row = asdict(replace(run, faults=()))
    del row["notes"]
    return row


class _Plane:
    """A map of all scenes, 1000 wide: longitudes shrunk to their length in the middle."""

    def __init__(self, frame: BaseGeometry) -> None:
        if frame.is_empty:
            frame = shapely.box(0, 0, 1, 1)
        self._west, south, east, self._north = frame.bounds
        # A region across the antimeridian: the western half goes to the east of the other.
        parts = shapely.bounds(shapely.get_parts(frame))
        self._turned = False
        if east - self._west > 180:
            turned = np.where(parts[:, [0, 2]] < 0, parts[:, [0, 2]] + 360, parts[:, [0, 2]])
            if turned.max() - turned.min() < east - self._west:
                self._turned = True
                self._west, east = float(turned.min()), float(turned.max())
        self._shrunk = max(0.05, math.cos(math.radians((south + self._north) / 2)))
        across = max((east - self._west) * self._shrunk, (self._north - south) / 2, 1e-6)
        self._scale = 0.92 * _WIDTH / across
        self.metres = _DEGREE_M / self._scale
        """Length of one unit of the map."""
        self.width = _WIDTH
        self.height = round((self._north - south) * self._scale + 0.08 * _WIDTH, 1)
        self._margin = (self.width - (east - self._west) * self._shrunk * self._scale) / 2

    def point(self, lon: float, lat: float) -> list[float]:
        """Return where a place is on the map."""
        if self._turned and lon < 0:
            lon += 360
        x = (lon - self._west) * self._shrunk * self._scale + self._margin
        return [round(x, 2), round((self._north - lat) * self._scale + 0.04 * _WIDTH, 2)]

    def rings(self, shape: BaseGeometry) -> list[list[list[float]]]:
        """Return the rings of an area on the map, no finer than a screen shows."""
        simple = shapely.simplify(shape, 0.5 / self._scale)
        lines = shapely.get_rings(shapely.get_parts([simple]))
        return [[self.point(*place) for place in line.coords] for line in lines]


def _shape(wkb: bytes | None) -> BaseGeometry:
    if wkb is None:
        return shapely.Polygon()
    parts = shapely.get_parts(shapely.get_parts([shapely.force_2d(shapely.from_wkb(wkb))]))
    found: BaseGeometry = shapely.multipolygons(parts[shapely.get_dimensions(parts) == 2])
    return found


def _changes(changes: ReportChanges | None) -> list[tuple[str, float, float, str, float]]:
    """Return kind, place, id and area of the largest changes."""
    if changes is None:
        return []
    try:
        table = pq.read_table(
            changes.layer, columns=["change", "building_id", "area_m2", "geometry"]
        )
    except (OSError, pa.ArrowException, ValueError) as error:
        raise ConfigError(f"{changes.layer} cannot be read as changes: {error}") from error
    largest = np.argsort(-table["area_m2"].to_numpy(), kind="stable")[:_MOST_CHANGES]
    table = table.take(pa.array(np.sort(largest)))
    middle = shapely.centroid(shapely.from_wkb(table["geometry"].to_numpy()))
    return list(
        zip(
            table["change"].to_pylist(),
            shapely.get_x(middle).tolist(),
            shapely.get_y(middle).tolist(),
            table["building_id"].to_pylist(),
            table["area_m2"].to_pylist(),
            strict=True,
        )
    )


def _told(changes: ReportChanges) -> dict[str, Any]:
    own = {"before": changes.before, "after": changes.after}
    return {**asdict(changes.summary), **own, "iou": changes.iou, "area": changes.area}


def _map_note(shapes: Sequence[BaseGeometry], changes: ReportChanges | None, shown: int) -> str:
    words = []
    if missing := sum(shape.is_empty for shape in shapes):
        words.append(f"Scenes whose place is not known, and which are not on the map: {missing}.")
    if changes is not None:
        summary = changes.summary
        total = summary.added.count + summary.removed.count + summary.changed.count
        if total > shown:
            words.append(f"Of {total} changes, the {shown} largest are on the map.")
    return " ".join(words)
