"""A scene on another pixel grid over the same ground.

Each output pixel is a sum over its own few source pixels, with weights made of
whole numbers that depend on nothing but its place in the scene. So the result is
the same bit for bit, whatever window is read: decimated reads and warped VRTs
cannot guarantee that.

- shrinking: the mean of the ground that the pixel covers (exact overlaps);
- enlarging: bilinear between pixel centres, the edge repeated.

Both are taken over valid source pixels only; where less than half of a pixel's
weight is valid, it is not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int64, Shaped

from pipeline.core.compiled import compiled
from pipeline.core.window import Window
from pipeline.scenes.scene import Scene, SceneInfo


@dataclass(frozen=True, slots=True, eq=False)
class Taps:
    """Source pixels of some output pixels along one axis."""

    index: Int64[np.ndarray, "out taps"]
    """Which source pixels, inside the scene; padding has weight 0."""
    weight: Float[np.ndarray, "out taps"]
    """How much of each; a row sums to one."""

    @property
    def first(self) -> int:
        """The first source pixel."""
        return int(self.index.min())

    @property
    def stop(self) -> int:
        """The one after the last source pixel."""
        return int(self.index.max()) + 1


def taps(*, source: int, target: int, start: int, stop: int) -> Taps:
    """Return the source pixels of output pixels ``start`` to ``stop`` of an axis.

    Args:
        source: Length of the axis in source pixels.
        target: Length of the same ground in output pixels.
        start: First output pixel wanted.
        stop: The one after the last.
    """
    return (
        _area(source, target, start, stop)
        if target <= source
        else _linear(source, target, start, stop)
    )


def _area(source: int, target: int, start: int, stop: int) -> Taps:
    # In units of 1/target source pixels, output i covers [i*source, (i+1)*source)
    # and source pixel j covers [j*target, (j+1)*target): overlaps are whole numbers.
    out = np.arange(start, stop, dtype=np.int64)[:, None]
    count = -(-source // target) + 1
    index = out * source // target + np.arange(count)
    left = np.maximum(out * source, index * target)
    right = np.minimum((out + 1) * source, (index + 1) * target)
    weight = np.maximum(right - left, 0) / source
    return Taps(np.minimum(index, source - 1), weight)


def _linear(source: int, target: int, start: int, stop: int) -> Taps:
    # Centre of output i in source pixels: (i + 1/2) * source / target - 1/2, that
    # is ((2i + 1) * source - target) / (2 * target).
    out = np.arange(start, stop, dtype=np.int64)
    place = (2 * out + 1) * source - target
    low = place // (2 * target)
    part = (place - low * 2 * target) / (2 * target)
    index = np.clip(np.stack([low, low + 1], axis=1), 0, source - 1)
    return Taps(index, np.stack([1 - part, part], axis=1))


class Resampled:
    """A scene read on a grid of ``height`` x ``width`` pixels over the same ground.

    Whole-number pixels are rounded to their own type; the source is closed with it.
    """

    def __init__(self, scene: Scene, *, height: int, width: int) -> None:
        """Put a scene on another grid.

        Args:
            scene: Any scene; read from, and closed, through this one from now on.
            height: Rows of the new grid, at least 1.
            width: Columns of the new grid, at least 1.
        """
        if height < 1 or width < 1:
            raise ValueError(f"a grid of {height} x {width} pixels has none")
        self._scene = scene
        self._info = resampled_info(scene.info, height=height, width=width)

    @property
    def info(self) -> SceneInfo:
        """What is known of the scene on its new grid."""
        return self._info

    def read(
        self, window: Window, bands: tuple[int, ...]
    ) -> tuple[Shaped[np.ndarray, "bands rows cols"], Bool[np.ndarray, "rows cols"]]:
        """Return pixels of ``window`` and where they are valid, see `Scene.read`."""
        source = self._scene.info
        if window.clipped(height=self._info.height, width=self._info.width) != window:
            raise ValueError(f"{window} is not inside {self._info.height} x {self._info.width}")
        rows = taps(
            source=source.height,
            target=self._info.height,
            start=window.row,
            stop=window.bottom,
        )
        cols = taps(
            source=source.width, target=self._info.width, start=window.col, stop=window.right
        )
        behind = Window(
            row=rows.first,
            col=cols.first,
            height=rows.stop - rows.first,
            width=cols.stop - cols.first,
        )
        pixels, valid = self._scene.read(behind, bands)
        return weighted(pixels, valid, rows=rows, cols=cols)

    def close(self) -> None:
        """Close the scene behind."""
        self._scene.close()


def resampled_info(info: SceneInfo, *, height: int, width: int) -> SceneInfo:
    """Return what is known of a scene once it is read on another grid."""
    down, across = info.height / height, info.width / width
    return replace(
        info,
        height=height,
        width=width,
        georef=info.georef.scaled(col_step=across, row_step=down) if info.georef else None,
        fingerprint=f"{info.fingerprint}@{height}x{width}",
        block=(max(1, round(info.block[0] / down)), max(1, round(info.block[1] / across))),
    )


def weighted(
    pixels: Shaped[np.ndarray, "bands rows cols"],
    valid: Bool[np.ndarray, "rows cols"],
    *,
    rows: Taps,
    cols: Taps,
) -> tuple[Shaped[np.ndarray, "bands out_rows out_cols"], Bool[np.ndarray, "out_rows out_cols"]]:
    """Return weighted means of valid pixels, in the pixels' own type.

    Args:
        pixels: The source pixels that ``rows`` and ``cols`` reach, and no others.
        valid: Where they are valid.
        rows: Taps along rows, counted in the whole scene.
        cols: Taps along columns.
    """
    exact = pixels.dtype.kind in "ui" and pixels.dtype.itemsize <= 2
    kind = np.dtype(np.float32 if exact else np.float64)
    known = pixels.astype(kind)
    if not valid.all():
        known[:, ~valid] = 0
    shape = len(rows.index), len(cols.index)
    total, share = np.empty((len(pixels), *shape), kind), np.empty(shape, kind)
    _sum(
        known,
        valid,
        (rows.index - rows.first, rows.weight.astype(kind)),
        (cols.index - cols.first, cols.weight.astype(kind)),
        (total, share),
    )
    kept = share >= 0.5
    mean = np.divide(total, share, out=np.zeros_like(total), where=kept)
    return (np.rint(mean) if pixels.dtype.kind in "ui" else mean).astype(pixels.dtype), kept


@compiled
def _sum(  # noqa: C901 - loops over pixels, nothing else
    known: np.ndarray,
    valid: np.ndarray,
    down: tuple[np.ndarray, np.ndarray],
    across: tuple[np.ndarray, np.ndarray],
    out: tuple[np.ndarray, np.ndarray],
) -> None:
    """Write sums of valid pixels times weights, and the weights' own, term by term in order."""
    row_index, row_weight = down
    col_index, col_weight = across
    total, share = out
    bands, width = known.shape[0], known.shape[2]
    # One output row's sums over source rows; the last line is that of validity.
    lines = np.empty((bands + 1, width), known.dtype)
    for row in range(share.shape[0]):
        lines[:] = 0
        for tap in range(row_index.shape[1]):
            source, weight = row_index[row, tap], row_weight[row, tap]
            for band in range(bands):
                for col in range(width):
                    lines[band, col] += weight * known[band, source, col]
            for col in range(width):
                if valid[source, col]:
                    lines[bands, col] += weight
        for col in range(share.shape[1]):
            for band in range(bands + 1):
                value = lines[band, col_index[col, 0]] * col_weight[col, 0]
                for tap in range(1, col_index.shape[1]):
                    value += lines[band, col_index[col, tap]] * col_weight[col, tap]
                if band < bands:
                    total[band, row, col] = value
                else:
                    share[row, col] = value


_: type[Scene] = Resampled
