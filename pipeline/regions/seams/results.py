"""The results of scenes, as far as joining them needs to know them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.core.georef import Georef
from pipeline.core.outlines import Outline
from pipeline.core.polygons.separate import MergeCriterion, Separation
from pipeline.errors import SceneError
from pipeline.mapping.outlines import outline_from
from pipeline.mapping.publish import MANIFEST, manifest_of
from pipeline.outputs.rasters.results import read_mask_header

TOLERANCE = 0.01
"""Pixels by which corners may miss a grid that they lie on."""
_ALIKE = ("model", "task", "threshold", "min_area_m2", "clip")
"""Settings that pieces have in common."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneResult:
    """Where a scene's rasters are, and how its polygons were made of them."""

    folder: Path
    """Folder of its outputs."""
    georef: Georef
    """Where its pixels lie."""
    height: int
    """Rows."""
    width: int
    """Columns."""
    classes: dict[int, str]
    """Names of the classes by value."""
    model: str
    """Name and version of the model."""
    fingerprint: str
    """Digest of the scene's content."""
    complete: bool
    """True where each pixel is valid."""
    settings: dict[str, Any]
    """What decided its outputs."""

    @property
    def kind(self) -> str:
        """What results have in common that can be joined."""
        shape, separation = self.settings["shape"], self.settings["separation"]
        return json.dumps(
            [
                [self.settings.get(name) for name in _ALIKE],
                [shape["outline"], shape["min_hole_m2"]],
                None if separation is None else separation["channel"],
                sorted(self.classes.items()),
            ],
            sort_keys=True,
        )

    @property
    def separation(self) -> Separation | None:
        """How touching objects were taken apart, in its pixels."""
        known = self.settings["separation"]
        if known is None:
            return None
        return Separation(**{**known, "criterion": MergeCriterion(**known["criterion"])})

    @property
    def outline(self) -> Outline:
        """How its polygons were shaped, in its pixels."""
        return outline_from(self.settings["shape"])


def result_of(parquet: Path) -> SceneResult | None:
    """Return the result that a file of polygons belongs to; None where it cannot be joined.

    That is where its rasters are not beside it, it is not georeferenced, or an earlier
    version did not keep the separation's channel.
    """
    folder = parquet.parent
    names = ["mask.tif", "probability.tif", MANIFEST]
    if parquet.name != "polygons.parquet" or not all((folder / name).is_file() for name in names):
        return None
    manifest = manifest_of(folder)
    try:
        header = read_mask_header(folder / "mask.tif")
    except SceneError:
        return None
    if manifest is None or header.georef is None or "shape" not in manifest.get("settings", {}):
        return None
    settings = manifest["settings"]
    if settings.get("separation") is not None and not (folder / "interior.tif").is_file():
        return None
    return SceneResult(
        folder=folder,
        georef=header.georef,
        height=header.height,
        width=header.width,
        classes=dict(header.classes),
        model=header.model,
        fingerprint=header.fingerprint,
        complete=manifest.get("pixels", {}).get("nodata") == 0,
        settings=settings,
    )


def place_on(base: Georef, result: SceneResult) -> tuple[int, int] | None:
    """Return row and column of a result's first pixel on another grid; None if it lies off it."""
    georef = result.georef
    if georef.crs_wkt != base.crs_wkt and georef.crs != base.crs:
        return None
    corners = np.array(
        [[0.0, 0.0], [result.width, 0.0], [0.0, result.height], [result.width, result.height]]
    )
    found = base.to_pixels(georef.to_map(corners)) - corners
    offset = np.rint(found[0])
    if not np.abs(found - offset).max() <= TOLERANCE:
        return None
    return int(offset[1]), int(offset[0])
