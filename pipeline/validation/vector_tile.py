"""Mapbox vector tiles 2.1, decoded as far as a check needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

_MOVE, _LINE, _CLOSE = 1, 2, 7
_POLYGON = 3


class VectorTileLayer(NamedTuple):
    """A layer of a tile."""

    name: str
    """What it is called."""
    version: int
    """Of the specification."""
    extent: int
    """Steps along a tile's edge."""
    features: list[bytes]
    """Each as it is stored."""


def layers(tile: bytes) -> list[VectorTileLayer]:
    """Return the layers of an uncompressed tile.

    Raises:
        ValueError: It is none.
    """
    return [_layer(value) for number, value in _fields(tile) if number == 3 and _raw(value)]


def rings(feature: bytes) -> list[list[tuple[int, int]]]:
    """Return the rings of a polygon in steps from the tile's upper left, not closed.

    Raises:
        ValueError: The feature is no polygon, or its commands make no rings.
    """
    kind, commands = 0, b""
    for number, value in _fields(feature):
        if number == 3 and isinstance(value, int):
            kind = value
        elif number == 4:
            commands = _raw(value)
    if kind != _POLYGON:
        raise ValueError(f"a feature of type {kind} is no polygon")
    return _drawn(list(_varints(commands)))


def signed_area(ring: list[tuple[int, int]]) -> float:
    """Return the area by the surveyor's formula: positive for outer rings (4.3.3.3)."""
    pairs = zip(ring, ring[1:] + ring[:1], strict=True)
    return sum(x * v - u * y for (x, y), (u, v) in pairs) / 2


def _layer(raw: int | bytes) -> VectorTileLayer:
    name, version, extent, features = "", 1, 4096, []
    for number, value in _fields(_raw(raw)):
        if number == 1:
            name = _raw(value).decode("utf-8")
        elif number == 2:
            features.append(_raw(value))
        elif number == 5 and isinstance(value, int):
            extent = value
        elif number == 15 and isinstance(value, int):
            version = value
    return VectorTileLayer(name, version, extent, features)


def _drawn(commands: list[int]) -> list[list[tuple[int, int]]]:
    """Follow move, line and close commands (4.3) from point to point."""
    found: list[list[tuple[int, int]]] = []
    x = y = at = 0
    ring: list[tuple[int, int]] = []
    while at < len(commands):
        command, count = commands[at] & 7, commands[at] >> 3
        at += 1
        if command == _CLOSE:
            if len(ring) < 3:
                raise ValueError(f"a ring of {len(ring)} points")
            found.append(ring)
            ring = []
            continue
        if command not in (_MOVE, _LINE) or at + 2 * count > len(commands):
            raise ValueError(f"command {command} for {count} points")
        for _ in range(count):
            x += _signed(commands[at])
            y += _signed(commands[at + 1])
            ring.append((x, y))
            at += 2
    if ring or not found:
        raise ValueError("a ring that is not closed")
    return found


def _signed(value: int) -> int:
    return value >> 1 ^ -(value & 1)


def _fields(raw: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield number and value of each field of a Protocol Buffers message."""
    at = 0
    while at < len(raw):
        key, at = varint(raw, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = varint(raw, at)
            yield number, value
            continue
        if wire == 2:
            length, at = varint(raw, at)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if at + length > len(raw):
            raise ValueError("a field reaches past the end")
        yield number, raw[at : at + length]
        at += length


def _varints(raw: bytes) -> Iterator[int]:
    at = 0
    while at < len(raw):
        value, at = varint(raw, at)
        yield value


def varint(raw: bytes, at: int) -> tuple[int, int]:
    """Return the number that begins at ``at``, seven bits a byte, and where the next begins.

    Raises:
        ValueError: It does not end, or needs more than 64 bits.
    """
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(raw):
            raise ValueError("a number reaches past the end")
        value |= (raw[at] & 0x7F) << shift
        at += 1
        if not raw[at - 1] & 0x80:
            return value, at
    raise ValueError("a number of more than 64 bits")


def _raw(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number stands where bytes should")
    return value
