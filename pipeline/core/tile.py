"""Cutting a tile out of a scene, with what lies past the scene's edges.

::

    c b a | a b c d e | e d c      mirror     (numpy.pad mode "symmetric")
    a a a | a b c d e | e e e      replicate  (numpy.pad mode "edge")
    . . . | a b c d e | . . .      constant   (marked invalid)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int64, Shaped

from pipeline.core.window import Window

Edge = Literal["mirror", "replicate", "constant"]
Pixels = tuple[Shaped[np.ndarray, "bands rows cols"], Bool[np.ndarray, "rows cols"]]


def mirrored_positions(
    start: int, length: int, *, size: int, edge: Edge
) -> Int64[np.ndarray, " length"]:
    """Return which of ``size`` pixels stands at each of ``length`` places from ``start``.

    Args:
        start: First place; negative before the axis begins.
        length: Number of places.
        size: Pixels on the axis.
        edge: What stands past its ends; ``constant`` gives the nearest pixel, like
            ``replicate``, and leaves it to the caller to mark it.
    """
    places = np.arange(start, start + length, dtype=np.int64)
    if edge == "mirror":
        places = np.mod(places, 2 * size)
        return np.where(places < size, places, 2 * size - 1 - places)
    return np.clip(places, 0, size - 1)


def cut_window(
    read: Callable[[Window], Pixels], window: Window, *, height: int, width: int, edge: Edge
) -> Pixels:
    """Return pixels and validity of a window that may reach past the scene.

    Args:
        read: Returns pixels and validity of a window inside the scene.
        window: The tile, halo included.
        height: Scene rows.
        width: Scene columns.
        edge: What lies past the scene's edges; see the drawing above.

    Returns:
        Pixels in the scene's dtype and where they are valid; mirrored and
        replicated pixels are as valid as the ones they repeat.
    """
    rows = mirrored_positions(window.row, window.height, size=height, edge=edge)
    cols = mirrored_positions(window.col, window.width, size=width, edge=edge)
    top, left = int(rows.min()), int(cols.min())
    source = Window(
        row=top, col=left, height=int(rows.max()) - top + 1, width=int(cols.max()) - left + 1
    )
    pixels, valid = read(source)
    if source != window:
        pixels = pixels[:, rows - top][:, :, cols - left]
        valid = valid[rows - top][:, cols - left]
    if edge == "constant":
        valid = valid.copy()
        valid[: max(-window.row, 0)] = False
        valid[:, : max(-window.col, 0)] = False
        valid[max(height - window.row, 0) :] = False
        valid[:, max(width - window.col, 0) :] = False
    return pixels, valid
