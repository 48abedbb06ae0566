"""Where a scene's bytes are, and whether they are still the same ones."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pipeline.errors import SceneError
from pipeline.gdal import bindings as gdal
from pipeline.gdal.raster_guard import install_guard
from pipeline.scenes.access.redirects import check_redirects
from pipeline.scenes.names import redacted
from pipeline.scenes.pam import Pam, read_pam

_REMOTE = {
    "http": "/vsicurl/http://",
    "https": "/vsicurl/https://",
    "s3": "/vsis3/",
    "gs": "/vsigs/",
}
_LOOKED_AT = 64 * 2**10
"""Bytes of a world file that anybody reads; it holds six numbers."""
TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
PICTURES = (".png", ".jpg", ".jpeg")
JPEG_2000 = (".jp2", ".j2k", ".j2c", ".jpc", ".jpx", ".jpf")
"""Suffixes of scenes that sidecars georeference, with `PICTURES`."""

FETCH = "check that it is there and may be read"


def is_remote(href: str) -> bool:
    """Return whether an href is a URL of a kind that scenes are read from."""
    scheme, separator, _ = href.partition("://")
    return bool(separator) and scheme.lower() in _REMOTE


def gdal_path(href: str) -> str:
    """Return what GDAL calls an absolute path or URL.

    Raises:
        SceneError: It is neither, or one of GDAL's own names (``/vsizip/...``).
    """
    if is_remote(href):
        scheme, _, rest = href.partition("://")
        return _REMOTE[scheme.lower()] + rest
    if not Path(href).is_absolute() or href.startswith("/vsi") or "\0" in href:
        raise SceneError(
            redacted(href),
            "it is neither a path nor an http, https, s3 or gs URL",
            "name a file, a folder or such a URL",
        )
    return href


def remote_reason(text: str, *, otherwise: str = "the server does not serve it") -> str:
    """Return what a server answered, from GDAL's words, without a query that may hold secrets."""
    for word in ("404", "403", "401", "410", "429", "500", "502", "503", "504"):
        if f" {word}" in text or f"{word} " in text or text.endswith(word):
            return f"the server responds with HTTP status {word}"
    lowered = text.lower()
    if "timed out" in lowered or "timeout" in lowered or "too slow" in lowered:
        return "the server stopped answering"
    if "resolve" in lowered or "connect" in lowered:
        return "the server cannot be reached"
    return otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class Bytes:
    """A file's bytes at random, wherever it is."""

    size: int
    """Bytes of the file."""
    read: Callable[[int, int], bytes]
    """Returns the bytes at ``(offset, length)``."""
    close: Callable[[], None]
    """Gives the file back."""


def _regular(path: str) -> os.stat_result:
    """Return a file's status; opening a pipe would wait for ever."""
    status = Path(path).stat()
    if not stat.S_ISREG(status.st_mode):
        raise SceneError(path, "it is no regular file", "name a file")
    return status


def open_bytes(href: str) -> Bytes:
    """Open a local or remote file.

    Raises:
        SceneError: It cannot be read, or its server sends on to a private host.
    """
    install_guard()
    path = gdal_path(href)
    if is_remote(href):
        check_redirects(href)
        try:
            remote = gdal.GdalFile(path)
        except gdal.GdalFileError as error:
            raise SceneError(redacted(href), remote_reason(str(error)), FETCH) from error
        return Bytes(size=remote.size, read=remote.read, close=remote.close)
    try:
        _regular(path)
        file = Path(path).open("rb")  # noqa: SIM115 - closed through `Bytes.close`
        size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise SceneError(href, (error.strerror or str(error)).lower(), FETCH) from error

    def read(offset: int, length: int) -> bytes:
        file.seek(min(offset, size))
        return file.read(length)

    return Bytes(size=size, read=read, close=file.close)


@lru_cache(maxsize=1024)
def _digest(path: str, size: int, mtime_ns: int, inode: int) -> str:
    # The last three only decide whether a digest of this process is still valid.
    del size, mtime_ns, inode
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _beside_digest(path: str) -> str:
    """Return the digest of a file beside a scene; of its start, unless it is a TIFF."""
    with Path(path).open("rb") as file:
        head = file.read(_LOOKED_AT)
    return _local_digest(path) if head[:4] in TIFF_MAGIC else hashlib.sha256(head).hexdigest()


def _local_digest(path: str) -> str:
    status = _regular(path)
    return _digest(path, status.st_size, status.st_mtime_ns, status.st_ino)


def mode_of(path: Path) -> int:
    """Return a file's type and rights; 0 where there is none, or its name is too long to be one."""
    try:
        return path.stat().st_mode
    except OSError:
        return 0


def endless(path: Path) -> bool:
    """Return whether a path leads to a pipe or a device, which would be waited for."""
    mode = mode_of(path)
    return bool(mode) and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def is_regular(path: str) -> bool:
    """Return whether there is a regular file, or a link to one."""
    return stat.S_ISREG(mode_of(Path(path)))


def companions(path: str) -> tuple[str, ...]:
    """Return the names beside a raster under which GDAL looks for its mask and its place."""
    return (f"{path}.msk", *world_files(path))


def world_files(path: str) -> tuple[str, ...]:
    """Return the names beside a raster that a world file may have.

    Strings: of ten thousand scenes, paths as objects take half of the time of a region's plan.
    """
    stem, dotted = os.path.splitext(path)  # noqa: PTH122
    suffix = dotted.strip(".").lower()
    short = {f".{suffix[0]}{suffix[-1]}w", f".{suffix}w"} if suffix else set()
    both = (name for lower in (*sorted(short), ".wld") for name in (lower, lower.upper()))
    return tuple(f"{stem}{name}" for name in both)


def prj_files(path: str) -> tuple[str, str]:
    """Return the names beside a picture that a file with its reference system may have."""
    stem = os.path.splitext(path)[0]  # noqa: PTH122
    return f"{stem}.prj", f"{stem}.PRJ"


def _of_place(path: str, pam: Pam) -> list[str]:
    """Return digests of the georeference in sidecars of a picture, except its world file."""
    placed = pam.transform is not None or any(map(is_regular, world_files(path)))
    if not path.lower().endswith(PICTURES + JPEG_2000) or not placed:
        return []
    digests = [_beside_digest(file) for file in prj_files(path) if is_regular(file)]
    if pam.transform is not None or pam.crs:
        digests.append(hashlib.sha256(repr((pam.transform, pam.crs)).encode()).hexdigest())
    return digests


def _sidecars(path: str) -> list[str]:
    return [file for file in companions(path) if is_regular(file)]


def content_digest(href: str) -> str:
    """Return what identifies the content of a local or remote file.

    ``sha256:<hex>`` of a local file (with its mask or world file, where there is
    one: a digest of their digests), ``http:<hex>`` of a remote one's ETag, size
    and time of change, asked for anew at every call.

    Raises:
        SceneError: It cannot be read any more, or its server sends on to a private host.
    """
    install_guard()
    path = gdal_path(href)
    if is_remote(href):
        check_redirects(href)
        try:
            answer = gdal.headers(path)
        except gdal.GdalFileError as error:
            raise SceneError(redacted(href), remote_reason(str(error)), FETCH) from error
        length = answer.get("content-length", "")
        size = answer.get("content-range", "").rpartition("/")[2] or length
        facts = (answer.get("etag", ""), size, answer.get("last-modified", ""))
        return "http:" + hashlib.sha256("\n".join(facts).encode()).hexdigest()
    try:
        digests = [_local_digest(path), *map(_beside_digest, _sidecars(path))]
        # Of an .aux.xml file only what is used counts: viewers write statistics into it.
        pam = read_pam(path)
        if pam.nodata:
            digests.append(hashlib.sha256(repr(pam.nodata).encode()).hexdigest())
        digests.extend(_of_place(path, pam))
    except OSError as error:
        raise SceneError(href, (error.strerror or str(error)).lower(), FETCH) from error
    if len(digests) == 1:
        return "sha256:" + digests[0]
    return "sha256:" + hashlib.sha256("\n".join(digests).encode()).hexdigest()
