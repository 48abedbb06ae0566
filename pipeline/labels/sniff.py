"""Formats of vector files, known by their first bytes and never by their names."""

from __future__ import annotations

import re
from pathlib import Path

from pipeline.labels.limits import MAX_TEXT_BYTES
from pipeline.labels.opened import SHAPEFILE, VectorFile, open_vector_file
from pipeline.labels.vectors import refusal

_MAGIC = (
    ("parquet", 0, b"PAR1"),
    ("fgb", 0, b"fgb\x03"),
    ("gpkg", 68, b"GPKG"),
    ("gpkg", 68, b"GP10"),
    ("gpkg", 68, b"GP11"),
    ("shp", 0, SHAPEFILE),
)
_KNOWN = (
    (
        b"version https://git-lfs",
        "it is a pointer of Git LFS",
        "fetch the file itself: git lfs pull",
    ),
    (b"\xff\xfe", "it is UTF-16 text", "save it as UTF-8"),
    (b"[", "it is a bare JSON array", "give a FeatureCollection"),
)
_FORMATS = "GeoJSON, GeoParquet, GeoPackage, Shapefile (zipped too), FlatGeobuf, KML or GML"
_BLOCK = 2**20
_OVERLAP = 64
_ENCODING = re.compile(rb"^<\?xml[^>]*?encoding\s*=\s*[\"']([^\"']*)[\"']")
_ENCODINGS = re.compile(rb"(?i)utf-?8|us-ascii|ascii|iso-8859-\d+|windows-125\d")
_REFERENCES = (b"ogrvrt", b"xlink:href", b"<networklink", b":networklink")


def sniff(path: Path) -> str:
    """Return the format of a file: that of `guess`; in XML, ``kml`` or ``gml``.

    Raises:
        ConfigError: It is none of them, or not a file that can be read.
    """
    with open_vector_file(path) as file:
        return format_of(file)


def guess(head: bytes) -> str:
    """Return ``geojson``, ``parquet``, ``gpkg``, ``shp``, ``fgb`` or ``xml`` by the first bytes.

    Empty where it is none of them.
    """
    for kind, place, magic in _MAGIC:
        if head.startswith(magic, place):
            return kind
    text = _text(head)
    return "geojson" if text.startswith(b"{") else "xml" if text.startswith(b"<") else ""


def format_of(file: VectorFile) -> str:
    """Return what an open file is; as `sniff`."""
    kind = guess(file.head)
    if kind in ("geojson", "xml"):
        if file.size > MAX_TEXT_BYTES:
            limit = MAX_TEXT_BYTES / 2**30
            reason = f"it has {file.size / 2**30:.1f} GiB; the limit is {limit:g}"
            raise refusal(file.path, reason, "convert it to GeoParquet")
        return kind if kind == "geojson" else _markup(file)
    if kind:
        return kind
    for start, what, hint in _KNOWN:
        if file.head.startswith(start):
            raise refusal(file.path, what, hint)
    raise refusal(file.path, "its content is no vector format that is read", f"give {_FORMATS}")


def _text(head: bytes) -> bytes:
    return head.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n\x1e")


def _markup(file: VectorFile) -> str:
    """Return whether XML is KML or GML, and refuse what XML can be abused for."""
    head = _text(file.head)
    encoding = _ENCODING.match(head)
    if b"\0" in head or (encoding and not _ENCODINGS.fullmatch(encoding.group(1))):
        raise refusal(file.path, "it is XML in an encoding that is not read", "save it as UTF-8")
    rest = b""
    with file.bytes() as raw:
        while block := raw.read(_BLOCK):
            lowered = rest + block.lower()
            if b"<!doctype" in lowered or b"<!entity" in lowered:
                raise refusal(file.path, "it declares XML entities", "export it again, as GeoJSON")
            if any(word in lowered for word in _REFERENCES):
                raise refusal(file.path, "it refers to other files", "export it again, as GeoJSON")
            rest = lowered[-_OVERLAP:]
    if b"<kml" in head or b":kml" in head:
        return "kml"
    if b"opengis.net/gml" in head and b"featurecollection" in head.lower():
        return "gml"
    raise refusal(file.path, "it is markup, but neither KML nor GML", f"give {_FORMATS}")
