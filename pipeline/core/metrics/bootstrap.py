"""Confidence intervals by the block bootstrap.

Neighbouring pixels and buildings err together, so it is blocks of ground that
are drawn again, with replacement, and not pixels or buildings.
Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, percentile
intervals; Hall, Resampling a coverage pattern, 1985, on blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

FEWEST_BLOCKS = 8
"""Below this many blocks with something in them no interval is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Where a figure lies in 95 of 100 draws."""

    low: float
    """2.5th percentile."""
    high: float
    """97.5th percentile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """Squares of ground, counted row by row."""

    left: float
    """Least x."""
    top: float
    """Least y."""
    size: float
    """Edge, in units of the plane."""
    cols: int
    """Blocks along x."""
    rows: int
    """Blocks along y."""

    def of(self, points: Float64[np.ndarray, "n 2"]) -> Int64[np.ndarray, " n"]:
        """Return the block of each point; points outside belong to the nearest block."""
        col = np.clip((points[:, 0] - self.left) // self.size, 0, self.cols - 1)
        row = np.clip((points[:, 1] - self.top) // self.size, 0, self.rows - 1)
        return np.asarray(row * self.cols + col, np.int64)

    def __len__(self) -> int:
        """Return the number of blocks."""
        return self.cols * self.rows


def blocks_over(bounds: tuple[float, float, float, float], *, about: int = 64) -> Blocks:
    """Return about ``about`` square blocks over ``left, top, right, bottom``."""
    left, top, right, bottom = bounds
    width, height = max(right - left, 1e-9), max(bottom - top, 1e-9)
    size = max(np.sqrt(width * height / about), max(width, height) / about)
    return Blocks(
        left=left,
        top=top,
        size=float(size),
        cols=max(1, int(np.ceil(width / size - 1e-9))),
        rows=max(1, int(np.ceil(height / size - 1e-9))),
    )


def resample_blocks(
    blocks: int, *, rounds: int = 1000, seed: int = 0
) -> Float64[np.ndarray, "rounds blocks"]:
    """Return how often each block is drawn in each round; every row sums to ``blocks``.

    The same seed gives the same draws, so that two predictions are compared on
    the same ground.
    """
    rng = np.random.default_rng(seed)
    return rng.multinomial(blocks, np.full(blocks, 1 / blocks), size=rounds).astype(np.float64)


def totals(
    counts: Float64[np.ndarray, "blocks kinds"], drawn: Float64[np.ndarray, "rounds blocks"]
) -> Float64[np.ndarray, "rounds kinds"]:
    """Return what each round counted."""
    return np.asarray(drawn @ counts, np.float64)


def share(
    part: Float64[np.ndarray, " rounds"], whole: Float64[np.ndarray, " rounds"]
) -> Float64[np.ndarray, " rounds"]:
    """Return ``part / whole`` round by round; NaN (which intervals leave out) over nothing."""
    return np.asarray(np.divide(part, whole, out=np.full_like(whole, np.nan), where=whole > 0))


def percentile_interval(values: Float64[np.ndarray, " rounds"]) -> Interval | None:
    """Return the middle 95 percent; None where more than half of the rounds have no value."""
    known = values[np.isfinite(values)]
    if len(known) * 2 <= len(values):
        return None
    low, high = np.percentile(known, [2.5, 97.5])
    return Interval(low=float(low), high=float(high))
