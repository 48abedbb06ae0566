"""Guided filter of probabilities, in integers.

Source: He, Sun, Tang, "Guided Image Filtering", ECCV 2010 and TPAMI 35 (6), 2013. Around
each pixel the probability ``p`` is a line over the guide ``I``, ``p = a I + b``::

    a = cov(I, p) / (var(I) + eps)      b = mean(p) - a mean(I)      q = mean(a) I + mean(b)

all over squares of ``2 radius + 1`` pixels, as much of them as lies in the scene and has
data. So ``q`` depends on pixels at most ``2 radius`` away.

Running sums of floats depend on where they start. Here guide and probability are bytes,
and ``a`` and ``b`` are rounded to 2**-30 and kept as integers: each sum is exact, in any
order and from any start, and every pixel costs the same whatever the radius.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.core.compiled import compiled
from pipeline.core.quantise import NODATA, STEPS

UInt8 = npt.NDArray[np.uint8]
Int64 = npt.NDArray[np.int64]

LARGEST_RADIUS = 32
"""With the least eps, sums of ``a`` and ``b`` over the largest square stay below 2**61."""
LEAST_EPS = 1e-6
_ONE = 2.0**30
_STRIP = 512
"""Rows that are filtered at a time, so that ``a`` and ``b`` of a few rows are held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guided:
    """How probabilities are drawn to the edges of the image."""

    radius: int
    """Pixels of the scene that the square reaches to every side."""
    eps: float
    """Variance of the guide, black being 0 and white 1, from which an edge is kept."""

    @property
    def margin(self) -> int:
        """Pixels around a pixel on which its probability depends."""
        return 2 * self.radius


def guided_filter(steps: UInt8, guide: UInt8, how: Guided) -> UInt8:
    """Return quantised probabilities that follow the edges of the guide.

    Args:
        steps: ``(rows, cols)``, 0..250, and 255 where there is no data: that stays, and
            has no part in any sum.
        guide: Of the same shape, 0..255.
        how: Radius and eps.

    Raises:
        ValueError: The radius is not 1..32, or eps is not 1e-6..1.
    """
    if not 1 <= how.radius <= LARGEST_RADIUS:
        raise ValueError(f"a guided filter's radius is 1 to {LARGEST_RADIUS} px, not {how.radius}")
    if not LEAST_EPS <= how.eps <= 1:
        raise ValueError(f"a guided filter's eps is {LEAST_EPS:g} to 1, not {how.eps}")
    rows = len(steps)
    found = np.empty_like(steps)
    for top in range(0, rows, _STRIP):
        bottom = min(top + _STRIP, rows)
        first = max(0, top - how.margin)
        held = slice(first, min(rows, bottom + how.margin))
        part, grey = np.ascontiguousarray(steps[held]), np.ascontiguousarray(guide[held])
        slope, offset = _lines(part, grey, how.radius, how.eps)
        answer = _answers(part, grey, slope, offset, how.radius)
        found[top:bottom] = answer[top - first : bottom - first]
    return found


@compiled
def _lines(steps: UInt8, guide: UInt8, radius: int, eps: float) -> tuple[Int64, Int64]:
    """Return ``a`` in steps per grey level, and ``b`` in steps, in units of 2**-30."""
    rows, cols = steps.shape
    slope = np.zeros((rows, cols), np.int64)
    offset = np.zeros((rows, cols), np.int64)
    # Of each column, over the rows of the square: n, I, p, I p, I I.
    column = np.zeros((cols, 5), np.int64)
    for row in range(-radius, rows):
        _move_moments(column, steps, guide, row + radius, 1)
        _move_moments(column, steps, guide, row - radius - 1, -1)
        if row < 0:
            continue
        total = np.zeros(5, np.int64)
        for col in range(-radius, cols):
            _slide(total, column, col, radius)
            if col < 0 or steps[row, col] == NODATA:
                continue
            n = total[0]
            covariance = float(n * total[3] - total[1] * total[2])
            variance = float(n * total[4] - total[1] * total[1])
            a = covariance / (variance + eps * 65025.0 * float(n * n))
            b = (float(total[2]) - a * float(total[1])) / float(n)
            slope[row, col] = math.floor(a * _ONE + 0.5)
            offset[row, col] = math.floor(b * _ONE + 0.5)
    return slope, offset


@compiled
def _answers(steps: UInt8, guide: UInt8, slope: Int64, offset: Int64, radius: int) -> UInt8:
    """Return ``mean(a) I + mean(b)`` in whole steps, 0..250, and 255 where there is no data."""
    rows, cols = steps.shape
    found = np.full((rows, cols), NODATA, np.uint8)
    # Of each column, over the rows of the square: n, a, b.
    column = np.zeros((cols, 3), np.int64)
    for row in range(-radius, rows):
        _move_lines(column, steps, slope, offset, (row + radius, 1))
        _move_lines(column, steps, slope, offset, (row - radius - 1, -1))
        if row < 0:
            continue
        total = np.zeros(3, np.int64)
        for col in range(-radius, cols):
            _slide(total, column, col, radius)
            if col < 0 or steps[row, col] == NODATA:
                continue
            line = float(total[1]) * float(guide[row, col]) + float(total[2])
            q = math.floor(line / (float(total[0]) * _ONE) + 0.5)
            found[row, col] = min(max(q, 0), STEPS)
    return found


@compiled
def _move_moments(column: Int64, steps: UInt8, guide: UInt8, row: int, sign: int) -> None:
    """Add a row to the columns' sums, or take it away."""
    if not 0 <= row < len(steps):
        return
    for col in range(len(column)):
        p, grey = np.int64(steps[row, col]), np.int64(guide[row, col])
        if p != NODATA:
            column[col, 0] += sign
            column[col, 1] += sign * grey
            column[col, 2] += sign * p
            column[col, 3] += sign * grey * p
            column[col, 4] += sign * grey * grey


@compiled
def _move_lines(
    column: Int64, steps: UInt8, slope: Int64, offset: Int64, move: tuple[int, int]
) -> None:
    """Add a row to the columns' sums, or take it away: the row, and 1 or -1."""
    row, sign = move
    if not 0 <= row < len(steps):
        return
    for col in range(len(column)):
        if steps[row, col] != NODATA:
            column[col, 0] += sign
            column[col, 1] += sign * slope[row, col]
            column[col, 2] += sign * offset[row, col]


@compiled
def _slide(total: Int64, column: Int64, col: int, radius: int) -> None:
    """Move the square's sums on by a column, to the one around ``col``."""
    enters, leaves = col + radius, col - radius - 1
    for k in range(len(total)):
        if enters < len(column):
            total[k] += column[enters, k]
        if leaves >= 0:
            total[k] -= column[leaves, k]
