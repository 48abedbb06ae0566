"""Zipped Shapefiles against ESRI's description of July 1998 and dBase III.

Source: ESRI Shapefile Technical Description (main file header, polygon records, index file).
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import shapely
from pyproj import CRS
from pyproj.exceptions import CRSError

from pipeline.outputs.vectors.shapefile import LONGEST_NAME, MOST_BYTES, PARTS, STYLE
from pipeline.validation.complaints import Findings
from pipeline.validation.polygons import Extent, check_polygons

_HEADER, _POLYGON = 100, 5
_LARGEST_RECORD = 2**30
_AT_ONCE = 5000
_KINDS = {"C": 254, "N": 32, "F": 32, "L": 1, "D": 8}
"""Types of fields, and their greatest widths."""
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError, struct.error)
Read = Callable[[int], bytes]
"""What reads so many bytes of a file, or what is left."""


class _Main(NamedTuple):
    """The header of ``.shp`` or ``.shx``."""

    length: int
    box: list[float]


def check_shapefile(path: Path) -> list[str]:
    """Return what is wrong with a zipped Shapefile of polygons; it is read 5,000 at a time."""
    complaints = Findings()
    try:
        with zipfile.ZipFile(path) as archive:
            stem = _stem(archive, complaints)
            if stem is None:
                return complaints.lines()
            count = _check_shapes(archive, stem, complaints)
            _check_table(archive, stem, count, complaints)
            _check_texts(archive, stem, complaints)
    except _DAMAGED as error:
        complaints.add(f"not readable as zipped Shapefile: {error}")
    return complaints.lines()


def _stem(archive: zipfile.ZipFile, complaints: Findings) -> str | None:
    """Return the name that all members share."""
    names = [info.filename for info in archive.infolist()]
    stems = {Path(name).stem for name in names}
    wanted = {f"{stem}{suffix}" for stem in stems for suffix in PARTS}
    if len(stems) != 1 or not wanted <= {*names}:
        complaints.add(f"it does not hold the files {', '.join(PARTS)} of one name, but {names}")
        return None
    (stem,) = stems
    if others := {*names} - wanted - {f"{stem}{STYLE}"}:
        complaints.add(f"it holds other files: {', '.join(sorted(others))}")
    for info in archive.infolist():
        if info.file_size > MOST_BYTES:
            complaints.add(f"{info.filename} has {info.file_size} bytes, more than {MOST_BYTES}")
    return stem


def _check_shapes(archive: zipfile.ZipFile, stem: str, complaints: Findings) -> int:
    """Check geometries and their index; return how many there are."""
    extent, seen = Extent(), 0
    with archive.open(f"{stem}.shp") as main, archive.open(f"{stem}.shx") as index:
        heads = [_main(main.read, ".shp", complaints), _main(index.read, ".shx", complaints)]
        at, waiting = _HEADER, list[shapely.Geometry]()
        for content in _records(main.read, index.read, complaints):
            waiting.append(_polygon(content, seen + len(waiting), complaints))
            at += 8 + len(content)
            if len(waiting) == _AT_ONCE:
                seen += _check_some(waiting, seen, extent, complaints)
                waiting = []
        seen += _check_some(waiting, seen, extent, complaints)
        if index.read(1):
            complaints.add("its index (.shx) has more entries than there are records")
    lengths = [_HEADER + 8 * seen, at]
    for suffix, head, length in zip((".shx", ".shp"), reversed(heads), lengths, strict=True):
        if head.length != length:
            complaints.add(f"{suffix} has {length} bytes, its header states {head.length}")
        if seen and not extent.told_as(head.box):
            complaints.add(f"the box in the header of {suffix} is not that of its polygons")
    return seen


def _main(read: Read, suffix: str, complaints: Findings) -> _Main:
    raw = read(_HEADER)
    if len(raw) < _HEADER:
        raise ValueError(f"{suffix} ends within its header")
    code, words = struct.unpack(">i20xi", raw[:28])
    version, kind, *box = struct.unpack("<ii4d", raw[28:68])
    if (code, version) != (9994, 1000):
        raise ValueError(f"{suffix} does not begin as a Shapefile")
    if kind != _POLYGON:
        complaints.add(f"{suffix} is of type {kind}, not {_POLYGON} (Polygon)")
    return _Main(2 * words, box)


def _records(main: Read, index: Read, complaints: Findings) -> Iterator[bytes]:
    """Yield the content of each record, which the index must know by place and length."""
    at, number = _HEADER, 0
    while head := main(8):
        if len(head) < 8:
            raise ValueError(f".shp ends within the header of record {number + 1}")
        told, words = struct.unpack(">ii", head)
        if not 0 <= 2 * words <= _LARGEST_RECORD:
            raise ValueError(f"record {number + 1} has {2 * words} bytes")
        content = main(2 * words)
        if len(content) < 2 * words:
            raise ValueError(f".shp ends within record {number + 1}")
        if told != number + 1:
            complaints.add(f"a record is numbered {told} after {number}", number)
        if index(8) != struct.pack(">ii", at // 2, words):
            complaints.add("is not where the index (.shx) has it", number)
        at += 8 + len(content)
        number += 1
        yield content


def _polygon(content: bytes, row: int, complaints: Findings) -> shapely.Geometry:
    """Return the polygon of a record: outer rings run clockwise, holes the other way."""
    empty = shapely.Polygon()
    if len(content) < 44 or content[:4] != struct.pack("<i", _POLYGON):
        complaints.add("is no polygon", row)
        return empty
    box = np.frombuffer(content, "<f8", 4, 4)
    parts, points = struct.unpack_from("<ii", content, 36)
    if parts < 1 or points < 4 or len(content) != 44 + 4 * parts + 16 * points:
        complaints.add("has another length than its rings take", row)
        return empty
    starts = np.frombuffer(content, "<i4", parts, 44)
    corners = np.frombuffer(content, "<f8", 2 * points, 44 + 4 * parts).reshape(-1, 2)
    ends = np.append(starts[1:], points)
    if starts[0] != 0 or (ends - starts < 4).any():
        complaints.add("has a ring of fewer than four points", row)
        return empty
    rings = [corners[a:b] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
    if any((ring[0] != ring[-1]).any() for ring in rings):
        complaints.add("has a ring that is not closed", row)
        return empty
    if not np.array_equal(box, [*corners.min(axis=0), *corners.max(axis=0)]):
        complaints.add("has a box that is not its own", row)
    return _assembled([shapely.LinearRing(ring) for ring in rings], row, complaints)


def _assembled(rings: list[shapely.LinearRing], row: int, complaints: Findings) -> shapely.Geometry:
    inner = shapely.is_ccw(rings)
    outers = [shapely.Polygon(ring) for ring, hole in zip(rings, inner, strict=True) if not hole]
    if not outers:
        complaints.add("has no outer ring that runs clockwise", row)
        return shapely.Polygon()
    holes: list[list[shapely.LinearRing]] = [[] for _ in outers]
    for ring in (ring for ring, hole in zip(rings, inner, strict=True) if hole):
        # The smallest one that holds it.
        around = [at for at, outer in enumerate(outers) if outer.covers(shapely.Polygon(ring))]
        if not around:
            complaints.add("has a hole outside its outer rings", row)
            continue
        holes[min(around, key=lambda at: outers[at].area)].append(ring)
    made = [
        shapely.Polygon(outer.exterior, inside) for outer, inside in zip(outers, holes, strict=True)
    ]
    return shapely.orient_polygons(made[0] if len(made) == 1 else shapely.MultiPolygon(made))


def _check_some(
    shapes: list[shapely.Geometry], first: int, extent: Extent, complaints: Findings
) -> int:
    if shapes:
        found = np.array(shapes, object)
        check_polygons(found, np.arange(first, first + len(found)), complaints)
        extent.grow(shapely.bounds(found))
    return len(shapes)


def _check_table(archive: zipfile.ZipFile, stem: str, count: int, complaints: Findings) -> None:
    """Check the attributes: their fields, and that each value is of its field's type."""
    with archive.open(f"{stem}.dbf") as file:
        head = file.read(32)
        if len(head) < 32 or head[0] != 3:
            raise ValueError(".dbf does not begin as dBase III")
        rows, length, width = struct.unpack("<IHH", head[4:12])
        fields = _fields(file.read(length - 32), complaints)
        if rows != count:
            complaints.add(f".dbf has {rows} rows, there are {count} polygons")
        if width != 1 + sum(size for *_, size in fields):
            raise ValueError(".dbf has rows of another length than its fields")
        for row in range(rows):
            record = file.read(width)
            if len(record) < width:
                raise ValueError(f".dbf ends within row {row + 1}")
            _check_row(record, fields, row, complaints)
        if file.read(2) not in (b"\x1a", b""):
            complaints.add(".dbf goes on after its last row")


def _fields(raw: bytes, complaints: Findings) -> list[tuple[str, str, int]]:
    """Return name, type and width of each field."""
    if not raw.endswith(b"\r") or len(raw) % 32 != 1:
        raise ValueError(".dbf has a damaged list of fields")
    found = []
    for at in range(0, len(raw) - 1, 32):
        name = raw[at : at + LONGEST_NAME + 1].partition(b"\0")[0].decode("utf-8")
        kind, width = chr(raw[at + 11]), raw[at + 16]
        if kind not in _KINDS or not 0 < width <= _KINDS[kind]:
            complaints.add(f"field {name} is of type {kind} and width {width}")
        found.append((name, kind, width))
    names = [name.lower() for name, *_ in found]
    if len({*names}) < len(names) or not all(0 < len(name) <= LONGEST_NAME for name in names):
        complaints.add(f"its fields {', '.join(names)} are not of different short names")
    return found


def _check_row(
    record: bytes, fields: list[tuple[str, str, int]], row: int, complaints: Findings
) -> None:
    at = 1
    for name, kind, width in fields:
        raw = record[at : at + width]
        at += width
        try:
            text = raw.decode("utf-8").strip(" ")
            if kind in "NF" and text.strip("*"):
                float(text)
        except ValueError:
            complaints.add(f"has a value of {name} that is not of its type", row)
            continue
        if kind == "L" and text not in ("T", "F", "?", ""):
            complaints.add(f"has a value of {name} that is not of its type", row)


def _check_texts(archive: zipfile.ZipFile, stem: str, complaints: Findings) -> None:
    encoding = archive.read(f"{stem}.cpg").strip()
    if encoding.upper() != b"UTF-8":
        complaints.add(f".cpg names {encoding[:20]!r}, not UTF-8")
    try:
        CRS.from_wkt(archive.read(f"{stem}.prj").decode("utf-8"))
    except (CRSError, UnicodeDecodeError):
        complaints.add(".prj is no reference system as WKT")
