"""Georeference beside a picture: a world file with a ``.prj`` file, an ``.aux.xml`` file.

Parsed here, with bounds: GDAL reads world files of pictures, but takes what is no number as 0.
"""

from __future__ import annotations

import math
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pyproj import CRS
from pyproj.exceptions import CRSError

from pipeline.core.georef import Georef
from pipeline.errors import SceneError
from pipeline.scenes.access.location import is_regular, prj_files, world_files
from pipeline.scenes.geotiff.georeferencing import GeorefTags, counts_pixels, georeference
from pipeline.scenes.pam import Affine, looks_like_crs, read_pam

_MOST = 64 * 2**10
"""Bytes that a world file or a ``.prj`` file may take."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_WAY_OUT = "correct or remove it, or map in pixels (--crs none)"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldGeoref:
    """Where a picture lies."""

    georef: Georef | None
    """None where there is no complete georeferencing."""
    warnings: tuple[str, ...] = ()
    """What was found and not used."""


def place_picture(path: str, *, height: int, width: int, assumed_crs: str) -> WorldGeoref:
    """Return where a picture lies by the files beside it.

    The geotransform is that of its ``.aux.xml`` file, else of its world file, as GDAL has it;
    the reference system that of the ``.aux.xml`` file, else of the ``.prj`` file, else the
    assumed one.

    Args:
        path: The picture.
        height: Its rows.
        width: Its columns.
        assumed_crs: The reference system where no file names one; empty for none.

    Raises:
        SceneError: A file beside it is damaged, or the place is not on the Earth.
    """
    pam, worlds = read_pam(path), [file for file in world_files(path) if is_regular(file)]
    warnings = [f"the .aux.xml file beside it is not used: {pam.fault}"] if pam.fault else []
    if pam.gcps:
        warnings.append("the ground control points of the .aux.xml file beside it are not used")
    beside = read_world(path, worlds[0]) if worlds else None
    transform = pam.transform or beside
    name = f"world file {Path(worlds[0]).name}" if worlds else ".aux.xml file"
    if transform is None:
        if pam.crs or assumed_crs:
            what = "of the .aux.xml file" if pam.crs else f"of --crs, {assumed_crs[:40]},"
            warnings.append(
                f"the reference system {what} is not used: it has no world file "
                f"({Path(world_files(path)[0]).name}), so it is mapped in pixels"
            )
        return WorldGeoref(georef=None, warnings=tuple(warnings))
    crs = pam.crs or _prj(path)
    claims = GeorefTags(height=height, width=width, crs_wkt=crs, transform=transform)
    if counts_pixels(claims):
        warnings.append(f"the {name} beside it only counts pixels, and is not used")
        return WorldGeoref(georef=None, warnings=tuple(warnings))
    if not crs and not assumed_crs:
        warnings.append(
            f"the {name} beside it is not used, as nothing names its reference system: it is "
            "mapped in pixels unless --crs EPSG:... or a .prj file does"
        )
        return WorldGeoref(georef=None, warnings=tuple(warnings))
    if pam.transform and beside and not _near(pam.transform, beside):
        warnings.append(f"the {name} beside it differs from the .aux.xml file, which is used")
    georef, found = georeference(path, claims, assumed_crs=assumed_crs)
    return WorldGeoref(georef=georef, warnings=(*warnings, *found))


def read_world(picture: str, file: str) -> Affine:
    """Return the transform of a world file.

    Its lines are ``a``, ``d``, ``b``, ``e``, and x and y of the middle of the first pixel.

    Raises:
        SceneError: It has not six finite numbers, or they map no area.
    """
    name = f"the world file beside it, {Path(file).name},"
    lines = [line.strip().replace(",", ".") for line in _head(file).splitlines() if line.strip()]
    if len(lines) < 6:
        raise SceneError(picture, f"{name} has {len(lines)} lines, not 6", _WAY_OUT)
    for line in lines[:6]:
        if not _NUMBER.fullmatch(line) or not math.isfinite(float(line)):
            raise SceneError(picture, f"{name} has {line[:40]!r}, which is no number", _WAY_OUT)
    a, d, b, e, x, y = (float(line) for line in lines[:6])
    if not a * e - b * d or not math.isfinite(a * e - b * d):
        raise SceneError(picture, f"{name} maps no area", _WAY_OUT)
    return a, b, x - a / 2 - b / 2, d, e, y - d / 2 - e / 2


def _head(file: str) -> str:
    try:
        with Path(file).open("rb") as opened:
            return opened.read(_MOST).decode("utf-8-sig", "replace").strip()
    except OSError:
        return ""


def _prj(path: str) -> str:
    """Return the reference system of a ``.prj`` file; empty where there is none.

    Raises:
        SceneError: It is not understood.
    """
    for file in filter(is_regular, prj_files(path)):
        text = _head(file)
        fault = "it is no WKT"
        with suppress(CRSError):
            if looks_like_crs(text):
                fault = "unknown to PROJ"
                CRS.from_user_input(text)
                return text
        reason = f"the reference system beside it, {Path(file).name}, is not understood ({fault})"
        raise SceneError(path, reason, _WAY_OUT)
    return ""


def _near(one: Affine, other: Affine) -> bool:
    step = math.hypot(one[0], one[3])
    return all(abs(a - b) <= 0.01 * step for a, b in zip(one, other, strict=True))
