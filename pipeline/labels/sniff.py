"""Formats of vector files, known by their first bytes and never by their names."""

from __future__ import annotations

import glob
from pathlib import Path

from pipeline.labels.vectors import refusal
from pipeline.scenes.location import endless

MAX_BYTES = 2 * 2**30
"""Larger text files are refused: they are read whole."""

_MAGIC = (
    ("parquet", 0, b"PAR1"),
    ("fgb", 0, b"fgb\x03"),
    ("gpkg", 68, b"GPKG"),
    ("gpkg", 68, b"GP10"),
    ("gpkg", 68, b"GP11"),
)
_KNOWN = (
    (b"PK\x03\x04", "it is a ZIP archive", "unpack it and name the file inside"),
    (
        b"version https://git-lfs",
        "it is a pointer of Git LFS",
        "fetch the file itself: git lfs pull",
    ),
    (b"\xff\xfe", "it is UTF-16 text", "save it as UTF-8"),
    (b"[", "it is a bare JSON array", "give a FeatureCollection"),
)
_FORMATS = "GeoJSON, GeoParquet, GeoPackage, Shapefile, FlatGeobuf, KML or GML"


def sniff(path: Path) -> str:
    """Return ``geojson``, ``parquet``, ``gpkg``, ``shp``, ``fgb``, ``kml`` or ``gml``.

    Raises:
        ConfigError: It is none of them, or not a file that can be read.
    """
    head = _head(path)
    for kind, place, magic in _MAGIC:
        if head.startswith(magic, place):
            return kind
    if head.startswith(b"\x00\x00\x27\x0a"):
        return _whole_shapefile(path)
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n\x1e")
    if text.startswith((b"{", b"<")):
        size = path.stat().st_size
        if size > MAX_BYTES:
            reason = f"it has {size / 2**30:.1f} GiB; the limit is 2"
            raise refusal(path, reason, "convert it to GeoParquet")
        return "geojson" if text.startswith(b"{") else _markup(path, text)
    for start, what, way_out in _KNOWN:
        if head.startswith(start):
            raise refusal(path, what, way_out)
    raise refusal(path, "its content is no vector format that is read", f"give {_FORMATS}")


def _head(path: Path) -> bytes:
    """Return a file's first bytes, at least one."""
    if endless(path):
        raise refusal(path, "it is no regular file", "name a file")
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise refusal(path, reason, "check the path and its rights") from error
    if not head:
        raise refusal(path, "it is empty (0 bytes)", "export it again")
    return head


def _whole_shapefile(path: Path) -> str:
    beside = list(path.parent.glob(f"{glob.escape(path.stem)}.*"))
    for other in beside:
        if endless(other):
            raise refusal(path, f"{other.name} beside it is no regular file", "remove that")
    present = {other.suffix.lower() for other in beside}
    missing = [suffix for suffix in (".shx", ".dbf", ".prj") if suffix not in present]
    if missing:
        parts = " and ".join(missing)
        verb = "is" if len(missing) == 1 else "are"
        raise refusal(path, f"{parts} {verb} not beside it", "copy all files of the Shapefile")
    return "shp"


def _markup(path: Path, head: bytes) -> str:
    """Tell KML and GML from all other XML, and refuse what XML can be abused for."""
    lowered = path.read_bytes().lower()
    if b"<!doctype" in lowered or b"<!entity" in lowered:
        raise refusal(path, "it declares XML entities", "export it again, as GeoJSON")
    if b"ogrvrt" in lowered or b"xlink:href" in lowered or b"<networklink" in lowered:
        raise refusal(path, "it refers to other files", "export it again, as GeoJSON")
    if b"<kml" in head:
        return "kml"
    if b"opengis.net/gml" in head and b"featurecollection" in head.lower():
        return "gml"
    raise refusal(path, "it is markup, but neither KML nor GML", f"give {_FORMATS}")
