"""Outlines with straight edges at right angles, without files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import shapely

from pipeline.api.inputs import is_frame
from pipeline.errors import ConfigError

if TYPE_CHECKING:
    from geopandas import GeoDataFrame, GeoSeries

Array = npt.NDArray[Any]
LOCAL_DEGREES = 6.0
"""What is wider is regularised zone by zone."""


def regularize(
    polygons: GeoDataFrame | GeoSeries,
    *,
    tolerance_m: float = 0.5,
    min_iou: float = 0.85,
) -> GeoDataFrame:
    """Draw polygons with straight edges along and across their main direction.

    Each new outline is valid, shares at least ``min_iou`` with the old one, and overlaps no other
    by more than the old ones did; an outline for which there is none is simplified, or stays.

    Args:
        polygons: Polygons or MultiPolygons in any projected CRS (lengths are measured on the
            ground: feet and Web Mercator are taken into account), in longitude and latitude
            (computed in a local UTM zone), or without a CRS (lengths in its units).
        tolerance_m: How far an outline may deviate from a straight edge, in metres; about one and
            a half pixels of the imagery.
        min_iou: Least IoU of a new outline with the old one, above 0 and at most 1.

    Returns:
        A copy with new geometries, and the column ``regularised``: True where all parts of one
        are at right angles.

    Raises:
        ConfigError: It is no GeoDataFrame, or an option is out of range.

    Example:
        >>> import geopandas as gpd, shapely
        >>> house = shapely.Polygon([(0, 0), (9, .2), (9, 6), (5, 6.2), (0, 6)])
        >>> int(shapely.get_num_coordinates(regularize(gpd.GeoSeries([house])).geometry[0]))
        5
    """
    if not is_frame(polygons):
        raise ConfigError(f"{type(polygons).__name__} is no GeoDataFrame or GeoSeries")
    if not tolerance_m > 0 or not 0 < min_iou <= 1:
        raise ConfigError(
            f"tolerance_m={tolerance_m:g}, min_iou={min_iou:g}: give a length above 0, and a share "
            "above 0, at most 1"
        )
    frame: GeoDataFrame = (
        polygons.to_frame("geometry") if type(polygons).__name__ == "GeoSeries" else polygons.copy()
    )
    shapes = np.array(frame.geometry.array, object)
    flags = np.zeros(len(shapes), bool)
    usable = np.isin(shapely.get_type_id(shapes), [3, 6])
    usable[usable] = shapely.area(_made_valid(shapes[usable])) > 0
    for rows, crs in _planes(frame, np.flatnonzero(usable)):
        given = frame.geometry.iloc[rows]
        plane = given if crs is None else given.to_crs(crs)
        made, flags[rows] = _regularised(
            np.array(plane.array, object), plane.crs, tolerance_m, min_iou
        )
        changed = type(given)(made, crs=plane.crs)
        shapes[rows] = np.array((changed if crs is None else changed.to_crs(given.crs)).array)
    frame = frame.set_geometry(type(frame.geometry)(shapes, index=frame.index, crs=frame.crs))
    frame["regularised"] = flags
    return frame


def _planes(frame: Any, rows: Array) -> list[tuple[Array, Any]]:
    """Return groups of rows, each with the projected CRS to compute in; None: its own."""
    if not len(rows):
        return []
    if frame.crs is None or not frame.crs.is_geographic:
        return [(rows, None)]
    earth = frame.geometry.iloc[rows].to_crs("OGC:CRS84")
    bounds = shapely.bounds(np.array(earth.array, object))
    if np.ptp(bounds[:, [0, 2]]) <= LOCAL_DEGREES and np.abs(bounds[:, [1, 3]]).max() < 80:
        return [(rows, earth.estimate_utm_crs())]
    lon, lat = (bounds[:, [0, 1]] + bounds[:, [2, 3]]).T / 2
    zones = np.clip((lon + 180) // 6 + 1, 1, 60).astype(int) + np.where(lat < 0, 32700, 32600)
    zones = np.where(lat >= 84, 5041, np.where(lat <= -80, 5042, zones))
    return [(rows[zones == zone], f"EPSG:{zone}") for zone in np.unique(zones).tolist()]


def _regularised(
    shapes: Array, crs: Any, tolerance_m: float, min_iou: float
) -> tuple[Array, Array]:
    """Return polygons of a plane regularised part by part, and where all parts are."""
    from pipeline.core.outlines.regular.regularise import regularised
    from pipeline.mapping.outlines import TOLERANCE, rules_of

    shapes = _made_valid(shapes)
    parts, owners = shapely.get_parts(shapes, return_index=True)
    left, _, _, top = shapely.total_bounds(shapes)
    across, down = _unit_m(crs, shapes)
    pixel_size_m = tolerance_m / TOLERANCE
    scale = np.array([across, -down]) / pixel_size_m
    pixels = shapely.transform(parts, lambda points: (points - [left, top]) * scale)
    # In reading order: where two claim a place, the first has it.
    bounds = shapely.bounds(pixels)
    order = np.lexsort((bounds[:, 0], bounds[:, 1]))
    made, straight = regularised(
        shapely.force_2d(pixels[order]), rules=rules_of(TOLERANCE, least_iou=min_iou)
    )
    back, flags = np.empty(len(parts), object), np.zeros(len(parts), bool)
    back[order], flags[order] = made, straight
    back = shapely.transform(back, lambda points: points / scale + [left, top])
    # Parts come shape by shape.
    starts = np.searchsorted(owners, np.arange(len(shapes) + 1))
    single = shapely.get_type_id(shapes) == 3
    found = np.empty(len(shapes), object)
    found[single] = back[starts[:-1][single]]
    for place in np.flatnonzero(~single).tolist():
        found[place] = shapely.multipolygons(back[starts[place] : starts[place + 1]])
    return found, np.add.reduceat(~flags, starts[:-1]) == 0


def _made_valid(shapes: Array) -> Array:
    """Return shapes with invalid ones repaired; what is left of lines is empty."""
    fixed = shapely.make_valid(shapes, method="structure", keep_collapsed=False)
    return np.asarray(np.where(shapely.is_valid(shapes), shapes, fixed), object)


def _unit_m(crs: Any, shapes: Array) -> tuple[float, float]:
    """Return the ground length of a unit of the plane along x and y, in the middle of shapes."""
    if crs is None:
        return 1.0, 1.0
    from pipeline.core.georef import Georef

    left, bottom, right, top = shapely.total_bounds(shapes).tolist()
    place = (1.0, 0.0, (left + right) / 2, 0.0, -1.0, (bottom + top) / 2)
    found = Georef(crs_wkt=crs.to_wkt(), transform=place).ground_size_m(col=0.0, row=0.0)
    if all(np.isfinite(one) and one > 0 for one in found):
        return found
    factor = float(crs.axis_info[0].unit_conversion_factor)
    return factor, factor
