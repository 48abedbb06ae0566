"""The few functions of rasterio's own GDAL that rasterio does not pass on.

rasterio and pyogrio each carry their own GDAL. Everything here reaches the one
that rasterio's extension module is linked with, and only that one, so vector
formats stay as they are. Settings made here hold for every thread (those of
``rasterio.Env`` hold for one).
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from functools import cache

import rasterio._env

_TEXT = ctypes.c_char_p
_HANDLE = ctypes.c_void_p

# name: (result, arguments), from gdal.h, cpl_conv.h and cpl_vsi.h of GDAL 3.10
_SIGNATURES: Mapping[str, tuple[object, list[object]]] = {
    "GDALAllRegister": (None, []),
    "GDALGetDriverCount": (ctypes.c_int, []),
    "GDALGetDriver": (_HANDLE, [ctypes.c_int]),
    "GDALGetDriverShortName": (_TEXT, [_HANDLE]),
    "GDALDeregisterDriver": (None, [_HANDLE]),
    "GDALOpenEx": (
        _HANDLE,
        [_TEXT, ctypes.c_uint, ctypes.POINTER(_TEXT), ctypes.POINTER(_TEXT), _HANDLE],
    ),
    "GDALGetGeoTransform": (ctypes.c_int, [_HANDLE, ctypes.POINTER(ctypes.c_double)]),
    "GDALClose": (ctypes.c_int, [_HANDLE]),
    "GDALSetCacheMax64": (None, [ctypes.c_int64]),
    "CPLSetConfigOption": (None, [_TEXT, _TEXT]),
    "CPLGetConfigOption": (_TEXT, [_TEXT, _TEXT]),
    "CPLErrorReset": (None, []),
    "CPLGetLastErrorMsg": (_TEXT, []),
    "CPLPushErrorHandler": (None, [_HANDLE]),
    "CPLPopErrorHandler": (None, []),
    "VSIFOpenExL": (_HANDLE, [_TEXT, _TEXT, ctypes.c_int]),
    "VSIErrorReset": (None, []),
    "VSIGetLastErrorMsg": (_TEXT, []),
    "VSIFCloseL": (ctypes.c_int, [_HANDLE]),
    "VSIFSeekL": (ctypes.c_int, [_HANDLE, ctypes.c_uint64, ctypes.c_int]),
    "VSIFTellL": (ctypes.c_uint64, [_HANDLE]),
    "VSIFReadL": (ctypes.c_size_t, [_HANDLE, ctypes.c_size_t, ctypes.c_size_t, _HANDLE]),
    "VSIGetFileMetadata": (ctypes.POINTER(_TEXT), [_TEXT, _TEXT, _HANDLE]),
    "VSICurlPartialClearCache": (None, [_TEXT]),
    "CSLDestroy": (None, [_HANDLE]),
}


@cache
def raster_library() -> ctypes.CDLL:
    """Return the GDAL that rasterio is linked with."""
    # A look-up in the extension module goes on to the libraries it depends on.
    gdal = ctypes.CDLL(rasterio._env.__file__)
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(gdal, name)
        function.restype, function.argtypes = result, arguments
    return gdal


def raster_drivers() -> dict[str, int]:
    """Return every registered driver's short name and handle."""
    gdal = raster_library()
    handles = [gdal.GDALGetDriver(index) for index in range(gdal.GDALGetDriverCount())]
    return {gdal.GDALGetDriverShortName(handle).decode(): handle for handle in handles}


def setting(name: str) -> str | None:
    """Return a GDAL setting, of this process or of its environment."""
    value = raster_library().CPLGetConfigOption(name.encode(), None)
    return None if value is None else value.decode()


def configure_raster_gdal(name: str, value: str) -> None:
    """Set a GDAL setting for all threads of this process."""
    raster_library().CPLSetConfigOption(name.encode(), value.encode())


class GdalFileError(OSError):
    """GDAL's file layer could not open or read something; the message is GDAL's."""


def _failure(path: str) -> GdalFileError:
    gdal = raster_library()
    messages = (gdal.VSIGetLastErrorMsg() or b"", gdal.CPLGetLastErrorMsg() or b"")
    words = [message.decode(errors="replace") for message in messages if message]
    return GdalFileError("; ".join(words) or f"{path} cannot be opened")


def _quiet() -> None:
    gdal = raster_library()
    gdal.CPLErrorReset()
    gdal.VSIErrorReset()
    gdal.CPLPushErrorHandler(ctypes.cast(gdal.CPLQuietErrorHandler, _HANDLE))


class GdalFile:
    """Bytes of a file that GDAL can reach (``/vsicurl/...``, ``/vsis3/...``), at random."""

    def __init__(self, path: str) -> None:
        """Open ``path``.

        Raises:
            GdalFileError: It cannot be reached.
        """
        gdal = raster_library()
        _quiet()
        try:
            self._handle = gdal.VSIFOpenExL(path.encode(), b"rb", 1)
            if not self._handle:
                raise _failure(path)
        finally:
            gdal.CPLPopErrorHandler()
        self._path = path
        gdal.VSIFSeekL(self._handle, 0, 2)
        self.size = int(gdal.VSIFTellL(self._handle))

    def read(self, offset: int, length: int) -> bytes:
        """Return ``length`` bytes from ``offset``; fewer where the file ends before.

        Raises:
            GdalFileError: The bytes cannot be fetched.
        """
        gdal = raster_library()
        length = max(0, min(length, self.size - offset))
        buffer = ctypes.create_string_buffer(length)
        _quiet()
        try:
            gdal.VSIFSeekL(self._handle, offset, 0)
            count = gdal.VSIFReadL(buffer, 1, length, self._handle)
            if count < length:
                raise _failure(self._path)
        finally:
            gdal.CPLPopErrorHandler()
        return buffer.raw

    def close(self) -> None:
        """Give the file back."""
        if self._handle:
            raster_library().VSIFCloseL(self._handle)
            self._handle = None


def headers(path: str) -> dict[str, str]:
    """Return the HTTP headers of a remote file, names in lower case, asked for anew.

    Args:
        path: As GDAL names it: ``/vsicurl/https://...`` or ``/vsis3/bucket/key``.

    Raises:
        GdalFileError: The server does not answer, or not with the file.
    """
    gdal = raster_library()
    _quiet()
    try:
        found = gdal.VSIGetFileMetadata(path.encode(), b"HEADERS", None)
    finally:
        gdal.CPLPopErrorHandler()
    if not found:
        # GDAL remembers that there was nothing, and not why. Forget it, and ask again
        # in a way that tells; it may also be there the next time.
        gdal.VSICurlPartialClearCache(path.encode())
        try:
            GdalFile(path).close()
        finally:
            gdal.VSICurlPartialClearCache(path.encode())
        raise GdalFileError(f"{path} has no headers")
    result: dict[str, str] = {}
    index = 0
    while found[index]:
        name, _, value = found[index].decode(errors="replace").partition("=")
        result[name.strip().lower()] = value.strip()
        index += 1
    gdal.CSLDestroy(ctypes.cast(found, _HANDLE))
    return result


def geotransform(
    path: str, *, driver: str, options: tuple[str, ...] = ()
) -> tuple[float, float, float, float, float, float] | None:
    """Return the geotransform ``(a, b, c, d, e, f)`` of a raster; None where it has none.

    Where a JPEG 2000 file has none and ``.aux.xml`` files are not read, GDAL 3.10 fills in
    nothing, and rasterio passes on what memory held.

    Args:
        path: As GDAL names it.
        driver: The only driver that may open it.
        options: Its open options, such as ``GEOREF_SOURCES=INTERNAL``.
    """
    gdal = raster_library()
    only = (_TEXT * 2)(driver.encode(), None)
    chosen = (_TEXT * (len(options) + 1))(*(option.encode() for option in options), None)
    _quiet()
    try:
        dataset = gdal.GDALOpenEx(path.encode(), 0x2, only, chosen, None)  # rasters alone
        if not dataset:
            return None
        numbers = (ctypes.c_double * 6)(0, 1, 0, 0, 0, 1)
        failed = gdal.GDALGetGeoTransform(dataset, numbers)
        gdal.GDALClose(dataset)
    finally:
        gdal.CPLPopErrorHandler()
    c, a, b, f, d, e = numbers
    return None if failed else (a, b, c, d, e, f)
