"""A scene as JPEG tiles at several scales, small enough to travel inside a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from pipeline.core.window import Window

TILE = 512
"""Edge of a tile, in pixels of its level."""
MOST_PIXELS = 24_000_000
"""Pixels of the finest level: about 5 MB of JPEG."""
BLANK = 205
"""Gray where the scene has no data."""

Read = Callable[[Window], tuple[UInt8[np.ndarray, "rows cols 3"], Bool[np.ndarray, "rows cols"]]]


def pyramid(read: Read, *, height: int, width: int) -> dict[str, Any]:
    """Return levels of tiles, the finest first.

    Args:
        read: Returns red, green and blue of a window, and where they are valid.
        height: Rows of the scene.
        width: Columns of the scene.

    Returns:
        ``tile`` and ``levels``: each with ``scale`` (scene pixels a pixel), ``rows``
        and ``cols`` of pixels, and ``tiles`` (JPEG in base64, row by row).
    """
    scale = 1
    while height * width / scale**2 > MOST_PIXELS:
        scale *= 2
    picture = _reduced(read, height=height, width=width, scale=scale)
    levels = []
    while True:
        levels.append(_level(picture, scale))
        if max(picture.shape[:2]) <= TILE:
            return {"tile": TILE, "levels": levels}
        picture, scale = _halved(picture), scale * 2


def _reduced(
    read: Read, *, height: int, width: int, scale: int
) -> UInt8[np.ndarray, "rows cols 3"]:
    """Return the scene with ``scale`` x ``scale`` pixels averaged into one."""
    rows, cols = -(-height // scale), -(-width // scale)
    picture = np.full((rows, cols, 3), BLANK, np.uint8)
    side = max(TILE, 2048 // scale)
    for row in range(0, rows, side):
        for col in range(0, cols, side):
            window = Window(
                row=row * scale, col=col * scale, height=side * scale, width=side * scale
            )
            window = window.clipped(height=height, width=width)
            pixels, valid = read(window)
            part = np.where(valid[..., None], pixels, np.uint8(BLANK)).astype(np.uint8)
            down, right = -window.height % scale, -window.width % scale
            part = np.pad(part, ((0, down), (0, right), (0, 0)), mode="edge")
            blocks = part.reshape(part.shape[0] // scale, scale, -1, scale, 3)
            small = blocks.mean(axis=(1, 3)) if scale > 1 else part
            picture[row : row + len(small), col : col + small.shape[1]] = small
    return picture


def _halved(picture: UInt8[np.ndarray, "rows cols 3"]) -> UInt8[np.ndarray, "r c 3"]:
    part = np.pad(
        picture, ((0, picture.shape[0] % 2), (0, picture.shape[1] % 2), (0, 0)), mode="edge"
    )
    return np.asarray(
        part.reshape(len(part) // 2, 2, -1, 2, 3).mean(axis=(1, 3)), np.float64
    ).astype(np.uint8)


def _level(picture: UInt8[np.ndarray, "rows cols 3"], scale: int) -> dict[str, Any]:
    rows, cols = picture.shape[:2]
    tiles = [
        _jpeg(picture[row : row + TILE, col : col + TILE])
        for row in range(0, rows, TILE)
        for col in range(0, cols, TILE)
    ]
    return {"scale": scale, "rows": rows, "cols": cols, "tiles": tiles}


def _jpeg(tile: UInt8[np.ndarray, "rows cols 3"]) -> str:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(tile)).save(file, "JPEG", quality=74, optimize=True)
    return base64.b64encode(file.getvalue()).decode()
