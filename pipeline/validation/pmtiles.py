"""PMTiles 3 archives of vector tiles: header, directories, metadata and every tile."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pipeline.outputs.vectors.pmtiles_header import GZIP, HEADER, MAGIC, MVT, PMTilesHeader
from pipeline.validation.complaints import Findings
from pipeline.validation.vector_tile import layers, rings, signed_area, varint

_ROOT_END = 16384
_LARGEST = 64 * 2**20
_DECODED = 20
_DAMAGED = (ValueError, OSError, EOFError, zlib.error, struct.error)


class _Entry(NamedTuple):
    """A run of tiles, or a leaf directory where ``run`` is 0."""

    tile: int
    offset: int
    length: int
    run: int


def check_pmtiles(path: Path) -> list[str]:
    """Return what is wrong with an archive of vector tiles.

    Every tile is decompressed, which its checksum guards, and taken apart into layers; the
    outlines of 20 features of each are followed.
    """
    complaints = Findings()
    try:
        with path.open("rb") as file:
            header = _header(file, path.stat().st_size)
            _check_header(header, complaints)
            names = _layer_names(file, header, complaints)
            _check_tiles(file, header, names, complaints)
    except _DAMAGED as error:
        complaints.add(f"not readable as PMTiles: {error}")
    return complaints.lines()


def _header(file: BinaryIO, size: int) -> PMTilesHeader:
    raw = file.read(HEADER.size)
    if len(raw) < HEADER.size or raw[:7] != MAGIC:
        raise ValueError("it does not begin with the header of PMTiles")
    header = PMTilesHeader(*HEADER.unpack(raw))
    if header.version != 3:
        raise ValueError(f"it is of version {header.version}, not 3")
    sections = {
        "root directory": (header.root, header.root_length),
        "metadata": (header.metadata, header.metadata_length),
        "leaf directories": (header.leaves, header.leaves_length),
        "tiles": (header.data, header.data_length),
    }
    for name, (offset, length) in sections.items():
        if offset + length > size:
            raise ValueError(f"it ends at {size} bytes, within its {name}")
    if header.root + header.root_length > _ROOT_END:
        raise ValueError(f"its root directory reaches past the first {_ROOT_END} bytes")
    if (header.internal, header.compression, header.kind) != (GZIP, GZIP, MVT):
        raise ValueError("it does not hold vector tiles compressed with gzip")
    return header


def _check_header(header: PMTilesHeader, complaints: Findings) -> None:
    if not header.min_zoom <= header.max_zoom <= 30:
        complaints.add(f"zooms {header.min_zoom} to {header.max_zoom} do not rise within 0..30")
    west, south, east, north = header.bounds
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        complaints.add(f"bounds {[west, south, east, north]} do not lie on the Earth")


def _layer_names(file: BinaryIO, header: PMTilesHeader, complaints: Findings) -> set[str]:
    metadata = json.loads(_unpacked(file, header.metadata, header.metadata_length))
    known = metadata.get("vector_layers") if isinstance(metadata, dict) else None
    if not isinstance(known, list):
        complaints.add("its metadata has no vector_layers")
        return set()
    return {str(layer.get("id")) for layer in known if isinstance(layer, dict)}


def _check_tiles(
    file: BinaryIO, header: PMTilesHeader, names: set[str], complaints: Findings
) -> None:
    last, addressed, contents, entries = -1, 0, set[int](), 0
    first = (4**header.min_zoom - 1) // 3
    beyond = (4 ** (header.max_zoom + 1) - 1) // 3
    for entry in _entries(file, header, header.root, header.root_length):
        entries += 1
        addressed += entry.run
        if entry.tile <= last:
            complaints.add(f"tile {entry.tile} stands after tile {last}")
        last = entry.tile + entry.run - 1
        if entry.tile < first or last >= beyond:
            complaints.add(f"tile {entry.tile} is of no zoom that the header tells of")
        if entry.offset + entry.length > header.data_length:
            raise ValueError(f"tile {entry.tile} reaches past the tiles' end")
        if entry.offset not in contents:
            contents.add(entry.offset)
            raw = _unpacked(file, header.data + entry.offset, entry.length)
            _check_tile(entry.tile, raw, names, complaints)
    for told, count, what in (
        (header.addressed, addressed, "addressed tiles"),
        (header.entries, entries, "tile entries"),
        (header.contents, len(contents), "tile contents"),
    ):
        if told not in (0, count):
            complaints.add(f"the header tells of {told} {what}, there are {count}")


def _check_tile(tile: int, raw: bytes, names: set[str], complaints: Findings) -> None:
    for layer in layers(raw):
        if layer.version != 2 or layer.name not in names:
            complaints.add(f"tile {tile} has layer {layer.name!r} of version {layer.version}")
        if not layer.features:
            complaints.add(f"tile {tile} has a layer without features")
        for feature in layer.features[:_DECODED]:
            if signed_area(rings(feature)[0]) <= 0:
                complaints.add(f"tile {tile} has an outer ring that runs the wrong way")


def _entries(file: BinaryIO, header: PMTilesHeader, offset: int, length: int) -> Iterator[_Entry]:
    """Yield the tiles of a directory and of the leaves below it."""
    for entry in _directory(_unpacked(file, offset, length)):
        if entry.run:
            yield entry
        elif offset != header.root:
            raise ValueError("a leaf directory points to another one")
        elif entry.offset + entry.length > header.leaves_length:
            raise ValueError("a leaf directory reaches past the leaves' end")
        else:
            yield from _entries(file, header, header.leaves + entry.offset, entry.length)


def _directory(raw: bytes) -> list[_Entry]:
    """Return a directory's entries: four columns of numbers, one after the other."""
    count, at = varint(raw, 0)
    if count > len(raw):
        raise ValueError(f"a directory of {len(raw)} bytes claims {count} entries")
    columns: list[list[int]] = []
    for _ in range(4):
        column = []
        for _ in range(count):
            value, at = varint(raw, at)
            column.append(value)
        columns.append(column)
    found: list[_Entry] = []
    tile = 0
    for step, run, length, place in zip(*columns, strict=True):
        tile += step
        # 0: right after the one before; otherwise one more than the offset.
        offset = place - 1 if place else found[-1].offset + found[-1].length
        found.append(_Entry(tile, offset, length, run))
    return found


def _unpacked(file: BinaryIO, offset: int, length: int) -> bytes:
    """Return a gzipped part of the file, at most 64 MiB of it."""
    file.seek(offset)
    packed = file.read(length)
    limited = zlib.decompressobj(wbits=31)
    raw = limited.decompress(packed, _LARGEST)
    if limited.unconsumed_tail:
        raise ValueError(f"a part at {offset} unpacks to more than {_LARGEST >> 20} MiB")
    if not limited.eof:
        raise ValueError(f"a part at {offset} is cut short")
    return raw
