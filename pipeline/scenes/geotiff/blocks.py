"""Are all blocks of a TIFF there, with as many bytes as its size needs?"""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt64

from pipeline.scenes.access.location import open_bytes
from pipeline.scenes.geotiff.directory import BrokenTiffError
from pipeline.scenes.geotiff.tiff import Page

ZEROS_LOOKED_AT = 64 * 2**20


def check_blocks(page: Page, size: int) -> None:
    """Prove that the file holds every block which an image lists, and lists all it needs.

    Raises:
        BrokenTiffError: It does not.
    """
    offsets, counts = page.offsets, page.counts
    if len(offsets) < page.blocks:
        raise BrokenTiffError(
            f"it claims {page.height} rows by {page.width} columns, which takes {page.blocks} "
            f"blocks, and lists {len(offsets)}"
        )
    if len(counts) < page.blocks:
        if len(counts) or page.blocks > 1:
            raise BrokenTiffError(f"it lists sizes for {len(counts)} of its {page.blocks} blocks")
        return
    offsets, counts = offsets[: page.blocks], counts[: page.blocks]
    ends = offsets + counts
    missing = np.flatnonzero((ends > size) | (ends < offsets))
    if len(missing):
        row = int(missing[0]) % (page.blocks_across * page.blocks_down) // page.blocks_across
        raise BrokenTiffError(
            f"it is cut off: {len(missing)} of its {page.blocks} blocks, from row "
            f"{row * page.block[0]}, lie past its end at byte {size}"
        )
    if page.compression == 1:
        _check_raw_sizes(page, counts)


def _check_raw_sizes(page: Page, counts: UInt64[np.ndarray, " blocks"]) -> None:
    stored = counts[counts > 0]
    if not len(stored):
        return
    last_rows = page.height - (page.blocks_down - 1) * page.block[0]
    least = page.block_bytes * last_rows // page.block[0]
    if page.photometric != 6 and (
        stored.max() > page.block_bytes * 1.01 + 64 or stored.min() < least
    ):
        raise BrokenTiffError(
            f"its uncompressed blocks hold {stored.min()} to {stored.max()} bytes where its size "
            f"asks for {page.block_bytes}; its width or height was changed"
        )


def zero_tail(href: str, page: Page) -> int:
    """Return how many blocks at the file's end hold nothing but zero bytes."""
    present = np.flatnonzero(page.counts[: page.blocks])
    order = present[np.argsort(page.offsets[present])][::-1]
    data = open_bytes(href)
    count, looked_at = 0, 0
    try:
        for block in order:
            length = int(page.counts[block])
            if looked_at > ZEROS_LOOKED_AT or data.read(int(page.offsets[block]), length).strip(
                b"\0"
            ):
                break
            count, looked_at = count + 1, looked_at + length
    finally:
        data.close()
    return count
