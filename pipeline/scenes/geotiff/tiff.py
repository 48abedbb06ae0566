"""TIFF headers, parsed before GDAL opens the file.

Only directories are read, never pixels: a 262-byte file that claims terabytes
costs 262 bytes. What is checked here, libtiff finds out much later or never:
that the file holds all blocks it lists (a killed writer's file opens and reads
as black), and that it lists as many as its size needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt64

from pipeline.scenes.geotiff.directory import BrokenTiffError, Directory

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
    counts: UInt64[np.ndarray, " sizes"]
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
class TiffLayout:
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


def read_layout(read: Callable[[int, int], bytes], size: int) -> TiffLayout:
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
        directory = Directory(read, size, offset)
        # Later directories may be anything; the first one must be an image.
        if not pages or (256 in directory and 257 in directory):
            pages.append(_page(directory))
        offset = directory.next
    if not pages:
        raise BrokenTiffError("it has no image directory")
    return TiffLayout(pages=tuple(pages))


def _page(directory: Directory) -> Page:
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
