"""Files of formats that are not read: what they look like, and the command that converts them.

The commands are those of the environment that Overtile runs in: rasterio's ``rio`` reads more
formats than `pipeline.gdal.raster_guard` leaves in a run.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from urllib.parse import unquote, urlsplit

CONVERT = "convert it: {rio} convert {source} {target}"
_CONVERT_ANY = "name a GeoTIFF, or convert it to one"
_AGAIN = "fetch or export it again"
_NETCDF = (
    "convert the variable that is to be mapped: {rio} info --subdatasets {source} lists them, "
    "{rio} convert {netcdf} {target} writes one"
)
_HDF5 = f"{_NETCDF} (of a NetCDF file; of another HDF5 file with the name that is listed)"
_HDF4 = (
    "convert the data set that is to be mapped with a GDAL that has the HDF4 driver, which "
    "rasterio lacks (conda-forge: libgdal-hdf4): gdalinfo {source} lists them, gdal_translate "
    "NAME {target} writes one"
)
_MAKER = (
    "convert it with a program that has its maker's library, such as QGIS for Windows: "
    "gdal_translate {source} {target}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A format that is not read."""

    name: str
    """What messages call it."""
    hint: str = CONVERT
    """What the user can do; ``{rio}``, ``{source}``, ``{target}`` are as a shell takes them."""


_BY_START: Mapping[bytes, Format] = {
    b"<VRTDataset": Format(name="a virtual raster (VRT)", hint="name it {stem}.vrt"),
    b"<MRF_META": Format(name="an MRF header"),
    b"<!doctype html": Format(name="an HTML page", hint=_AGAIN),
    b"<!DOCTYPE": Format(name="an HTML or XML page", hint=_AGAIN),
    b"<html": Format(name="an HTML page", hint=_AGAIN),
    b"<HTML": Format(name="an HTML page", hint=_AGAIN),
    b"<?xml": Format(name="an XML page", hint=_CONVERT_ANY),
    b"<": Format(name="an XML or HTML page", hint=_CONVERT_ANY),
    b"{": Format(name="JSON", hint=_CONVERT_ANY),
    b"II*\0": Format(name="a TIFF image", hint="name it {stem}.tif"),
    b"MM\0*": Format(name="a TIFF image", hint="name it {stem}.tif"),
    b"II+\0": Format(name="a TIFF image", hint="name it {stem}.tif"),
    b"MM\0+": Format(name="a TIFF image", hint="name it {stem}.tif"),
    b"\x89PNG": Format(name="a PNG image", hint="name it {stem}.png"),
    b"\xff\xd8\xff": Format(name="a JPEG image", hint="name it {stem}.jpg"),
    b"\0\0\0\x0cjP": Format(name="a JPEG 2000 image", hint="name it {stem}.jp2"),
    b"\xff\x4f\xff\x51": Format(name="a JPEG 2000 image", hint="name it {stem}.j2k"),
    b"PK": Format(name="a ZIP archive", hint="name it {stem}.zip, or unpack it"),
    b"\x1f\x8b": Format(name="a gzip archive", hint="unpack it: gunzip {source}"),
    b"7z\xbc\xaf": Format(name="a 7-Zip archive", hint="unpack it"),
    b"BZh": Format(name="a bzip2 archive", hint="unpack it: bunzip2 {source}"),
    b"\xfd7zXZ": Format(name="an xz archive", hint="unpack it: unxz {source}"),
    b"Rar!": Format(name="a RAR archive", hint="unpack it"),
    b"%PDF": Format(name="a PDF"),
    b"\x89HDF": Format(name="an HDF5 file (or NetCDF-4)", hint=_HDF5),
    b"CDF\1": Format(name="a NetCDF file", hint=_NETCDF),
    b"CDF\2": Format(name="a NetCDF file", hint=_NETCDF),
    b"CDF\5": Format(name="a NetCDF file", hint=_NETCDF),
    b"\x0e\x03\x13\x01": Format(name="an HDF4 file", hint=_HDF4),
    b"NITF": Format(name="a NITF file"),
    b"GRIB": Format(name="a GRIB file"),
    b"EHFA_HEADER_TAG": Format(name="an Erdas Imagine file"),
    b"PCIDSK": Format(name="a PCIDSK file"),
    b"msid": Format(name="a MrSID file", hint=_MAKER),
    b"ncols": Format(name="an ASCII grid"),
    b"NCOLS": Format(name="an ASCII grid"),
    b"SQLite format 3": Format(name="an SQLite file, such as a GeoPackage"),
    b"GIF8": Format(name="a GIF image"),
    b"RIFF": Format(name="a WebP image"),
    b"BM": Format(name="a BMP image"),
    b"version https://git-lfs": Format(
        name="a pointer of Git LFS (fetch the file itself: git lfs pull)",
        hint="run git lfs pull where the file lies",
    ),
}
_BY_SUFFIX: Mapping[str, Format] = {
    ".ecw": Format(name="an ECW file", hint=_MAKER),
    ".sid": Format(name="a MrSID file", hint=_MAKER),
}
"""Of formats without a start of their own."""
_ENVI = Format(name="an ENVI raster, by the .hdr file beside it")
_BIL = Format(name="a BIL, BIP or BSQ raster, by the .hdr file beside it")


def appearance(name: str, head: bytes) -> str:
    """Return what a file looks like: ``it looks like a NetCDF file``.

    Args:
        name: Path or URL, for formats that have no start of their own.
        head: Its first bytes, some 256.
    """
    found = _format(name, head)
    if found is not None:
        return f"it looks like {found.name}"
    start = head[:24].split(b"\0")[0]
    if len(start) > 3 and start.isascii() and start.decode().isprintable():
        return f"it starts with {start.decode()!r}"
    return f"it starts with the bytes {head[:8].hex(' ')}"


def hint(name: str, head: bytes) -> str:
    """Return what to do with such a file: the command that converts it, where there is one."""
    found = _format(name, head)
    return _CONVERT_ANY if found is None else filled(found.hint, name)


def filled(text: str, name: str) -> str:
    """Return a way out with the names of a file, as a shell takes them.

    Args:
        text: With ``{rio}``, ``{source}``, ``{target}``, ``{stem}`` or ``{netcdf}``.
        name: Path or URL; a URL's file is called as it is once fetched.
    """
    remote = "://" in name
    source = PurePath(unquote(urlsplit(name).path)).name if remote else name
    stem = PurePath(source).stem or "scene"
    words = text.format(
        rio=_rio(),
        source=shlex.quote(source),
        target=shlex.quote(f"{stem}.tif"),
        stem=stem,
        netcdf=shlex.quote(f"netcdf:{source}:VARIABLE"),
    )
    return f"fetch it, and {words}" if remote else words


def _format(name: str, head: bytes) -> Format | None:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    for start, found in _BY_START.items():
        if text.startswith(start):
            return found
    if "://" in name:
        return None
    suffix = PurePath(name).suffix.lower()
    return _BY_SUFFIX.get(suffix) or _by_header(name)


def _by_header(name: str) -> Format | None:
    """Return the format of raw pixels with a header beside them."""
    for path in (PurePath(name).with_suffix(".hdr"), PurePath(f"{name}.hdr")):
        try:
            if not Path(path).is_file():
                continue
            with Path(path).open("rb") as file:
                head = file.read(4096).upper()
        except OSError:
            continue
        if head.startswith(b"ENVI"):
            return _ENVI
        if b"NROWS" in head and b"NCOLS" in head:
            return _BIL
    return None


def _rio() -> str:
    """Return how a shell calls rasterio's command of this environment."""
    own = Path(sys.executable).with_name("rio")
    found = shutil.which("rio")
    if not own.is_file() or (found is not None and Path(found) == own):
        return "rio"
    try:
        return shlex.quote(str(own.relative_to(Path.cwd())))
    except (ValueError, OSError):
        return shlex.quote(str(own))
