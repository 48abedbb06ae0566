"""ONNX files: metadata and digest, read from the protobuf message without its library.

A model is one message. Its fields at the top (``ModelProto`` of onnx.proto3) are the graph, some
versions, and ``metadata_props``, pairs of texts; all that decides predictions lies in the others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

GRAPH, METADATA = 7, 14
"""Numbers of the fields ``graph`` and ``metadata_props``."""
LARGEST_METADATA = 8 * 2**20
"""Bytes of all metadata together."""
LARGEST_MODEL = 2**31 - 1
"""Bytes of a message: protobuf's own limit."""
MOST_FIELDS = 10_000
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


class NotOnnxError(ValueError):
    """The bytes are no ONNX model; the message names the reason."""


def read_model_bytes(path: Path) -> bytes:
    """Read a file whole.

    Raises:
        NotOnnxError: It is larger than `LARGEST_MODEL`.
        OSError: It cannot be read.
    """
    size = path.stat().st_size
    if size > LARGEST_MODEL:
        raise NotOnnxError(f"has {size} bytes, the limit is {LARGEST_MODEL}")
    return path.read_bytes()


def metadata_of(content: bytes) -> dict[str, str]:
    """Return the pairs of ``metadata_props``; of equal keys the last.

    Raises:
        NotOnnxError: The bytes are no model, or the metadata exceed their limit.
    """
    found, total, graphs = {}, 0, 0
    for number, start, end in _fields(memoryview(content)):
        graphs += number == GRAPH
        if number != METADATA:
            continue
        total += end - start
        if total > LARGEST_METADATA:
            raise NotOnnxError(f"has more than {LARGEST_METADATA} bytes of metadata")
        texts = {
            entry: content[first:last]
            for entry, first, last in _fields(memoryview(content)[:end], start)
        }
        try:
            found[texts.get(1, b"").decode()] = texts.get(2, b"").decode()
        except UnicodeDecodeError as error:
            raise NotOnnxError("has metadata that are no text") from error
    if graphs != 1:
        raise NotOnnxError("has no graph" if not graphs else f"has {graphs} graphs")
    return found


def graph_digest(content: bytes) -> str:
    """Compute the sha256 of all fields but the metadata, in their order in the file.

    Raises:
        NotOnnxError: The bytes are no model.
    """
    total = hashlib.sha256()
    view = memoryview(content)
    before = 0
    for number, _, end in _fields(view):
        if number != METADATA:
            total.update(view[before:end])
        before = end
    return total.hexdigest()


def refers_to_other_files(content: bytes) -> bool:
    """Return whether tensors may lie in other files: each names one under ``location``.

    May be true of a model that only has a node or tensor of that name.
    """
    return b"location" in content


def _fields(view: memoryview, start: int = 0) -> Iterator[tuple[int, int, int]]:
    """Yield number, first byte and end of the content of each field of a message."""
    at, count = start, 0
    while at < len(view):
        count += 1
        if count > MOST_FIELDS:
            raise NotOnnxError(f"has more than {MOST_FIELDS} fields")
        key, at = _varint(view, at)
        number, kind = key >> 3, key & 7
        if not number:
            raise NotOnnxError("is no protobuf message")
        first = at
        if kind == _VARINT:
            _, at = _varint(view, at)
        elif kind == _LENGTH:
            size, first = _varint(view, at)
            at = first + size
        elif kind in (_FIXED32, _FIXED64):
            at += 4 if kind == _FIXED32 else 8
        else:
            raise NotOnnxError("is no protobuf message")
        if at > len(view):
            raise NotOnnxError("is cut off")
        yield number, first, at


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, low ones first, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(view):
            raise NotOnnxError("is cut off")
        byte = view[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise NotOnnxError("is no protobuf message")
