"""Where pixels lie on the Earth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import shapely
from jaxtyping import Float64
from pyproj import CRS, Geod, Transformer
from shapely import Polygon

WGS84 = Geod(ellps="WGS84")


@lru_cache(maxsize=64)
def _crs(wkt: str) -> CRS:
    return CRS.from_wkt(wkt)


@lru_cache(maxsize=64)
def _to_lonlat(wkt: str) -> Transformer:
    return Transformer.from_crs(_crs(wkt), "OGC:CRS84", always_xy=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Georef:
    """The grid of a scene on the Earth: a CRS and an affine transform.

    The transform takes pixel corners ``(col, row)`` to map coordinates:
    ``x = a*col + b*row + c`` and ``y = d*col + e*row + f``. Rotated, sheared,
    mirrored and south-up grids are all just other numbers.
    """

    crs_wkt: str
    """Coordinate reference system as WKT 2."""
    transform: tuple[float, float, float, float, float, float]
    """``(a, b, c, d, e, f)``, in units of the CRS."""

    @property
    def crs(self) -> CRS:
        """The reference system as a pyproj object."""
        return _crs(self.crs_wkt)

    @property
    def mirrored(self) -> bool:
        """True where the grid is a mirror image of a north-up one (south-up, west-facing)."""
        a, b, _, d, e, _ = self.transform
        return a * e - b * d > 0

    def to_map(self, pixels: Float64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n 2"]:
        """Return map coordinates ``(x, y)`` of pixel corners ``(col, row)``."""
        a, b, c, d, e, f = self.transform
        col, row = pixels[:, 0], pixels[:, 1]
        return np.column_stack([a * col + b * row + c, d * col + e * row + f])

    def to_pixels(self, points: Float64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n 2"]:
        """Return pixel coordinates ``(col, row)`` of map coordinates ``(x, y)``."""
        a, b, c, d, e, f = self.transform
        det = a * e - b * d
        x, y = points[:, 0] - c, points[:, 1] - f
        return np.column_stack([(e * x - b * y) / det, (a * y - d * x) / det])

    def to_lonlat(self, pixels: Float64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n 2"]:
        """Return longitude and latitude in WGS 84 degrees of pixel corners ``(col, row)``.

        Points that the reference system cannot place come back as infinite.
        """
        points = self.to_map(pixels)
        lon, lat = _to_lonlat(self.crs_wkt).transform(points[:, 0], points[:, 1])
        return np.column_stack([lon, lat])

    def ground_size_m(self, *, col: float, row: float) -> tuple[float, float]:
        """Return the ground length in metres of one pixel step along columns and along rows.

        Measured on the WGS 84 ellipsoid around pixel position ``(col, row)``, over
        64 pixels, so that it holds for degrees, feet and Web Mercator alike.
        """
        half = 32.0
        ends = np.array(
            [[col - half, row], [col + half, row], [col, row - half], [col, row + half]]
        )
        lonlat = self.to_lonlat(ends)
        _, _, along_cols = WGS84.inv(*lonlat[0], *lonlat[1])
        _, _, along_rows = WGS84.inv(*lonlat[2], *lonlat[3])
        return along_cols / (2 * half), along_rows / (2 * half)

    def pixel_area_m2(self, pixels: Float64[np.ndarray, "n 2"]) -> Float64[np.ndarray, " n"]:
        """Return the ground area of one pixel around each position ``(col, row)``.

        The geodesic parallelogram of 32 x 32 pixels around it, over their number: for
        areas within some hundred pixels this is the area on the WGS 84 ellipsoid to a
        millionth. NaN where the position does not lie on the Earth.
        """
        across, down, turn = self._steps(pixels)
        return np.asarray(across * down * np.abs(np.sin(turn)))

    def pixel_metric_m2(self, pixels: Float64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n 3"]:
        """Return ``E, F, G``: a step of (dx, dy) pixels is sqrt(E dx2 + 2 F dx dy + G dy2) m.

        Measured like `pixel_area_m2`, and NaN in the same places.
        """
        across, down, turn = self._steps(pixels)
        return np.column_stack([across**2, across * down * np.cos(turn), down**2])

    def _steps(
        self, pixels: Float64[np.ndarray, "n 2"]
    ) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
        """Return metres of a step along columns, of one along rows, and the angle between."""
        half = 16.0
        lonlat = [
            self.to_lonlat(pixels + np.array(step))
            for step in ((0.0, 0.0), (-half, 0.0), (half, 0.0), (0.0, -half), (0.0, half))
        ]
        ends = np.stack(lonlat)
        usable = np.isfinite(ends).all(axis=(0, 2))
        ends = np.where(usable[None, :, None], ends, 0.0)
        middle, left, right, top, bottom = ends
        across, down = WGS84.inv(*left.T, *right.T)[2], WGS84.inv(*top.T, *bottom.T)[2]
        # Both directions as seen from the middle: near a pole, north is another one at each end.
        across_to, down_to = WGS84.inv(*middle.T, *right.T)[0], WGS84.inv(*middle.T, *bottom.T)[0]
        turn = np.radians(np.asarray(down_to) - np.asarray(across_to))
        lost = np.where(usable, 1.0, np.nan)
        return np.asarray(across) / (2 * half) * lost, np.asarray(down) / (2 * half) * lost, turn

    def area_m2(self, polygon: Polygon) -> float:
        """Return the geodesic area of a polygon in pixels, however large; its holes left out."""
        fine = shapely.segmentize(polygon, 64.0)
        rings = [np.asarray(ring.coords) for ring in (fine.exterior, *fine.interiors)]
        areas = []
        for ring in rings:
            lon, lat = self.to_lonlat(ring[:, :2]).T
            areas.append(abs(WGS84.polygon_area_perimeter(lon, lat)[0]))
        return float(areas[0] - sum(areas[1:]))

    def perimeter_m(self, polygon: Polygon) -> float:
        """Return the geodesic length of a polygon's rings, however long."""
        fine = shapely.segmentize(polygon, 64.0)
        rings = [np.asarray(ring.coords) for ring in (fine.exterior, *fine.interiors)]
        return float(sum(WGS84.line_length(*self.to_lonlat(ring[:, :2]).T) for ring in rings))

    def scaled(self, *, col_step: float, row_step: float) -> Georef:
        """Return the grid whose pixel is ``col_step`` x ``row_step`` of this one's."""
        a, b, c, d, e, f = self.transform
        return Georef(
            crs_wkt=self.crs_wkt,
            transform=(a * col_step, b * row_step, c, d * col_step, e * row_step, f),
        )
