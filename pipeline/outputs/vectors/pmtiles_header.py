"""The first 127 bytes of a PMTiles 3 archive (its specification, "Header")."""

from __future__ import annotations

import struct
from typing import NamedTuple

HEADER = struct.Struct("<7sB11Q6B4iB2i")
"""How a `PMTilesHeader` is packed."""
MAGIC = b"PMTiles"
GZIP, MVT = 2, 1


class PMTilesHeader(NamedTuple):
    """Fields of a header: places and types of the sections."""

    magic: bytes = MAGIC
    version: int = 3
    root: int = HEADER.size
    root_length: int = 0
    metadata: int = 0
    metadata_length: int = 0
    leaves: int = 0
    leaves_length: int = 0
    data: int = 0
    data_length: int = 0
    addressed: int = 0
    entries: int = 0
    contents: int = 0
    clustered: int = 1
    internal: int = GZIP
    compression: int = GZIP
    kind: int = MVT
    min_zoom: int = 0
    max_zoom: int = 0
    west: int = 0
    south: int = 0
    east: int = 0
    north: int = 0
    center_zoom: int = 0
    center_lon: int = 0
    center_lat: int = 0

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east and north in degrees."""
        return self.west / 1e7, self.south / 1e7, self.east / 1e7, self.north / 1e7
