"""What rasters may make this process do: decode pixels, and nothing else.

GDAL reads about 150 formats, and some of them are programs: a VRT reads any
file or URL, an MRF writes files, whatever their names end in. `install_guard`
leaves the six drivers of `ALLOWED` in rasterio's GDAL, sets limits for the
network, and proves that a VRT no longer opens. It has to run in every process,
before the first raster is opened; doing it again costs nothing.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Mapping

import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError

from pipeline.errors import ConfigError
from pipeline.gdal import bindings as gdal

ALLOWED = frozenset({"GTiff", "COG", "MEM", "PNG", "JPEG", "JP2OpenJPEG"})
"""Drivers that only decode or encode pixels."""

BLOCK_CACHE_BYTES = 96 * 2**20
"""GDAL's cache of decoded blocks, for the whole process."""

SETTINGS: Mapping[str, str] = {
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
"""Settings of rasterio's GDAL; one named in the environment keeps that value."""

_PROBE = (
    '<VRTDataset rasterXSize="1" rasterYSize="1">'
    '<VRTRasterBand dataType="Byte" band="1"/></VRTDataset>'
)
_PINNED = ("GDAL_PAM_ENABLED", "GDAL_VRT_ENABLE_PYTHON", "GDAL_DISABLE_READDIR_ON_OPEN")
_lock = threading.Lock()
_installed = threading.Event()


def install_guard() -> None:
    """Leave only the allowed drivers and safe settings in this process.

    Raises:
        ConfigError: A raster that could read other files still opens.
    """
    if _installed.is_set():
        return
    with _lock:
        if _installed.is_set():
            return
        _remove_drivers()
        for name, value in SETTINGS.items():
            if name in _PINNED or gdal.setting(name) is None:
                gdal.configure(name, value)
        gdal.library().GDALSetCacheMax64(BLOCK_CACHE_BYTES)
        # Scenes without a place are refused by `pipeline.scenes.placing`, in words.
        warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)
        check_guard()
        _installed.set()


def _remove_drivers() -> None:
    with rasterio.Env():  # registers all drivers, once and for all
        removed = {name: handle for name, handle in gdal.drivers().items() if name not in ALLOWED}
    # Names for a later registration, should anything cause one.
    known = (gdal.setting("GDAL_SKIP") or "").split(",")
    gdal.configure("GDAL_SKIP", ",".join(sorted({*removed, *filter(None, known)})))
    for handle in removed.values():
        gdal.library().GDALDeregisterDriver(handle)


def check_guard() -> None:
    """Prove that the guard is on.

    Raises:
        ConfigError: It is not.
    """
    extra = sorted(set(gdal.drivers()) - ALLOWED)
    try:
        rasterio.open(_PROBE).close()
    except RasterioIOError:
        if not extra:
            return
    raise ConfigError(
        "rasters are not read: formats that can reach other files are still active "
        f"({', '.join(extra) or 'VRT'}); install rasterio from its wheel, as the lock does"
    )
