"""FlatGeobuf: header, packed Hilbert R-tree and features against each other."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import shapely

from pipeline.gdal.vector_guard import pyogrio
from pipeline.validation.complaints import Findings
from pipeline.validation.polygons import Extent, check_polygons, not_within, read_wkb

_MAGIC = b"fgb\x03fgb"
_NODE = np.dtype([("box", "<f8", 4), ("offset", "<u8")])
_LARGEST_HEADER = 2**20
_AT_ONCE = 5000
# Places in the header's table (flatgeobuf/src/fbs/header.fbs).
_ENVELOPE, _COUNT, _NODE_SIZE, _CRS = 1, 8, 9, 10


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    count: int
    node_size: int
    envelope: tuple[float, ...]
    has_crs: bool
    end: int


def check_flatgeobuf(path: Path) -> list[str]:
    """Return what is wrong with a FlatGeobuf file; it is read 5,000 features at a time."""
    complaints = Findings()
    try:
        with path.open("rb") as file:
            header = _header(file)
            if not header.has_crs:
                complaints.add(
                    "crs is missing: the file does not state its coordinate reference system"
                )
            leaves = _leaves(file, header, complaints)
            if leaves is not None:
                _check_offsets(file, leaves, path.stat().st_size, complaints)
    except (ValueError, struct.error) as error:
        return [f"not readable as FlatGeobuf: {error}"]
    if not complaints.lines():
        _check_features(path, header, leaves, complaints)
    return complaints.lines()


def _header(file: BinaryIO) -> _Header:
    """Return what a reader needs of the header, a FlatBuffers table.

    Raises:
        ValueError: The file does not begin with one.
    """
    if file.read(8)[:7] != _MAGIC:
        raise ValueError("it does not begin with FlatGeobuf's magic bytes")
    (size,) = struct.unpack("<I", file.read(4))
    if size > _LARGEST_HEADER:
        raise ValueError(f"its header claims {size} bytes, more than {_LARGEST_HEADER}")
    raw = file.read(size)
    if len(raw) < size:
        raise ValueError("it ends within its header")
    (root,) = struct.unpack_from("<I", raw)
    table = root - struct.unpack_from("<i", raw, root)[0]
    (length,) = struct.unpack_from("<H", raw, table)

    def at(place: int) -> int | None:
        entry = 4 + 2 * place
        offset = struct.unpack_from("<H", raw, table + entry)[0] if entry < length else 0
        return root + int(offset) if offset else None

    count, node_size, envelope = at(_COUNT), at(_NODE_SIZE), at(_ENVELOPE)
    box: tuple[float, ...] = ()
    if envelope is not None:
        vector = envelope + struct.unpack_from("<I", raw, envelope)[0]
        (sides,) = struct.unpack_from("<I", raw, vector)
        box = struct.unpack_from(f"<{min(sides, 8)}d", raw, vector + 4)
    return _Header(
        count=0 if count is None else struct.unpack_from("<Q", raw, count)[0],
        node_size=16 if node_size is None else struct.unpack_from("<H", raw, node_size)[0],
        envelope=box,
        has_crs=at(_CRS) is not None,
        end=12 + size,
    )


def _leaves(file: BinaryIO, header: _Header, complaints: Findings) -> Any:
    """Return the boxes and offsets of the features; None where there is no index.

    The tree lies level by level from the root; its leaves, one a feature, come last.
    """
    if header.count == 0:
        return np.zeros(0, _NODE)
    if header.node_size < 2:
        complaints.add("there is no spatial index")
        return None
    nodes = level = header.count
    while level > 1:
        level = -(-level // header.node_size)
        nodes += level
    # One feature still has a root above it.
    nodes += header.count == 1
    file.seek(0, 2)
    if header.end + nodes * _NODE.itemsize > file.tell():
        raise ValueError(f"it ends within the index of the {header.count} features it claims")
    file.seek(header.end + (nodes - header.count) * _NODE.itemsize)
    return np.frombuffer(file.read(header.count * _NODE.itemsize), _NODE)


def _check_offsets(file: BinaryIO, leaves: Any, size: int, complaints: Findings) -> None:
    """Follow the features from length to length: where the index says, up to the file's end."""
    start = file.tell()
    for which, offset in enumerate(leaves["offset"].tolist()):
        if start + offset != file.tell():
            complaints.add("does not begin where the index says", which)
            return
        raw = file.read(4)
        if len(raw) < 4:
            raise ValueError(f"it ends before feature {which} of {len(leaves)}")
        file.seek(struct.unpack("<I", raw)[0], 1)
        if file.tell() > size:
            raise ValueError(f"it ends within feature {which} of {len(leaves)}")
    if file.tell() != size:
        complaints.add(f"{size - file.tell()} bytes follow the last feature")


def _check_features(path: Path, header: _Header, leaves: Any, complaints: Findings) -> None:
    ogr = pyogrio()
    extent, seen = Extent(), 0
    try:
        with ogr.raw.open_arrow(path, columns=[], batch_size=_AT_ONCE, use_pyarrow=True) as (
            meta,
            batches,
        ):
            name = meta["geometry_name"] or "wkb_geometry"
            for batch in batches:
                rows = np.arange(seen, seen + len(batch))
                wkb = batch.column(name).to_numpy(zero_copy_only=False)
                seen += len(batch)
                shapes, rows = read_wkb(wkb, rows, complaints)
                check_polygons(shapes, rows, complaints)
                bounds = shapely.bounds(shapes)
                extent.grow(bounds)
                boxes = leaves["box"][rows[rows < len(leaves)]]
                short = not_within(bounds[: len(boxes)], boxes)
                complaints.add_all(
                    "has a box in the index that does not cover it", rows[: len(boxes)][short]
                )
    except (RuntimeError, ValueError, pa.ArrowException) as error:
        complaints.add(f"not readable as FlatGeobuf: {error}")
        return
    if seen != header.count:
        complaints.add(f"{seen} features, and the header tells of {header.count}")
    if not extent.told_as(header.envelope):
        complaints.add("the header's envelope is not that of the features")
