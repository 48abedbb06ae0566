"""JPEG 2000 files for tests: written by OpenJPEG without loss, and changed byte by byte."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.io import MemoryFile
from rasterio.transform import from_origin

LOSSLESS = {"QUALITY": "100", "REVERSIBLE": "YES"}
SIZ = b"\xff\x4f\xff\x51"


def write_jp2(path: Path, pixels: np.ndarray, **options: Any) -> Path:
    """Write ``(bands, rows, cols)`` without loss in UTM 33 N at 0.5 m.

    Args:
        path: The file.
        pixels: Its pixels.
        options: Creation options in capitals; others describe the raster.
    """
    creation = {name: value for name, value in options.items() if name.isupper()}
    profile = {
        "driver": "GTiff",
        "count": len(pixels),
        "height": pixels.shape[1],
        "width": pixels.shape[2],
        "dtype": pixels.dtype.name,
        "crs": "EPSG:32633",
        "transform": from_origin(500_000, 5_500_000, 0.5, 0.5),
    } | {name: value for name, value in options.items() if not name.isupper()}
    colormap = profile.pop("colormap", None)
    with MemoryFile() as memory:
        with memory.open(**profile) as file:
            file.write(pixels)
            if colormap:
                file.write_colormap(1, colormap)
        rasterio.shutil.copy(memory.name, path, driver="JP2OpenJPEG", **(LOSSLESS | creation))
    return path


def patched(path: Path, at: int, value: bytes, *, after: bytes = SIZ) -> Path:
    """Write bytes at a distance behind where others first stand; return the file."""
    data = bytearray(path.read_bytes())
    start = data.index(after) + at
    data[start : start + len(value)] = value
    path.write_bytes(data)
    return path


def with_box(path: Path, kind: bytes, content: bytes) -> Path:
    """Put a box before the codestream; return the file."""
    data = path.read_bytes()
    at = data.index(b"jp2c") - 4
    box = struct.pack(">I4s", 8 + len(content), kind) + content
    path.write_bytes(data[:at] + box + data[at:])
    return path
