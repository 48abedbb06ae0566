"""Georeference of a raster, checked for plausibility."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from pyproj import CRS
from pyproj.exceptions import CRSError

from pipeline.core.georef import Georef
from pipeline.errors import SceneError

EARTH_RADIUS_M = 6_378_137.0
GCP_TOLERANCE = 0.5
"""Control points may miss an affine grid by this many pixels."""

FARTHEST_DEGREES = 12.0
"""A zone of a transverse Mercator system is 3 to 6 degrees wide: scenes lie no farther off."""

FINEST_M = 1e-3
"""No camera sees less of the ground: smaller pixels are degrees, in a system of metres."""
_PLACELESS = {"Geocentric CRS": "geocentric, and no map", "Vertical CRS": "of heights alone"}
_FROM_SPACE = ("Geostationary", "Orthographic", "Vertical Perspective")
_GIVE = "give it one (gdal_translate -a_srs EPSG:... -a_ullr ...)"
_WRITE_ASIDE = "write that into the file (gdal_translate SCENE.tif OUT.tif)"
_NO_GEOREF = "or map it in pixels (--crs none) with a task that needs no georeference"


@dataclass(frozen=True, slots=True, kw_only=True)
class GeorefTags:
    """Georeferencing tags of a raster, as GDAL reports them."""

    height: int
    """Rows."""
    width: int
    """Columns."""
    crs_wkt: str
    """Reference system as WKT, empty where there is none."""
    transform: tuple[float, float, float, float, float, float]
    """``(a, b, c, d, e, f)``; the identity where there is none."""
    gcps: Sequence[tuple[float, float, float, float]] = ()
    """Ground control points as ``(col, row, x, y)``."""
    gcps_wkt: str = ""
    """Their reference system."""
    rpcs: bool = False
    """True where the file has rational polynomial coefficients."""
    aside: str = ""
    """What an ``.aux.xml`` file beside it has, which is not read: ``a geotransform``, ..."""


def georeference(
    scene: str, claims: GeorefTags, *, assumed_crs: str = ""
) -> tuple[Georef, tuple[str, ...]]:
    """Georeference a raster; return its grid, and warnings.

    Args:
        scene: What messages call it.
        claims: The file's georeferencing tags.
        assumed_crs: Reference system where the file has none: ``EPSG:32645`` or WKT.

    Raises:
        SceneError: The place is unknown, impossible or not on the Earth.
    """
    warnings: list[str] = []
    transform, crs_wkt = claims.transform, claims.crs_wkt
    identity = counts_pixels(claims)
    if identity and claims.gcps:
        transform = _from_gcps(scene, claims)
        crs_wkt, identity = claims.gcps_wkt or crs_wkt, False
        warnings.append(
            f"placed by its {len(claims.gcps)} ground control points, which fit an affine grid"
        )
    if identity and claims.rpcs:
        raise SceneError(
            scene,
            "it is a raw scene, placed by rational polynomial coefficients only",
            f"orthorectify it first (gdalwarp -rpc), {_NO_GEOREF}",
        )
    if identity:
        has = "has a" if crs_wkt else "has neither a"
        nor = "but no" if crs_wkt else "nor a"
        raise SceneError(
            scene,
            f"it {has} coordinate reference system (CRS) {nor} geotransform, so it is not "
            f"georeferenced{_aside(claims)}",
            f"{_WRITE_ASIDE if claims.aside else _GIVE}, {_NO_GEOREF}",
        )
    if crs_wkt and assumed_crs:
        warnings.append("it names its own reference system; the assumed one was not used")
    if not crs_wkt and not assumed_crs:
        raise SceneError(
            scene,
            f"it has no coordinate reference system (CRS){_aside(claims)}",
            f"name the one it is in with --crs EPSG:..., {_NO_GEOREF}",
        )
    crs = _earthly(scene, crs_wkt or assumed_crs)
    if not all(map(math.isfinite, transform)) or not _area(transform):
        raise SceneError(
            scene,
            f"its geotransform {transform} maps no area",
            "write its true geotransform (gdal_edit.py -a_ullr ...)",
        )
    georef = Georef(crs_wkt=crs.to_wkt("WKT2_2019"), transform=transform)
    warnings.extend(_on_earth(scene, georef, claims))
    return georef, tuple(warnings)


def _aside(claims: GeorefTags) -> str:
    if not claims.aside:
        return ""
    return f"; the .aux.xml file beside it has {claims.aside}, which is not read"


def counts_pixels(claims: GeorefTags) -> bool:
    """Return whether a geotransform is none, or only numbers the pixels from a corner.

    Programs that lack one write rows that run down from 0, or up to it from the height,
    or the middles of pixels. In degrees the same numbers are a grid of the Earth.
    """
    a, b, c, d, e, f = claims.transform
    if claims.transform == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0):
        return True
    corner = abs(c) <= 0.5 and min(abs(f), abs(f - claims.height)) <= 0.5
    if not corner or (a, b, d, abs(e)) != (1.0, 0.0, 0.0, 1.0):
        return False
    try:
        return not CRS.from_user_input(claims.crs_wkt).is_geographic
    except CRSError:
        return True


def _area(transform: tuple[float, float, float, float, float, float]) -> float:
    a, b, _, d, e, _ = transform
    return a * e - b * d


def _earthly(scene: str, wkt: str) -> CRS:
    hint = "name the right one with --crs EPSG:... after removing it (gdal_edit.py -a_srs None)"
    try:
        crs = CRS.from_user_input(wkt)
    except CRSError as error:
        reason = f"its coordinate reference system is not understood ({str(error)[:120]})"
        raise SceneError(scene, reason, hint) from error
    fault = non_terrestrial(crs)
    if fault:
        raise SceneError(scene, f"its {fault}", f"{hint}, {_NO_GEOREF}")
    return crs


def non_terrestrial(crs: CRS) -> str:
    """Return why a reference system places nothing on the Earth's ground; empty where it does."""
    called = f"coordinate reference system '{crs.name}' is"
    # A compound system's horizontal part decides.
    flat = crs.sub_crs_list[0] if crs.is_compound else crs
    if not (flat.is_geographic or flat.is_projected):
        kind = _PLACELESS.get(flat.type_name, "local")
        return f"{called} {kind}: it is not tied to the Earth"
    radius = flat.ellipsoid.semi_major_metre if flat.ellipsoid else 0.0
    if abs(radius / EARTH_RADIUS_M - 1) > 0.01:
        return (
            f"{called} not of the Earth "
            f"(radius {radius:,.0f} m, the Earth's is {EARTH_RADIUS_M:,.0f} m)"
        )
    return ""


def _from_gcps(scene: str, claims: GeorefTags) -> tuple[float, float, float, float, float, float]:
    points = np.array(claims.gcps, np.float64)
    pixels = np.column_stack([points[:, :2], np.ones(len(points))])
    reason = f"it is placed by {len(points)} ground control points, "
    hint = f"warp it first (gdalwarp -tps), {_NO_GEOREF}"
    if not np.isfinite(points).all():
        raise SceneError(scene, reason + "not all of which are numbers", hint)
    # Centred, so that map coordinates of millions lose no digits.
    centre = points[:, 2:].mean(axis=0)
    solution, _, rank, _ = np.linalg.lstsq(pixels, points[:, 2:] - centre, rcond=None)
    if rank < 3:
        raise SceneError(scene, reason + "all on one line", hint)
    (a, d), (b, e), (c, f) = solution.tolist()
    step = math.sqrt(abs(a * e - b * d)) or 1.0
    miss = float(np.abs(pixels @ solution - (points[:, 2:] - centre)).max()) / step
    if not miss <= GCP_TOLERANCE:
        fault = f"which miss an affine grid by up to {miss:.1f} pixels (limit {GCP_TOLERANCE})"
        raise SceneError(scene, reason + fault, hint)
    return a, b, c + float(centre[0]), d, e, f + float(centre[1])


def _lattice(claims: GeorefTags) -> Float64[np.ndarray, "n 2"]:
    cols, rows = np.meshgrid(np.linspace(0, claims.width, 5), np.linspace(0, claims.height, 5))
    return np.column_stack([cols.ravel(), rows.ravel()])


def _on_earth(scene: str, georef: Georef, claims: GeorefTags) -> tuple[str, ...]:
    crs, lattice = georef.crs, _lattice(claims)
    hint = "check its geotransform against its coordinate reference system (gdalinfo)"
    if crs.is_geographic:
        points = georef.to_map(lattice)
        to_degrees = math.degrees(crs.axis_info[0].unit_conversion_factor)
        lon, lat = np.abs(points * to_degrees).max(axis=0)
        # Grids of cell centres from pole to pole reach half a cell beyond.
        _, _, _, d, e, _ = georef.transform
        if lat > 90 + (abs(d) + abs(e)) * to_degrees / 2 * 1.01:
            raise SceneError(scene, f"it reaches latitude {lat:.4f}, beyond the pole", hint)
        if lon > 540:
            raise SceneError(scene, f"it reaches longitude {lon:.2f}, beyond 540 degrees", hint)
        return ()
    lonlat = georef.to_lonlat(lattice)
    known = np.isfinite(lonlat).all(axis=1)
    if not known.any():
        raise SceneError(scene, f"no pixel of it lies on the Earth in '{crs.name}'", hint)
    finest = min(georef.ground_size_m(col=claims.width / 2, row=claims.height / 2))
    if finest < FINEST_M:
        raise SceneError(
            scene,
            f"its pixels are {finest:.2g} m on the ground: are its numbers degrees, and those of "
            f"'{crs.name}' are not?",
            hint,
        )
    operation = crs.coordinate_operation
    if operation is not None and operation.method_name.startswith("Transverse Mercator"):
        origin = {param.name: param.value for param in operation.params}
        meridian = origin.get("Longitude of natural origin", math.nan)
        off = np.abs((lonlat[known, 0] - meridian + 180) % 360 - 180).min()
        # A system without an area of use may be meant for anywhere.
        if off > FARTHEST_DEGREES and crs.to_epsg() is not None:
            return (
                f"it lies {off:.0f} degrees from the meridian of '{crs.name}': is that its zone?",
            )
    # Seen from space the Earth is a disc: corners off it are what such a grid has.
    if known.all() or (operation is not None and operation.method_name.startswith(_FROM_SPACE)):
        return ()
    return (f"{np.count_nonzero(~known)} of {len(known)} places looked at are off the Earth",)
