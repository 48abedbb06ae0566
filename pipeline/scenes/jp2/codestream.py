"""Headers of a JPEG 2000 codestream, parsed before OpenJPEG opens it.

Only marker segments are read, never pixels. What is checked here, OpenJPEG finds out late or
never: that every tile is there, that all tile-parts end within the file, and how many code
blocks and precincts a tile has, each of which takes memory even where it holds nothing.

Source: ISO/IEC 15444-1, Annex A (marker segments) and Annex B (tiles, precincts, code blocks).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Read = Callable[[int, int], bytes]

_SOC, _SIZ, _SOT, _SOD, _EOC = 0xFF4F, 0xFF51, 0xFF90, 0xFF93, 0xFFD9
_COD, _COC, _CAP = 0xFF52, 0xFF53, 0xFF50
MAX_TILES = 65_535
"""Tiles have numbers of 16 bits."""
MAX_SEGMENTS = 4096
"""Marker segments of one header."""
MAX_TILE_PARTS = 1_000_000
_MAX_LEVELS = 32
_FULL = 0xFF
"""Precinct sizes where none are given: 2^15 by 2^15."""


class BrokenJp2Error(ValueError):
    """A JPEG 2000 file is cut off, or contradicts itself; the message names the place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One component of an image."""

    bits: int
    """Bits per sample."""
    signed: bool
    """Whether samples may be negative."""
    step: tuple[int, int]
    """Rows and columns of the image between two samples: (1, 1) is all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coding:
    """How a tile's components are coded."""

    layers: int
    """Quality layers."""
    levels: int
    """Decomposition levels."""
    block: tuple[int, int]
    """Binary logarithms of a code block's rows and columns."""
    extended: bool
    """Whether code blocks are of high throughput (HTJ2K)."""
    precincts: tuple[int, ...]
    """A byte for each resolution: binary logarithms of rows (high) and columns (low)."""

    def units(self, height: int, width: int) -> int:
        """Return how many code blocks and precincts a tile-component of a size has."""
        total = 0
        for resolution in range(self.levels + 1):
            scale = 2 ** (self.levels - resolution)
            rows, cols = math.ceil(height / scale) + 1, math.ceil(width / scale) + 1
            size = self.precincts[resolution]
            # Subbands of all but the lowest resolution have half the size of a precinct.
            halved = min(1, resolution)
            down = min(self.block[0], max(0, (size >> 4) - halved))
            across = min(self.block[1], max(0, (size & 15) - halved))
            precincts = _pieces(rows, size >> 4) * _pieces(cols, size & 15)
            total += precincts + _pieces(rows, down) * _pieces(cols, across)
        return total


@dataclass(frozen=True, slots=True, kw_only=True)
class Codestream:
    """An image in a codestream."""

    height: int
    """Rows."""
    width: int
    """Columns."""
    offset: tuple[int, int]
    """Row and column of its first pixel on the reference grid."""
    tile: tuple[int, int]
    """Rows and columns of a tile."""
    tiles: int
    """How many there are."""
    components: tuple[Component, ...]
    """At least one."""
    codings: tuple[Coding, ...]
    """All ways in which tiles are coded."""
    largest_tile_bytes: int
    """Stored bytes of the largest tile."""
    extended: bool
    """Whether it uses capabilities beyond Part 1, such as high throughput (HTJ2K)."""

    @property
    def units(self) -> int:
        """Code blocks and precincts of the largest tile, all components together."""
        most = max(coding.units(*self.tile) for coding in self.codings)
        return most * len(self.components)

    @property
    def layers(self) -> int:
        """Quality layers, of the tile that has most."""
        return max(coding.layers for coding in self.codings)


def _pieces(length: int, logarithm: int) -> int:
    return (length - 1 >> logarithm) + 1


@dataclass(slots=True)
class _Tiles:
    """What tile-parts add up to."""

    bytes_of: dict[int, int] = field(default_factory=dict)
    codings: set[Coding] = field(default_factory=set)


def read_codestream(read: Read, start: int, end: int) -> Codestream:
    """Return the image of a codestream, having proved that all of its tiles are there.

    Args:
        read: Returns the bytes at ``(offset, length)``.
        start: Where it begins in the file.
        end: Where it ends.

    Raises:
        BrokenJp2Error: It is cut off, contradicts itself, or lacks tiles.
    """
    header = _main_header(read, start, end)
    siz = header.siz
    tiles = _walk(read, (header.end, end), header)
    missing = siz.tiles - len(tiles.bytes_of)
    if missing:
        raise BrokenJp2Error(f"{missing} of its {siz.tiles} tiles are not there")
    codings = tuple(sorted(header.codings | tiles.codings, key=repr))
    return Codestream(
        height=siz.height,
        width=siz.width,
        offset=siz.offset,
        tile=(min(siz.tile[0], siz.height), min(siz.tile[1], siz.width)),
        tiles=siz.tiles,
        components=siz.components,
        codings=codings,
        largest_tile_bytes=max(tiles.bytes_of.values()),
        extended=header.extended or siz.extended or any(one.extended for one in codings),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    """What stands before the first tile."""

    siz: _Size
    base: Coding
    codings: frozenset[Coding]
    extended: bool
    end: int


def _main_header(read: Read, start: int, end: int) -> _Header:
    """Return the main header of a codestream.

    Raises:
        BrokenJp2Error: It is cut off, or lacks the image's size or coding style.
    """
    if read(start, 2) != _SOC.to_bytes(2, "big"):
        raise BrokenJp2Error(f"no codestream begins at byte {start}")
    siz, base, codings, extended, last = None, None, set[Coding](), False, start + 2
    for at, marker, body in _segments(read, start + 2, end):
        last = at
        if siz is None:
            if marker != _SIZ:
                raise BrokenJp2Error("its codestream does not begin with the image's size (SIZ)")
            siz = _Size.parse(body)
        elif marker == _COD:
            base = _cod(body)
            codings.add(base)
        elif marker == _COC and base is not None:
            codings.add(_coc(body, base, len(siz.components)))
        extended |= marker == _CAP
    if siz is None or base is None:
        raise BrokenJp2Error("its codestream has no image size (SIZ) or no coding style (COD)")
    return _Header(siz=siz, base=base, codings=frozenset(codings), extended=extended, end=last)


def _segments(read: Read, at: int, end: int) -> Iterator[tuple[int, int, bytes]]:
    """Yield each marker segment of a header: where it is, its marker, and its content.

    Ends after the marker that begins tiles or their data, which has no content here.

    Raises:
        BrokenJp2Error: The file or the codestream ends before that.
    """
    for _ in range(MAX_SEGMENTS):
        head = read(at, 4)
        marker = int.from_bytes(head[:2], "big")
        if (len(head) < 4 and marker != _SOD) or at + 2 > end:
            raise BrokenJp2Error(f"it is cut off within a header, at byte {at}")
        if marker in (_SOT, _SOD, _EOC):
            yield at, marker, b""
            return
        length = int.from_bytes(head[2:4], "big")
        if marker < 0xFF01 or length < 2 or at + 2 + length > end:
            raise BrokenJp2Error(f"it has no sound marker segment at byte {at}")
        needed = marker in (_SIZ, _COD, _COC)
        yield at, marker, read(at + 4, length - 2) if needed else b""
        at += 2 + length
    raise BrokenJp2Error(f"a header of it has more than {MAX_SEGMENTS} marker segments")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Size:
    """Content of the marker segment SIZ."""

    height: int
    width: int
    offset: tuple[int, int]
    tile: tuple[int, int]
    tiles: int
    components: tuple[Component, ...]
    extended: bool

    @classmethod
    def parse(cls, body: bytes) -> _Size:
        """Return the content of a SIZ marker segment.

        Raises:
            BrokenJp2Error: Sizes contradict each other.
        """
        if len(body) < 36:
            raise BrokenJp2Error("its image size (SIZ) is cut off")
        capabilities, *grid, count = struct.unpack(">H8IH", body[:36])
        right, bottom, left, top, across, down, first_left, first_top = grid
        if len(body) != 36 + 3 * count or not count:
            raise BrokenJp2Error(f"its image size (SIZ) lists {count} components, and has others")
        sound = left < right and top < bottom and across > 0 and down > 0
        # The first tile begins at or before the image, and reaches into it.
        sound &= first_left <= left < first_left + across and first_top <= top < first_top + down
        parts = [body[36 + 3 * number : 39 + 3 * number] for number in range(count)]
        if not sound or any(not part[1] or not part[2] for part in parts):
            raise BrokenJp2Error(f"its image size (SIZ) makes no sense: {grid}")
        components = tuple(
            Component(bits=(part[0] & 127) + 1, signed=part[0] > 127, step=(part[2], part[1]))
            for part in parts
        )
        tiles = math.ceil((right - first_left) / across) * math.ceil((bottom - first_top) / down)
        if tiles > MAX_TILES:
            raise BrokenJp2Error(f"it claims {tiles} tiles, and a codestream has {MAX_TILES}")
        return cls(
            height=bottom - top,
            width=right - left,
            offset=(top - first_top, left - first_left),
            tile=(down, across),
            tiles=tiles,
            components=components,
            extended=bool(capabilities & 0x4000),
        )


def _cod(body: bytes) -> Coding:
    if len(body) < 10:
        raise BrokenJp2Error("its coding style (COD) is cut off")
    layers = int.from_bytes(body[2:4], "big")
    return _coding(body[5:], layers=layers, own=bool(body[0] & 1))


def _coc(body: bytes, base: Coding, components: int) -> Coding:
    index = 1 if components < 257 else 2
    if len(body) < index + 6:
        raise BrokenJp2Error("a component's coding style (COC) is cut off")
    return _coding(body[index + 1 :], layers=base.layers, own=bool(body[index] & 1))


def _coding(body: bytes, *, layers: int, own: bool) -> Coding:
    """Return a coding style from its parameters; ``own`` where it lists precinct sizes."""
    levels, down, across = body[0], (body[2] & 15) + 2, (body[1] & 15) + 2
    precincts = body[5 : 6 + levels] if own else bytes([_FULL]) * (levels + 1)
    sound = levels <= _MAX_LEVELS and layers and down <= 10 and across <= 10
    if not sound or down + across > 12 or len(precincts) < levels + 1:
        raise BrokenJp2Error(
            f"its coding style makes no sense: {levels} levels, {layers} layers, code blocks of "
            f"{2**down} x {2**across}"
        )
    if any(not size & 15 or not size >> 4 for size in precincts[1:]):
        raise BrokenJp2Error("its coding style lists precincts of one pixel")
    return Coding(
        layers=layers,
        levels=levels,
        block=(down, across),
        extended=body[3] > 63,
        precincts=tuple(precincts),
    )


def _walk(read: Read, place: tuple[int, int], header: _Header) -> _Tiles:
    """Return what the tile-parts from a place to the codestream's end add up to.

    Raises:
        BrokenJp2Error: One reaches past the end, or is of a tile that there is not.
    """
    at, end = place
    found = _Tiles()
    for _ in range(MAX_TILE_PARTS):
        head = read(at, min(12, end - at))
        marker = int.from_bytes(head[:2], "big")
        if marker == _EOC or at == end:
            return found
        if len(head) < 12 or marker != _SOT:
            raise BrokenJp2Error(f"it is cut off or damaged: no tile begins at byte {at}")
        number, length = struct.unpack(">HI", head[4:10])
        length = length or end - at  # 0 is allowed for the last one
        if number >= header.siz.tiles or length < 14 or at + length > end:
            raise BrokenJp2Error(
                f"it is cut off or damaged: the part of tile {number} at byte {at} takes {length} "
                f"bytes, {end - at} are left"
            )
        for _, inner, body in _segments(read, at + 12, at + length):
            if inner == _COD:
                found.codings.add(_cod(body))
            elif inner == _COC:
                components = len(header.siz.components)
                found.codings.add(_coc(body, header.base, components))
            elif inner in (_SOT, _EOC):
                raise BrokenJp2Error(f"the part of tile {number} at byte {at} has no data")
        found.bytes_of[number] = found.bytes_of.get(number, 0) + length
        at += length
    raise BrokenJp2Error(f"it has more than {MAX_TILE_PARTS} parts of tiles")
