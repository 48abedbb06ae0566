"""GDAL's options are Overtile's own, for both GDALs of a process.

An option that is not set here has GDAL's default, whatever the environment or a gdalrc says: GDAL
is set to ignore all variables, and those that `environment` lists are handed to it one by one.
"""

from __future__ import annotations

import ctypes
import os
import re
import tempfile
from collections.abc import Mapping

from pipeline.errors import ConfigError
from pipeline.gdal.environment import CACHE, access_settings, data_folders, is_access

PINNED_TIME = "1970-01-01T00:00:00.000Z"
"""Pinned time of writing in files: the same inputs give the same bytes."""
BLOCK_CACHE_BYTES = 96 * 2**20
"""GDAL's cache of decoded blocks, for the whole process; ``--max-memory`` counts on it."""
LEAST_CACHE_BYTES = 16 * 2**20

RASTER: Mapping[str, str] = {
    # A server that stalls is given up after 20 s below 1 kB/s; busy ones are
    # asked four times more.
    "GDAL_HTTP_CONNECTTIMEOUT": "10",
    "GDAL_HTTP_TIMEOUT": "120",
    "GDAL_HTTP_LOW_SPEED_TIME": "20",
    "GDAL_HTTP_LOW_SPEED_LIMIT": "1000",
    "GDAL_HTTP_MAX_RETRY": "4",
    "GDAL_HTTP_RETRY_DELAY": "1",
    "CPL_VSIL_CURL_CACHE_SIZE": str(32 * 2**20),
    "CPL_VSIL_CURL_CHUNK_SIZE": str(64 * 2**10),
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_INGESTED_BYTES_AT_OPEN": "32768",
    # Folders are not listed (on a server that is a request, and its answer may
    # name anything). A mask beside a local file is looked for by its exact name.
    "GDAL_DISABLE_READDIR_ON_OPEN": "TRUE",
    # .aux.xml files override reference system and transform without a word.
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_GEOREF_SOURCES": "INTERNAL,WORLDFILE",
    "GDAL_VRT_ENABLE_PYTHON": "NO",
    "GDAL_NUM_THREADS": "1",
    "GTIFF_IMPLICIT_JPEG_OVR": "NO",
    # libjpeg only warns of an image that ends early, and fills the rest with gray.
    "GDAL_ERROR_ON_LIBJPEG_WARNING": "TRUE",
    # The short way takes what memory held for the rows that a PNG lacks.
    "GDAL_PNG_WHOLE_IMAGE_OPTIM": "NO",
}
"""Options of rasterio's GDAL; times of the environment replace those here."""
VECTOR: Mapping[str, str] = {
    "OGR_CURRENT_DATE": PINNED_TIME,
    "GDAL_NUM_THREADS": "1",
    # It looks for proj.db in the current folder, and nothing here needs its functions.
    "SPATIALITE_LOAD": "NO",
}
"""Options of pyogrio's GDAL."""

# GDAL 3.10 calls itself without end where CPL_DEBUG is set then: `isolate_environment` removes it.
_DIRECTIVE = b"[directives]\nignore-env-vars=yes\n"
_FILE = b"/vsimem/overtile-settings"
_TEXT = ctypes.c_char_p
_HANDLE = ctypes.c_void_p
# name: (result, arguments), from cpl_conv.h, cpl_error.h and cpl_vsi.h
_SIGNATURES: Mapping[str, tuple[object, list[object]]] = {
    "CPLSetConfigOption": (None, [_TEXT, _TEXT]),
    "CPLSetConfigOptions": (None, [_HANDLE]),
    "CPLGetConfigOption": (_TEXT, [_TEXT, _TEXT]),
    "CPLLoadConfigOptionsFromFile": (None, [_TEXT, ctypes.c_int]),
    "CPLPushErrorHandler": (None, [_HANDLE]),
    "CPLPopErrorHandler": (None, []),
    "GDALSetCacheMax64": (None, [ctypes.c_int64]),
    "VSIClearPathSpecificOptions": (None, [_TEXT]),
    "VSIFCloseL": (ctypes.c_int, [_HANDLE]),
    "VSIFileFromMemBuffer": (_HANDLE, [_TEXT, _TEXT, ctypes.c_uint64, ctypes.c_int]),
    "VSIUnlink": (ctypes.c_int, [_TEXT]),
}


def library_of(module: str, signatures: Mapping[str, tuple[object, list[object]]]) -> ctypes.CDLL:
    """Return the library that an extension module is linked with.

    Args:
        module: Path of the extension module: a look-up in it goes on to its libraries.
        signatures: Results and arguments of the functions that are called, by name.
    """
    library = ctypes.CDLL(module)
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def set_raster_options(module: str) -> None:
    """Give rasterio's GDAL its options, and nothing else.

    Args:
        module: Path of an extension module of rasterio.

    Raises:
        ConfigError: It still reads others from the environment.
    """
    gdal = library_of(module, _SIGNATURES)
    _set_options(gdal, "rasterio", {**RASTER, **access_settings()})
    gdal.GDALSetCacheMax64(cache_bytes(os.environ.get(CACHE, "")))


def set_vector_options(module: str) -> None:
    """Give pyogrio's GDAL its options, and nothing else; it reaches no server.

    Args:
        module: Path of an extension module of pyogrio.

    Raises:
        ConfigError: It still reads others from the environment.
    """
    _set_options(library_of(module, _SIGNATURES), "pyogrio", VECTOR)


def cache_bytes(text: str) -> int:
    """Return the size of the block cache: ``GDAL_CACHEMAX`` within 16 to 96 MiB.

    Args:
        text: As GDAL takes it: megabytes, bytes from 100,000 on, or a number with MB or GB.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(|[MG]B)", text.strip().upper())
    if found is None:
        return BLOCK_CACHE_BYTES
    number, unit = float(found[1]), found[2]
    factor = {"MB": 2**20, "GB": 2**30, "": 1 if number >= 100_000 else 2**20}[unit]
    return int(min(max(number * factor, LEAST_CACHE_BYTES), BLOCK_CACHE_BYTES))


def _set_options(gdal: ctypes.CDLL, owner: str, options: Mapping[str, str]) -> None:
    folder = data_folders("GDAL_DATA")[owner]
    data = os.environ.get("GDAL_DATA") if folder is None else str(folder)
    chosen = {
        **options,
        "CPL_TMPDIR": _temporary(),
        "GDAL_DATA": data,
        # Read when drivers are registered; with none, GDAL looks in the home folder.
        "GDAL_CONFIG_FILE": os.devnull,
    }
    # Newer versions warn of names that they do not know, such as boto's own.
    gdal.CPLPushErrorHandler(ctypes.cast(gdal.CPLQuietErrorHandler, _HANDLE))
    try:
        # A gdalrc may have been read when drivers were registered.
        gdal.CPLSetConfigOptions(None)
        gdal.VSIClearPathSpecificOptions(None)
        handle = gdal.VSIFileFromMemBuffer(_FILE, _DIRECTIVE, len(_DIRECTIVE), 0)
        gdal.VSIFCloseL(handle)
        gdal.CPLLoadConfigOptionsFromFile(_FILE, 0)
        gdal.VSIUnlink(_FILE)
        for name, value in chosen.items():
            if value is not None:
                gdal.CPLSetConfigOption(name.encode(), os.fsencode(value))
    finally:
        gdal.CPLPopErrorHandler()
    _check_options(gdal, owner, chosen)


def _check_options(gdal: ctypes.CDLL, owner: str, chosen: Mapping[str, str | None]) -> None:
    seen = [
        name
        for name in os.environ
        if name not in chosen
        and not is_access(name)
        and gdal.CPLGetConfigOption(os.fsencode(name), None) is not None
    ]
    if seen:
        raise ConfigError(
            f"GDAL of {owner} takes options from the environment ({', '.join(sorted(seen)[:5])}), "
            f"so that maps would depend on it; install {owner} from its wheel, as the lock does"
        )


def _temporary() -> str | None:
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:  # none can be written to; GDAL would take the current one
        return None
