"""Boxes of a JP2 file, parsed before GDAL or OpenJPEG open it.

Source: ISO/IEC 15444-1, Annex I (JP2), and 15444-2, Annex M (JPX).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.scenes.jp2.codestream import BrokenJp2Error, Read

MAGIC = b"\0\0\0\x0cjP  \r\n\x87\n"
RAW_MAGIC = b"\xff\x4f\xff\x51"
MAX_BOXES = 4096
"""Boxes of a file, those inside others included."""
MAX_HEADER_BYTES = 2**20
"""A palette of 1024 colours takes some kilobytes, a colour profile some hundred."""
MAX_METADATA_BYTES = 16 * 2**20
"""GDAL reads boxes with GML, XML or a georeference whole."""
LINKING = frozenset({b"ftbl", b"flst", b"cref", b"dtbl", b"url "})
"""Boxes that name other files, or parts of them."""
_SUPER = frozenset({b"jp2h", b"asoc", b"jpch", b"jplh", b"cgrp", b"ftbl", b"uinf", b"res "})
_METADATA = frozenset({b"uuid", b"xml ", b"lbl "})
_DEEPEST = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A box of a file."""

    kind: bytes
    """Its four letters."""
    start: int
    """Where its content begins."""
    end: int
    """Where it ends."""
    depth: int
    """How many boxes it lies in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """What of a file counts besides its codestream."""

    codestream: tuple[int, int]
    """Where the codestream begins and ends."""
    codestreams: int = 1
    """How many there are."""
    size: tuple[int, int, int] | None = None
    """Rows, columns and components as the image header has them; None for a bare codestream."""
    colours: int = 0
    """Number of an enumerated colour space; 0 where there is none."""
    alpha: tuple[int, ...] = ()
    """Components that are opacity, from 0."""
    palette: bool = False
    """Whether it has a palette."""
    links: tuple[str, ...] = ()
    """Kinds of its boxes that name other files."""


def read_container(read: Read, size: int) -> Container:
    """Read the boxes of a JP2 file, or find a bare codestream.

    Args:
        read: Returns the bytes at ``(offset, length)``.
        size: Bytes of the file.

    Raises:
        BrokenJp2Error: It is cut off, or boxes are missing, doubled or too large.
    """
    head = read(0, 12)
    if head.startswith(RAW_MAGIC):
        return Container(codestream=(0, size))
    if head != MAGIC:
        raise BrokenJp2Error("it does not begin as a JPEG 2000 file")
    boxes = list(_boxes(read, size))
    top = [box for box in boxes if not box.depth]
    if len(top) < 2 or top[1].kind != b"ftyp":
        raise BrokenJp2Error("it names no file type (ftyp) at its beginning")
    streams = [box for box in top if box.kind == b"jp2c"]
    headers = [box for box in top if box.kind == b"jp2h"]
    if not streams:
        raise BrokenJp2Error("it is cut off, or has no codestream (jp2c)")
    if len(headers) != 1 or headers[0].start > streams[0].start:
        raise BrokenJp2Error(f"it has {len(headers)} headers (jp2h) before its codestream, not 1")
    inside = {
        box.kind: box
        for box in reversed(boxes)
        if box.depth == 1 and headers[0].start <= box.start <= headers[0].end
    }
    return Container(
        codestream=(streams[0].start, streams[0].end),
        codestreams=len(streams),
        size=_image_header(read, inside.get(b"ihdr")),
        colours=_colours(read, inside.get(b"colr")),
        alpha=_alpha(read, inside.get(b"cdef")),
        palette=b"pclr" in inside,
        links=tuple(sorted({box.kind.decode() for box in boxes if box.kind in LINKING})),
    )


def _boxes(read: Read, size: int) -> Iterator[Box]:
    """Yield all boxes, those inside others after them.

    Raises:
        BrokenJp2Error: One reaches past the end of what it is in.
    """
    waiting, count = [(0, size, 0)], 0
    while waiting:
        at, end, depth = waiting.pop()
        while at < end:
            box = _box(read, at, end, depth)
            count += 1
            if count > MAX_BOXES:
                raise BrokenJp2Error(f"it has more than {MAX_BOXES} boxes")
            yield box
            if box.kind in _SUPER and depth < _DEEPEST:
                waiting.append((box.start, box.end, depth + 1))
            at = box.end


def _box(read: Read, at: int, end: int, depth: int) -> Box:
    head = read(at, min(16, end - at))
    length, kind, begins = int.from_bytes(head[:4], "big"), head[4:8], 8
    if length == 1:
        length, begins = int.from_bytes(head[8:16], "big"), 16
    elif length == 0 and not depth:  # to the file's end
        length = end - at
    called = kind.decode("latin-1") if kind.isascii() and kind.isalnum() else kind.hex()
    if len(head) < begins or length < begins or at + length > end:
        raise BrokenJp2Error(
            f"it is cut off or damaged: box {called!r} at byte {at} takes {length} bytes, "
            f"{end - at} are left"
        )
    most = MAX_HEADER_BYTES if kind == b"jp2h" else MAX_METADATA_BYTES
    if (kind in _METADATA or kind in _SUPER) and length > most:
        raise BrokenJp2Error(f"its box {called!r} takes {length} bytes, the limit is {most}")
    return Box(kind=kind, start=at + begins, end=at + length, depth=depth)


def _image_header(read: Read, box: Box | None) -> tuple[int, int, int]:
    body = read(box.start, box.end - box.start) if box is not None else b""
    if len(body) != 14:
        raise BrokenJp2Error("it has no image header (ihdr) of 14 bytes")
    if body[11] != 7:
        raise BrokenJp2Error(f"its image header names compression {body[11]}, not 7 (JPEG 2000)")
    height, width = (int.from_bytes(body[4 * n : 4 * n + 4], "big") for n in (0, 1))
    return height, width, int.from_bytes(body[8:10], "big")


def _colours(read: Read, box: Box | None) -> int:
    """Return the number of the enumerated colour space; 0 where there is none."""
    body = read(box.start, 7) if box is not None else b""
    return int.from_bytes(body[3:7], "big") if len(body) == 7 and body[0] == 1 else 0


def _alpha(read: Read, box: Box | None) -> tuple[int, ...]:
    """Return which components a channel definition calls opacity."""
    body = read(box.start, box.end - box.start) if box is not None else b""
    channels = [
        [int.from_bytes(body[at + step : at + step + 2], "big") for step in (0, 2)]
        for at in range(2, len(body) - 5, 6)
    ]
    return tuple(sorted(number for number, kind in channels if kind in (1, 2)))
