"""Values on the network's grid, brought back onto the scene's pixels."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Float64, Int64

from pipeline.core.grid import Sampling
from pipeline.core.window import Window


def interpolate_bilinear(
    values: Float32[np.ndarray, "channels rows cols"],
    box: Window,
    core: Window,
    sampling: Sampling,
) -> Float32[np.ndarray, "channels out_rows out_cols"]:
    """Return bilinear values at the centres of a core's scene pixels.

    Weights follow from whole numbers, so that they do not depend on the tile.

    Args:
        values: On the network's grid, over ``box``.
        box: `Sampling.box` of the core.
        core: Pixels of the scene.
        sampling: The two grids.
    """
    top, down = _taps(core.row, core.height, sampling.height, sampling.net_height)
    left, across = _taps(core.col, core.width, sampling.width, sampling.net_width)
    last_row, last_col = sampling.net_height - 1, sampling.net_width - 1
    rows = [np.clip(top + step, 0, last_row) - box.row for step in (0, 1)]
    cols = [np.clip(left + step, 0, last_col) - box.col for step in (0, 1)]
    down32, across32 = down.astype(np.float32)[:, None], across.astype(np.float32)
    lines = values[:, rows[0]] * (1 - down32) + values[:, rows[1]] * down32
    return np.asarray(lines[:, :, cols[0]] * (1 - across32) + lines[:, :, cols[1]] * across32)


def _taps(
    start: int, length: int, size: int, net: int
) -> tuple[Int64[np.ndarray, " length"], Float64[np.ndarray, " length"]]:
    # Centre of scene pixel i on the network's grid: (i + 1/2) * net / size - 1/2.
    place = (2 * np.arange(start, start + length, dtype=np.int64) + 1) * net - size
    low = place // (2 * size)
    return low, (place - low * 2 * size) / (2 * size)
