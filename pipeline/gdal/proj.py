"""Every PROJ of a process finds its own proj.db, and proves it.

rasterio, pyproj and pyogrio each carry a PROJ and the database of reference systems that belongs
to it. One of another installation (conda and QGIS name theirs in ``PROJ_DATA``) has another layout:
scenes would lose their codes, or count as not georeferenced. Grids of the user's folder and of the
network would move positions; no PROJ looks for them.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError
from pipeline.gdal.environment import data_folders
from pipeline.gdal.settings import library_of

EPSG = 32645
"""UTM zone 45 north, on which the proof is made."""
PROJECTED = (300_000.0, 3_000_000.0)
GEOGRAPHIC = (84.98249434, 27.10797952)
"""Longitude and latitude of `PROJECTED`."""
_NEAR = 1e-7

_TEXT = ctypes.c_char_p
_HANDLE = ctypes.c_void_p
_NUMBERS = ctypes.POINTER(ctypes.c_double)
# name: (result, arguments), from ogr_srs_api.h and cpl_error.h
_SIGNATURES: Mapping[str, tuple[object, list[object]]] = {
    "OSRSetPROJSearchPaths": (None, [ctypes.POINTER(_TEXT)]),
    "OSRSetPROJEnableNetwork": (None, [ctypes.c_int]),
    "OSRNewSpatialReference": (_HANDLE, [_TEXT]),
    "OSRImportFromEPSG": (ctypes.c_int, [_HANDLE, ctypes.c_int]),
    "OSRSetAxisMappingStrategy": (None, [_HANDLE, ctypes.c_int]),
    "OSRRelease": (None, [_HANDLE]),
    "OCTNewCoordinateTransformation": (_HANDLE, [_HANDLE, _HANDLE]),
    "OCTTransform": (ctypes.c_int, [_HANDLE, ctypes.c_int, _NUMBERS, _NUMBERS, _NUMBERS]),
    "OCTDestroyCoordinateTransformation": (None, [_HANDLE]),
    "CPLErrorReset": (None, []),
    "CPLGetLastErrorMsg": (_TEXT, []),
    "CPLPushErrorHandler": (None, [_HANDLE]),
    "CPLPopErrorHandler": (None, []),
}
_EAST_NORTH = 0


def set_search_path(module: str, folder: Path | None) -> None:
    """Let the PROJ of a GDAL look for its data in one folder, and not in the network.

    Args:
        module: Path of an extension module that is linked with that GDAL.
        folder: Where its own proj.db is; None where it comes without one.
    """
    gdal = library_of(module, _SIGNATURES)
    if folder is not None:
        gdal.OSRSetPROJSearchPaths(_list(os.fsencode(folder)))
    gdal.OSRSetPROJEnableNetwork(0)


def check_positions(module: str, owner: str) -> None:
    """Check that the PROJ of a GDAL knows reference systems, by a known position.

    Args:
        module: Path of an extension module that is linked with that GDAL.
        owner: ``rasterio`` or ``pyogrio``.

    Raises:
        ConfigError: It does not.
    """
    gdal = library_of(module, _SIGNATURES)
    gdal.CPLErrorReset()
    gdal.CPLPushErrorHandler(ctypes.cast(gdal.CPLQuietErrorHandler, _HANDLE))
    try:
        found = _transform(gdal)
        reason = (gdal.CPLGetLastErrorMsg() or b"").decode(errors="replace")
    finally:
        gdal.CPLPopErrorHandler()
    _check(owner, found, reason)


def set_pyproj() -> None:
    """Let pyproj use its own database and no network, and check a known position.

    Raises:
        ConfigError: It does not know reference systems.
    """
    import pyproj
    from pyproj._network import set_network_enabled
    from pyproj.exceptions import ProjError

    try:
        folder = data_folders("PROJ_DATA")["pyproj"]
        if folder is not None:
            pyproj.datadir.set_data_dir(str(folder))
        set_network_enabled(active=False)
        transformer = pyproj.Transformer.from_crs(EPSG, 4326, always_xy=True)
        _check("pyproj", transformer.transform(*PROJECTED), "")
    except ProjError as error:
        _check("pyproj", None, str(error))


def _transform(gdal: ctypes.CDLL) -> tuple[float, float] | None:
    systems = [gdal.OSRNewSpatialReference(None) for _ in range(2)]
    try:
        for system, code in zip(systems, (EPSG, 4326), strict=True):
            if gdal.OSRImportFromEPSG(system, code) != 0:
                return None
            gdal.OSRSetAxisMappingStrategy(system, _EAST_NORTH)
        transformation = gdal.OCTNewCoordinateTransformation(*systems)
        if not transformation:
            return None
        try:
            x, y, z = (ctypes.c_double(value) for value in (*PROJECTED, 0.0))
            done = gdal.OCTTransform(transformation, 1, x, y, z)
            return (x.value, y.value) if done else None
        finally:
            gdal.OCTDestroyCoordinateTransformation(transformation)
    finally:
        for system in systems:
            gdal.OSRRelease(system)


def _check(owner: str, found: tuple[float, float] | None, reason: str) -> None:
    if found is not None:
        if all(abs(a - b) < _NEAR for a, b in zip(found, GEOGRAPHIC, strict=True)):
            return
        reason = f"a position in EPSG:{EPSG} comes out at {found}, not at {GEOGRAPHIC}"
    named = [name for name in ("PROJ_DATA", "PROJ_LIB") if name in os.environ]
    remedy = f"install {owner} from its wheel, as the lock does"
    if named:
        remedy = f"unset {named[0]}, which is {os.environ[named[0]]!r}, or {remedy}"
    raise ConfigError(
        f"{owner} does not know reference systems ({reason or 'no proj.db was found'}); {remedy}"
    )


def _list(*values: bytes) -> Any:
    return (_TEXT * (len(values) + 1))(*values, None)
