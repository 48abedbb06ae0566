"""The tags of one image in a TIFF, read with every length checked against the file."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
from jaxtyping import UInt64

MAX_ENTRIES = 4096

# type code: size in bytes and NumPy code, of the types that hold whole numbers
_NUMBERS = {1: (1, "u1"), 3: (2, "u2"), 4: (4, "u4"), 16: (8, "u8"), 13: (4, "u4"), 18: (8, "u8")}


class BrokenTiffError(ValueError):
    """A file that starts as a TIFF and cannot be one; the message names the reason."""


class Directory:
    """Tags of one image file directory."""

    next: int
    """Where the next directory starts; 0 after the last."""

    def __init__(self, read: Callable[[int, int], bytes], size: int, offset: int) -> None:
        """Read a directory's entries, not yet what they point to.

        Args:
            read: Returns the bytes at ``(offset, length)``.
            size: Bytes of the file.
            offset: Where the directory starts.

        Raises:
            BrokenTiffError: It reaches past the file's end, or has too many entries.
        """
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
        """Return whether a tag is there."""
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
        """Return the first value of a tag, or TIFF's default for it."""
        values = self.numbers(tag, limit=65536)
        return int(values[0]) if len(values) else default
