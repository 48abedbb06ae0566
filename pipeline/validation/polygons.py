"""What holds for the polygons of every format that stores them as WKB."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from jaxtyping import Bool, Float64, Int64, Shaped

from pipeline.validation.complaints import Findings

_AREAL = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)


def read_wkb(
    wkb: Any, rows: Int64[np.ndarray, " n"], complaints: Findings
) -> tuple[Shaped[np.ndarray, " m"], Int64[np.ndarray, " m"]]:
    """Return the geometries that can be read and their rows; note the others."""
    shapes = shapely.from_wkb(np.asarray(wkb, dtype=object), on_invalid="ignore")
    readable = ~shapely.is_missing(shapes)
    complaints.add_all("has a geometry that is not WKB", rows[~readable])
    return shapes[readable], rows[readable]


def check_polygons(
    shapes: Shaped[np.ndarray, " n"], rows: Int64[np.ndarray, " n"], complaints: Findings
) -> None:
    """Note what is no polygon, not valid by OGC, empty, or wound against RFC 7946."""
    areal = np.isin(shapely.get_type_id(shapes), _AREAL)
    complaints.add_all("is neither Polygon nor MultiPolygon", rows[~areal])
    complaints.add_all("is not a valid geometry (OGC)", rows[~shapely.is_valid(shapes)])
    complaints.add_all("is empty", rows[shapely.is_empty(shapes)])
    parts, owner = shapely.get_parts(shapes[areal], return_index=True)
    turned = ~shapely.is_ccw(shapely.get_exterior_ring(parts))
    complaints.add_all(
        "has an outer ring that runs clockwise", rows[areal][np.unique(owner[turned])]
    )
    holes, holder = shapely.get_rings(parts, return_index=True)
    inner = np.ones(len(holes), bool)
    inner[np.unique(holder, return_index=True)[1]] = False
    wrong = owner[holder[inner & shapely.is_ccw(holes)]]
    complaints.add_all("has a hole that runs counter-clockwise", rows[areal][np.unique(wrong)])


class Extent:
    """The box of all geometries seen."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.box: Float64[np.ndarray, " 4"] = np.array([np.inf, np.inf, -np.inf, -np.inf])

    def grow(self, bounds: Float64[np.ndarray, "n 4"]) -> None:
        """Take in more boxes; those of empty geometries are NaN and change nothing."""
        self.box[:2] = np.fmin.reduce(np.vstack([self.box[:2], bounds[:, :2]]))
        self.box[2:] = np.fmax.reduce(np.vstack([self.box[2:], bounds[:, 2:]]))

    def told_as(self, box: Any, *, rtol: float = 1e-9) -> bool:
        """Return whether ``box`` is this one, but for rounding; without geometries all are."""
        if not np.isfinite(self.box).all():
            return True
        if box is None or len(box) != 4 or any(side is None for side in box):
            return False
        return bool(np.allclose(self.box, np.asarray(box, np.float64), rtol=rtol, atol=1e-9))


def not_within(
    inner: Float64[np.ndarray, "n 4"], outer: Float64[np.ndarray, "n 4"]
) -> Bool[np.ndarray, " n"]:
    """Return which boxes reach out of their own outer one."""
    out = (inner[:, :2] < outer[:, :2]) | (inner[:, 2:] > outer[:, 2:])
    return np.asarray(out.any(axis=1))
