"""Coverage of a mask: its area without nodata."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
import shapely
from pyproj import Geod
from shapely.geometry.base import BaseGeometry

from pipeline.core.georef import Georef
from pipeline.core.polygons.trace import trace
from pipeline.errors import SceneError

NODATA = 255
_EDGE = 1024
"""Larger masks are looked at in pixels of this many a side: enough for an area's outline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Where a scene was mapped validly."""

    wkb: bytes
    """The area in longitude and latitude."""
    km2: float
    """Its size on the ellipsoid."""


def coverage(mask: Path) -> Coverage:
    """Return the area of a mask that is not 255.

    Looked at through its overviews, so that holes of single pixels do not count, and the
    outline is right to about a thousandth of the scene.

    Raises:
        SceneError: The mask cannot be read, or is not georeferenced.
    """
    try:
        with rasterio.open(mask) as file:
            step = max(1.0, max(file.shape) / _EDGE)
            shape = tuple(max(1, round(side / step)) for side in file.shape)
            pixels = file.read(1, out_shape=shape)
            if file.crs is None:
                raise SceneError(str(mask), "it is not georeferenced", "georeference the scene")
            moved = file.transform
            georef = Georef(crs_wkt=file.crs.to_wkt(), transform=tuple(moved)[:6])
            scale = (file.width / shape[1], file.height / shape[0])
    except rasterio.errors.RasterioIOError as error:
        raise SceneError(
            str(mask), f"it cannot be read ({error})", "map the scene again"
        ) from error
    valid = pixels != NODATA
    if valid.all():
        area: BaseGeometry = shapely.box(0, 0, shape[1], shape[0])
    else:
        # Not GDAL's: that needs a driver which the guard of untrusted scenes takes away.
        found = trace(valid.astype(np.uint8), np.zeros(shape, np.uint8))
        corners = found.coords.astype(np.float64)
        offsets = (found.ring_offsets, found.polygon_offsets)
        parts = shapely.from_ragged_array(shapely.GeometryType.POLYGON, corners, offsets)
        area = shapely.union_all(parts)
    # Straight edges of the scene bend on the Earth: 64 pieces a side.
    area = shapely.segmentize(area, max(shape) / 64)
    placed = shapely.transform(area, lambda points: georef.to_lonlat(points * scale))
    placed = shapely.normalize(shapely.make_valid(placed))
    km2 = abs(Geod(ellps="WGS84").geometry_area_perimeter(shapely.orient_polygons(placed))[0]) / 1e6
    return Coverage(wkb=bytes(shapely.to_wkb(placed, byte_order=1)), km2=round(km2, 6))
