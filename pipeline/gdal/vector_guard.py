"""pyogrio with a GDAL that is left with few drivers, none of which follows references.

pyogrio's wheel has about 190 drivers, and some of them are programs: an OGR VRT reads any
file or URL, a WFS or GDALG document sends requests. `pyogrio` leaves those of `ALLOWED`
and proves it, whichever of pyogrio, geopandas and rasterio was imported first. Files of
strangers are never opened in this process: `pipeline.labels.read_vectors` reads them in a
child process with one driver (`leave_only`).
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Collection
from functools import cache
from typing import Any

from pipeline.errors import ConfigError
from pipeline.gdal.environment import data_folders, isolate_environment
from pipeline.gdal.proj import check_positions, set_search_path
from pipeline.gdal.settings import library_of, set_vector_options

_WRITING_PMTILES = {"PMTiles", "MBTiles", "MVT", "SQLite"}  # each goes through the next
ALLOWED = frozenset({"FlatGeobuf", "GPKG", "GeoJSON", "ESRI Shapefile", "MEM"} | _WRITING_PMTILES)
"""Drivers that write our layers, or read the named file alone."""

_HANDLE, _TEXT = ctypes.c_void_p, ctypes.c_char_p
# name: (result, arguments), from gdal.h, cpl_conv.h and cpl_error.h of GDAL 3.12
_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "GDALGetDriverCount": (ctypes.c_int, []),
    "GDALGetDriver": (_HANDLE, [ctypes.c_int]),
    "GDALGetDriverShortName": (_TEXT, [_HANDLE]),
    "GDALDeregisterDriver": (None, [_HANDLE]),
    "GDALOpenEx": (_HANDLE, [_TEXT, ctypes.c_uint, _HANDLE, _HANDLE, _HANDLE]),
    "GDALClose": (ctypes.c_int, [_HANDLE]),
    "CPLGetConfigOption": (_TEXT, [_TEXT, _TEXT]),
    "CPLSetConfigOption": (None, [_TEXT, _TEXT]),
    "CPLPushErrorHandler": (None, [_HANDLE]),
    "CPLPopErrorHandler": (None, []),
    "CPLErrorReset": (None, []),
}
_VECTOR_AND_RASTER = 0x06  # GDAL_OF_RASTER | GDAL_OF_VECTOR
_PROBES = (
    b'<OGRVRTDataSource><OGRVRTLayer name="a"><SrcDataSource>/dev/null</SrcDataSource>'
    b"</OGRVRTLayer></OGRVRTDataSource>",
    b'<VRTDataset rasterXSize="1" rasterYSize="1">'
    b'<VRTRasterBand dataType="Byte" band="1"/></VRTDataset>',
)
"""Documents that GDAL opens by their text alone as long as a driver of references is active."""
_lock = threading.Lock()


@cache
def vector_library() -> ctypes.CDLL:
    """Return the GDAL that pyogrio is linked with."""
    import pyogrio._ogr  # heavy; its own GDAL comes with it

    return library_of(pyogrio._ogr.__file__, _SIGNATURES)


@cache
def configure_vector_gdal() -> Any:
    """Return pyogrio, its GDAL with options and reference systems of its own, and all drivers.

    Raises:
        ConfigError: It takes options from the environment, or knows no reference systems.
    """
    isolate_environment()
    import pyogrio as module
    import pyogrio.raw

    path = module._ogr.__file__
    set_vector_options(path)
    set_search_path(path, data_folders("PROJ_DATA")["pyogrio"])
    check_positions(path, "pyogrio")
    return module


def vector_drivers() -> dict[str, int]:
    """Return the short names and handles of the drivers of pyogrio's GDAL."""
    gdal = vector_library()
    handles = [gdal.GDALGetDriver(index) for index in range(gdal.GDALGetDriverCount())]
    return {gdal.GDALGetDriverShortName(handle).decode(): handle for handle in handles}


def pyogrio(allowed: Collection[str] = ALLOWED) -> Any:
    """Return pyogrio, its GDAL left with a few drivers, for good.

    Raises:
        ConfigError: As `configure_vector_gdal`, or a driver that reaches other files is active.
    """
    with _lock:
        module = configure_vector_gdal()
    leave_only(allowed)
    return module


def leave_only(allowed: Collection[str]) -> None:
    """Deregister all drivers of pyogrio's GDAL but some, for good, and prove it.

    Raises:
        ConfigError: Another driver is still active.
    """
    gdal = vector_library()
    with _lock:
        removed = {name: handle for name, handle in vector_drivers().items() if name not in allowed}
        if removed:
            # Names for a later registration, should anything cause one.
            known = (gdal.CPLGetConfigOption(b"GDAL_SKIP", b"") or b"").decode().split(",")
            skipped = ",".join(sorted({*removed, *filter(None, known)}))
            gdal.CPLSetConfigOption(b"GDAL_SKIP", skipped.encode())
            for handle in removed.values():
                gdal.GDALDeregisterDriver(handle)
        check_drivers(allowed)


def check_drivers(allowed: Collection[str] = ALLOWED) -> None:
    """Prove that pyogrio's GDAL has no other drivers than the allowed ones.

    Raises:
        ConfigError: It has.
    """
    extra = sorted(set(vector_drivers()) - set(allowed))
    if extra or any(_opens(probe) for probe in _PROBES):
        raise ConfigError(
            "vector files are not read or written: formats that can reach other files are still "
            f"active ({', '.join(extra) or 'VRT'}); install pyogrio from its wheel, as the lock "
            "does"
        )


def _opens(text: bytes) -> bool:
    """Return whether GDAL opens a name or document."""
    gdal = vector_library()
    gdal.CPLPushErrorHandler(ctypes.cast(gdal.CPLQuietErrorHandler, _HANDLE))
    try:
        handle = gdal.GDALOpenEx(text, _VECTOR_AND_RASTER, None, None, None)
        if handle:
            gdal.GDALClose(handle)
        return bool(handle)
    finally:
        gdal.CPLErrorReset()
        gdal.CPLPopErrorHandler()
