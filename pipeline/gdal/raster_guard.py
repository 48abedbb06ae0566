"""What rasters may make this process do: decode pixels, and nothing else.

GDAL reads about 150 formats, and some of them are programs: a VRT reads any
file or URL, an MRF writes files, whatever their names end in. `install_guard`
leaves the six drivers of `ALLOWED` in rasterio's GDAL, gives it and PROJ the
settings of `pipeline.gdal.settings` and none of the environment's, and proves
that a VRT no longer opens. It has to run in every process, before the first
raster is opened; doing it again costs nothing.
"""

from __future__ import annotations

import threading
import warnings

import rasterio
import rasterio.session
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError

from pipeline.errors import ConfigError
from pipeline.gdal import bindings as gdal
from pipeline.gdal.environment import data_folders, isolate_environment
from pipeline.gdal.proj import check_positions, set_pyproj, set_search_path
from pipeline.gdal.settings import set_raster_options

ALLOWED = frozenset({"GTiff", "COG", "MEM", "PNG", "JPEG", "JP2OpenJPEG"})
"""Drivers that only decode or encode pixels."""

_LIBRARY: str = rasterio._env.__file__
_PROBE = (
    '<VRTDataset rasterXSize="1" rasterYSize="1">'
    '<VRTRasterBand dataType="Byte" band="1"/></VRTDataset>'
)
_lock = threading.Lock()
_installed = threading.Event()


def install_guard() -> None:
    """Leave only the allowed drivers and Overtile's own settings in this process.

    Raises:
        ConfigError: A raster that could read other files still opens, or GDAL or PROJ
            depend on the environment.
    """
    # Every time: rasterio looks for its data in the environment whenever it begins.
    isolate_environment()
    if _installed.is_set():
        return
    with _lock:
        if _installed.is_set():
            return
        # GDAL reads credentials by itself; where boto3 cannot find a profile, it raises
        # for local scenes as well.
        rasterio.session.boto3 = None
        set_raster_options(_LIBRARY)
        set_search_path(_LIBRARY, data_folders("PROJ_DATA")["rasterio"])
        _remove_drivers()
        check_positions(_LIBRARY, "rasterio")
        set_pyproj()
        # Scenes that are not georeferenced are refused by `pipeline.scenes.geotiff.georeferencing`.
        warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)
        check_guard()
        _installed.set()


def _remove_drivers() -> None:
    with rasterio.Env():  # registers all drivers, once and for all
        removed = {
            name: handle for name, handle in gdal.raster_drivers().items() if name not in ALLOWED
        }
    # Names for a later registration, should anything cause one.
    known = (gdal.setting("GDAL_SKIP") or "").split(",")
    gdal.configure_raster_gdal("GDAL_SKIP", ",".join(sorted({*removed, *filter(None, known)})))
    for handle in removed.values():
        gdal.raster_library().GDALDeregisterDriver(handle)


def check_guard() -> None:
    """Prove that the guard is on.

    Raises:
        ConfigError: It is not.
    """
    extra = sorted(set(gdal.raster_drivers()) - ALLOWED)
    try:
        rasterio.open(_PROBE).close()
    except RasterioIOError:
        if not extra:
            return
    raise ConfigError(
        "rasters are not read: formats that can reach other files are still active "
        f"({', '.join(extra) or 'VRT'}); install rasterio from its wheel, as the lock does"
    )
