"""What a TIFF says of itself, read before GDAL touches it.

Only directories are read, never pixels: a 262-byte file that claims terabytes
costs 262 bytes. What is checked here, libtiff finds out much later or never:
that the file holds all blocks it lists (a killed writer's file opens and reads
as black), and that it lists as many as its size needs.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt64

MAX_ENTRIES = 4096
MAX_BLOCKS = 50_000_000
MAX_PAGES = 64

PHOTOMETRIC = {
    0: "white-is-zero gray",
    1: "gray",
    2: "rgb",
    3: "palette",
    4: "transparency mask",
    5: "cmyk",
    6: "ycbcr",
    8: "cielab",
    9: "icclab",
    10: "itulab",
    32803: "colour filter array",
    32844: "logl",
    32845: "logluv",
    34892: "linear raw",
}

# type code: size in bytes and NumPy code, of the types that hold whole numbers
_NUMBERS = {1: (1, "u1"), 3: (2, "u2"), 4: (4, "u4"), 16: (8, "u8"), 13: (4, "u4"), 18: (8, "u8")}


class BrokenTiffError(ValueError):
    """A file that starts as a TIFF and cannot be one; the message says why."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Page:
    """One image of a TIFF."""

    height: int
    """Rows."""
    width: int
    """Columns."""
    samples: int
    """Values per pixel, alpha included."""
    bits: int
    """Bits per sample, of the widest."""
    photometric: int
    """TIFF's number of the colour model, see `PHOTOMETRIC`."""
    compression: int
    """TIFF's number of the codec; 1 is none."""
    orientation: int
    """1 where the first pixel is the upper left one."""
    rpcs: bool
    """True where it carries rational polynomial coefficients."""
    nodata: str
    """GDAL's nodata tag as written, empty where there is none."""
    kind: int
    """NewSubfileType: bit 0 reduced copy, bit 2 mask."""
    planar: bool
    """True where each band has blocks of its own."""
    block: tuple[int, int]
    """Rows and columns of a tile or strip."""
    offsets: UInt64[np.ndarray, " blocks"]
    """Where each block starts; 0 where it was never written."""
    counts: UInt64[np.ndarray, " blocks"]
    """Stored bytes of each block."""

    @property
    def blocks_across(self) -> int:
        """Blocks side by side."""
        return math.ceil(self.width / self.block[1])

    @property
    def blocks_down(self) -> int:
        """Blocks one under the other."""
        return math.ceil(self.height / self.block[0])

    @property
    def blocks(self) -> int:
        """Blocks that the image needs, all bands together."""
        return self.blocks_across * self.blocks_down * (self.samples if self.planar else 1)

    @property
    def block_bytes(self) -> int:
        """Bytes of one block when decoded."""
        row_bits = self.block[1] * self.bits * (1 if self.planar else self.samples)
        return self.block[0] * math.ceil(row_bits / 8)

    @property
    def stored_bytes(self) -> int:
        """Bytes of all blocks as stored."""
        return int(self.counts.sum())

    @property
    def sparse(self) -> bool:
        """True where some blocks were never written."""
        return bool((self.counts == 0).any())


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Layout:
    """The images of a TIFF."""

    pages: tuple[Page, ...]
    """In the file's order; the first is the scene."""

    @property
    def scene(self) -> Page:
        """The first image, the one that is mapped."""
        return self.pages[0]

    @property
    def other_scenes(self) -> int:
        """How many further images there are that are neither overviews nor masks."""
        return sum(1 for page in self.pages[1:] if not page.kind & 0b101)


class _Directory:
    """Tags of one image file directory."""

    def __init__(self, read: Callable[[int, int], bytes], size: int, offset: int) -> None:
        head = read(0, 8)
        self._read, self._size = read, size
        self._order = "<" if head[:2] == b"II" else ">"
        self._big = struct.unpack(self._order + "H", head[2:4])[0] == 43
        count_size, entry, pointer = (8, 20, 8) if self._big else (2, 12, 4)
        count = self._number(self._bytes(offset, count_size, "its directory"))
        if not 0 < count <= MAX_ENTRIES:
            raise BrokenTiffError(f"its directory at byte {offset} claims {count} entries")
        body = self._bytes(offset + count_size, count * entry + pointer, "its directory")
        self.next = self._number(body[-pointer:])
        self._entries = {
            struct.unpack(self._order + "H", body[at : at + 2])[0]: body[at + 2 : at + entry]
            for at in reversed(range(0, count * entry, entry))
        }

    def _bytes(self, offset: int, length: int, what: str) -> bytes:
        if offset + length > self._size:
            raise BrokenTiffError(
                f"{what} lies at bytes {offset} to {offset + length}, the file ends at {self._size}"
            )
        return self._read(offset, length)

    def _number(self, data: bytes) -> int:
        return int.from_bytes(data, "little" if self._order == "<" else "big")

    def __contains__(self, tag: int) -> bool:
        return tag in self._entries

    def numbers(self, tag: int, *, limit: int) -> UInt64[np.ndarray, " values"]:
        """Return a tag's whole numbers, none where the tag is absent."""
        if tag not in self._entries:
            return np.empty(0, np.uint64)
        entry = self._entries[tag]
        kind = self._number(entry[:2])
        width = 8 if self._big else 4
        count = self._number(entry[2 : 2 + width])
        if kind not in _NUMBERS:
            raise BrokenTiffError(f"its tag {tag} is not of a whole-number type")
        item, code = _NUMBERS[kind]
        if count > limit:
            raise BrokenTiffError(f"its tag {tag} claims {count} values, the limit is {limit}")
        if count * item <= width:
            data = entry[2 + width : 2 + width + count * item]
        else:
            data = self._bytes(self._number(entry[2 + width :]), count * item, f"its tag {tag}")
        return np.frombuffer(data, self._order + code).astype(np.uint64)

    def text(self, tag: int) -> str:
        """Return a short ASCII tag, empty where it is absent or no such text."""
        if tag not in self._entries:
            return ""
        entry, width = self._entries[tag], 8 if self._big else 4
        kind, count = self._number(entry[:2]), self._number(entry[2 : 2 + width])
        if kind != 2 or count > 256:
            return ""
        data = entry[2 + width : 2 + width + count]
        if count > width:
            data = self._bytes(self._number(entry[2 + width :]), count, f"its tag {tag}")
        return data.partition(b"\0")[0].decode(errors="replace").strip()

    def number(self, tag: int, default: int) -> int:
        """Return the first value of a tag, or what TIFF says absence means."""
        values = self.numbers(tag, limit=65536)
        return int(values[0]) if len(values) else default


def read_layout(read: Callable[[int, int], bytes], size: int) -> Layout:
    """Return the images of a TIFF.

    Args:
        read: Returns the bytes at ``(offset, length)``.
        size: Bytes of the file.

    Raises:
        BrokenTiffError: Directories are cut off, contradict each other or claim too much.
    """
    head = read(0, 16)
    big = head[2:4] in (b"+\0", b"\0+")
    if len(head) < (16 if big else 8):
        raise BrokenTiffError(f"it ends after {size} bytes, within its header")
    pointer = head[8:16] if big else head[4:8]
    offset = int.from_bytes(pointer, "little" if head[:2] == b"II" else "big")
    pages: list[Page] = []
    seen: set[int] = set()
    while offset and offset not in seen and len(pages) < MAX_PAGES:
        seen.add(offset)
        directory = _Directory(read, size, offset)
        # Later directories may be anything; the first one must be an image.
        if not pages or (256 in directory and 257 in directory):
            pages.append(_page(directory))
        offset = directory.next
    if not pages:
        raise BrokenTiffError("it has no image directory")
    return Layout(pages=tuple(pages))


def _page(directory: _Directory) -> Page:
    height, width = directory.number(257, 0), directory.number(256, 0)
    if not height or not width:
        raise BrokenTiffError(f"it claims {height} rows and {width} columns")
    tiled = 322 in directory
    if tiled:
        block = directory.number(323, 0), directory.number(322, 0)
    else:
        block = min(directory.number(278, height), height), width
    if not block[0] or not block[1]:
        raise BrokenTiffError(f"its blocks are {block[0]} rows by {block[1]} columns")
    offset_tag, count_tag = (324, 325) if tiled else (273, 279)
    if tiled and offset_tag not in directory:  # some writers keep the strips' tags
        offset_tag, count_tag = 273, 279
    offsets = directory.numbers(offset_tag, limit=MAX_BLOCKS)
    counts = directory.numbers(count_tag, limit=MAX_BLOCKS)
    bits = directory.numbers(258, limit=65536)
    return Page(
        height=height,
        width=width,
        samples=directory.number(277, 1),
        bits=int(bits.max()) if len(bits) else 1,
        photometric=directory.number(262, 1),
        compression=directory.number(259, 1),
        orientation=directory.number(274, 1),
        rpcs=50844 in directory,
        nodata=directory.text(42113),
        kind=directory.number(254, 0),
        planar=directory.number(284, 1) == 2,
        block=block,
        offsets=offsets,
        counts=counts,
    )
