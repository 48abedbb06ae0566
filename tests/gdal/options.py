"""Names of all options of both GDALs, and a folder with everything that names them from outside."""

from __future__ import annotations

import ctypes
import re
import shutil
import sqlite3
from functools import cache
from itertools import count, takewhile
from pathlib import Path

import numpy as np
import pyogrio._ogr
import pyproj
import rasterio
from rasterio.transform import from_origin

_NAME = re.compile(rb"\0[A-Z][A-Z0-9]*_[A-Z0-9_]+(?=\0)")
NEEDED = frozenset(
    {"HOME", "PATH", "LD_LIBRARY_PATH", "LD_PRELOAD", "TMPDIR", "USER", "USERNAME", "LOGNAME"}
)
"""What no process does without."""
HOSTILE = {
    "GTIFF_POINT_GEO_IGNORE": "YES",
    "GDAL_GEOREF_SOURCES": "NONE",
    "GDAL_TIFF_DEFLATE_SUBCODEC": "ZLIB",
    "GDAL_TIFF_OVR_BLOCKSIZE": "64",
    "OGR_SQLITE_JOURNAL": "WAL",
    "OGR_CURRENT_DATE": "2020-01-01T00:00:00Z",
    "OGR_GEOJSON_MAX_OBJ_SIZE": "0",
    "CPL_TMPDIR": "/nonexistent",
    "CPL_DEBUG": "ON",
    "CPL_TIMESTAMP": "ON",
    "CPL_LOG_ERRORS": "ON",
    "CPL_CURL_VERBOSE": "YES",
    "GDAL_DISABLE_READDIR_ON_OPEN": "NO",
    "GDAL_VRT_ENABLE_PYTHON": "YES",
    "GDAL_CACHEMAX": "1",
    "GDAL_SKIP": "GTiff,COG,GPKG",
    "OGR_SKIP": "FlatGeobuf",
    "PROJ_NETWORK": "ON",
    "PROJ_NETWORK_ENDPOINT": "http://127.0.0.1:9",
    "PROJ_DEBUG": "3",
    "PROJ_ONLY_BEST_DEFAULT": "YES",
}
"""Values that change files, positions or standard error where they are heeded."""


@cache
def option_names() -> tuple[str, ...]:
    """Return the options that pyogrio's GDAL lists, and what looks like one in rasterio's."""
    gdal = ctypes.CDLL(pyogrio._ogr.__file__)
    gdal.CPLGetKnownConfigOptions.restype = ctypes.POINTER(ctypes.c_char_p)
    listed = gdal.CPLGetKnownConfigOptions()
    names = {name.decode() for name in takewhile(bool, map(listed.__getitem__, count()))}
    for library in (Path(rasterio.__file__).parent.parent / "rasterio.libs").glob("libgdal*"):
        names |= {name[1:].decode() for name in _NAME.findall(library.read_bytes())}
    return tuple(sorted(names - NEEDED))


def proj_folder(folder: Path, kind: str) -> Path:
    """Return a folder of PROJ's data as another installation would have it.

    Args:
        folder: Where to make it.
        kind: ``empty``, ``missing``, ``older``, ``newer``, ``damaged``, ``without_codes`` or
            ``pyproj``, which has another version than rasterio.
    """
    if kind == "pyproj":
        return Path(pyproj.datadir.get_data_dir())
    place = folder / kind
    if kind == "missing":
        return place
    place.mkdir(parents=True)
    if kind == "empty":
        return place
    database = place / "proj.db"
    shutil.copy(Path(rasterio.__file__).parent / "proj_data" / "proj.db", database)
    if kind == "damaged":
        database.write_bytes(database.read_bytes()[:50_000])
        return place
    with sqlite3.connect(database) as connection:
        if kind == "without_codes":
            listed = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            for (trigger,) in listed.fetchall():
                connection.execute(f"DROP TRIGGER {trigger}")
            connection.execute("DELETE FROM projected_crs")
        else:
            part, value = ("MINOR", "2") if kind == "older" else ("MAJOR", "9")
            name = f"DATABASE.LAYOUT.VERSION.{part}"
            connection.execute("UPDATE metadata SET value = ? WHERE key = ?", (value, name))
    connection.close()
    return place


def home(folder: Path) -> Path:
    """Return a home folder whose files move every scene in NAD27 by 200 m, and turn all on."""
    options = {k: v for k, v in HOSTILE.items() if not k.startswith("PROJ") and "SKIP" not in k}
    rc = "\n".join(f"{name}={value}" for name, value in options.items())
    for name in (".gdal", ".local/share/proj"):
        (folder / name).mkdir(parents=True)
    (folder / ".gdal" / "gdalrc").write_text(
        "[directives]\nignore-env-vars=no\n[credentials]\n[.all]\npath=/vsis3/\n"
        f"AWS_ACCESS_KEY_ID=theirs\n[configoptions]\n{rc}\n"
    )
    grids = folder / ".local/share/proj"
    (grids / "proj.ini").write_text("[general]\nnetwork = on\ntmerc_default_algo = approx\n")
    for name in ("us_noaa_conus.tif", "ca_nrc_ntv2_0.tif"):
        write_grid(grids / name)
    return folder


def write_grid(path: Path) -> None:
    """Write a datum grid over North America that moves positions by 10 and 20 arc seconds."""
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=20,
        width=40,
        count=2,
        dtype="float32",
        crs="EPSG:4267",
        transform=from_origin(-130.5, 50.5, 1, 1),
    ) as grid:
        grid.update_tags(TYPE="HORIZONTAL_OFFSET", AREA_OR_POINT="Point")
        for band, (name, value) in enumerate((("latitude", 10), ("longitude", 20)), start=1):
            grid.write(np.full((20, 40), value, np.float32), band)
            grid.set_band_description(band, f"{name}_offset")
        grid.units = ("arc-second", "arc-second")
