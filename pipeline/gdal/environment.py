"""What GDAL and PROJ may take from the environment: the way to servers, nothing that changes a map.

Both read any option that they know from the environment, at any time, and from a file in the home
folder. `isolate_environment` removes those variables from this process, but for the ones listed
here; its children inherit that. It loads neither library, and has to run before they are loaded:
some options are read once, and pyproj keeps the folder of the user's grids for good.
"""

from __future__ import annotations

import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path

from pipeline.errors import ConfigError

PROXIES = frozenset(
    {"GDAL_HTTP_PROXY", "GDAL_HTTPS_PROXY", "GDAL_HTTP_PROXYUSERPWD", "GDAL_PROXY_AUTH"}
)
"""Beside ``https_proxy`` and its like, which libcurl reads by itself."""
CREDENTIALS = frozenset(
    {
        *("GDAL_HTTP_AUTH", "GDAL_HTTP_USERPWD", "GDAL_HTTP_BEARER", "GDAL_GSSAPI_DELEGATION"),
        *("GDAL_HTTP_HEADERS", "GDAL_HTTP_HEADER_FILE", "GDAL_HTTP_COOKIE", "GDAL_HTTP_COOKIEFILE"),
        *("GDAL_HTTP_NETRC", "GDAL_HTTP_NETRC_FILE", "GDAL_HTTP_USERAGENT"),
        # GDAL looks for ~/.aws and ~/.boto there.
        "HOME",
    }
)
"""Of servers that are asked over HTTP."""
STORES = ("AWS_", "AZURE_", "GS_", "GOOGLE_", "CPL_AWS_", "CPL_AZURE_", "CPL_GCE_", "CPL_GS_")
"""First letters of what object stores need: keys, profiles, regions, endpoints."""
CERTIFICATES = frozenset(
    {
        *("CURL_CA_BUNDLE", "SSL_CERT_FILE", "GDAL_CURL_CA_BUNDLE", "GDAL_HTTP_CAPATH"),
        *("GDAL_HTTP_SSLCERT", "GDAL_HTTP_SSLCERTTYPE", "GDAL_HTTP_SSLKEY"),
        *("GDAL_HTTP_KEYPASSWD", "GDAL_HTTP_SSL_VERIFYSTATUS", "PROJ_CURL_CA_BUNDLE"),
    }
)
"""Certificates and client identity. ``GDAL_HTTP_UNSAFESSL`` is not among them."""
TIMES = frozenset(
    {
        *("GDAL_HTTP_TIMEOUT", "GDAL_HTTP_CONNECTTIMEOUT", "GDAL_HTTP_MAX_RETRY"),
        *("GDAL_HTTP_LOW_SPEED_TIME", "GDAL_HTTP_LOW_SPEED_LIMIT", "GDAL_HTTP_RETRY_DELAY"),
    }
)
"""Time-outs and retries of requests, bounded."""
CACHE = "GDAL_CACHEMAX"
"""Size of the cache of decoded blocks, in megabytes or bytes."""

_SETTINGS = re.compile(
    "(GDAL|OGR|CPL|GTIFF|TIFF|LIBTIFF|COG|GPKG|VSI[A-Z0-9]*|OSR|PROJ|SQLITE|SPATIALITE|JSIMD|OPJ)_|"
    "(JPEGMEM|SHAPE_ENCODING|USE_RRD|CENTER_LONG|CHECK_DISK_FREE_SPACE|[A-Z]+_OVERVIEW)$"
)
"""Names of options. Others do not reach GDAL either: see `pipeline.gdal.settings`."""
_TEMPORARY = "SQLITE_TMPDIR"
_NUMBER = re.compile(r"\d{1,6}(\.\d+)?")
_MAY_BE_ZERO = {"GDAL_HTTP_MAX_RETRY", "GDAL_HTTP_RETRY_DELAY"}
_FIXED = {
    # Neither is opened: a path below a device is no path.
    "GDAL_CONFIG_FILE": os.devnull,
    "PROJ_USER_WRITABLE_DIRECTORY": os.devnull,
    "PROJ_SKIP_READ_USER_WRITABLE_DIRECTORY": "YES",
    "PROJ_NETWORK": "OFF",
}
"""What both libraries are to find instead: no configuration file, no grids, no network."""
_WHEELS = {
    "GDAL_DATA": ("rasterio/gdal_data/gdalvrt.xsd", "pyogrio/gdal_data/gdalvrt.xsd"),
    "PROJ_DATA": (
        *("rasterio/proj_data/proj.db", "pyogrio/proj_data/proj.db"),
        "pyproj/proj_dir/share/proj/proj.db",
    ),
}
_WHEELS["PROJ_LIB"] = _WHEELS["PROJ_DATA"]
_EXPECTED = {*_WHEELS, *_FIXED, "GDAL_DRIVER_PATH", "CPL_ZIP_ENCODING", "GDAL_VERSION"}
"""Variables that conda, QGIS and GDAL's images set by themselves."""

_unused: set[str] = set()
_known: tuple[bytes, ...] = ()
"""Names of all variables when they were last looked through."""


def isolate_environment() -> None:
    """Remove settings of GDAL and PROJ from this process's environment; cheap when repeated.

    Raises:
        ConfigError: pyproj was loaded before, with grids in the user's folder.
    """
    global _known
    first = any(os.environ.get(name) != value for name, value in _FIXED.items())
    if not first and _known == tuple(os.environb):
        return  # a region opens ten thousand scenes
    if first:
        _refuse_grids()
    names = [name for name in os.environ if _is_setting(name) and not _is_kept(name)]
    for name in names:
        _unused.add(name)
        os.environ.pop(name, None)
    if first:
        os.environ.update(_FIXED)
    _known = tuple(os.environb)


def access_settings() -> dict[str, str]:
    """Return what GDAL takes from the environment: proxies, credentials, certificates, times."""
    found = {name: value for name, value in os.environ.items() if is_access(name)}
    bundle = found.get("GDAL_CURL_CA_BUNDLE", "")
    if bundle.endswith("certifi/cacert.pem") and {"CURL_CA_BUNDLE", "SSL_CERT_FILE"} & {*found}:
        # rasterio names certifi's in any case; those that somebody named go first.
        del found["GDAL_CURL_CA_BUNDLE"]
    return found


def is_access(name: str) -> bool:
    """Return whether a variable is taken from the environment, and has a value that can be."""
    if name in TIMES:
        value = os.environ.get(name, "")
        is_number = _NUMBER.fullmatch(value) is not None
        return is_number and (float(value) > 0 or name in _MAY_BE_ZERO)
    return name in PROXIES | CREDENTIALS | CERTIFICATES or name.startswith(STORES)


def unused_settings() -> tuple[str, ...]:
    """Return settings for GDAL or PROJ that have no effect."""
    home = os.environ.get("HOME", "")
    files = ("~/.gdal/gdalrc",) if home and Path(home, ".gdal", "gdalrc").is_file() else ()
    return (*sorted(_unused - _EXPECTED), *files)


def own_folder(place: str) -> Path | None:
    """Return a folder of data that a library's wheel carries; None where it is no wheel.

    Args:
        place: A file in it, such as ``rasterio/proj_data/proj.db``.
    """
    package, _, file = place.partition("/")
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0], file)
    return path.parent if path.is_file() else None


def data_folders(variable: str) -> dict[str, Path | None]:
    """Return the folder of each library that reads ``GDAL_DATA``, ``PROJ_DATA`` or ``PROJ_LIB``."""
    return {place.partition("/")[0]: own_folder(place) for place in _WHEELS[variable]}


def _is_setting(name: str) -> bool:
    return _SETTINGS.match(name) is not None


def _is_kept(name: str) -> bool:
    if name in _WHEELS:
        # Where a library comes without its data, the environment has to name their folder.
        return None in data_folders(name).values()
    return is_access(name) or name in {CACHE, _TEMPORARY} or os.environ[name] == _FIXED.get(name)


def _refuse_grids() -> None:
    if "pyproj" not in sys.modules:
        return
    shared = os.environ.get("XDG_DATA_HOME") or f"{os.environ.get('HOME', '')}/.local/share"
    folder = Path(os.environ.get("PROJ_USER_WRITABLE_DIRECTORY") or f"{shared}/proj")
    if folder.is_dir() and any(folder.iterdir()):
        raise ConfigError(
            f"pyproj was loaded before Overtile, and takes grids from {folder}, so that positions "
            f"would depend on it: set PROJ_USER_WRITABLE_DIRECTORY={os.devnull}"
        )
