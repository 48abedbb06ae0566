"""Finished polygons with their attributes, in columns."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64, Shaped


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprints:
    """A batch of finished polygons: one row each, ready to be written."""

    geometry: Shaped[np.ndarray, " n"]
    """Valid shapely Polygons in pixel coordinates ``(x=col, y=row)`` of the scene."""
    label: Int32[np.ndarray, " n"]
    """Class as it stands in the mask, from 1."""
    confidence: Float64[np.ndarray, " n"]
    """Mean probability over the polygon's pixels, 0..1."""
    area_m2: Float64[np.ndarray, " n"]
    """Geodesic area; the area in pixels where the scene is not georeferenced."""
    perimeter_m: Float64[np.ndarray, " n"]
    """Geodesic length of all its rings; in pixels where the scene is not georeferenced."""
    touches_scene_edge: Bool[np.ndarray, " n"]
    """True where the polygon touches the scene's frame and may go on outside it."""
    touches_aoi: Bool[np.ndarray, " n"]
    """True where the polygon crosses the border of the area of interest."""
    touches_failure: Bool[np.ndarray, " n"]
    """True where the polygon borders a tile that could not be predicted."""
    regularised: Bool[np.ndarray, " n"]
    """True where its walls were put at right angles."""
    row: Int64[np.ndarray, " n"]
    """Row of its first pixel: polygons are ordered by ``(row, col)``."""
    col: Int64[np.ndarray, " n"]
    """Column of its first pixel."""

    def __len__(self) -> int:
        """Return the number of polygons."""
        return len(self.geometry)

    def take(self, which: Any) -> Footprints:
        """Return the rows that ``which`` (indices or a mask) selects."""
        return Footprints(**{f.name: getattr(self, f.name)[which] for f in fields(self)})
