"""Detection of ground or pictures that splits share, before the first step.

A score on what was trained on is no score. Ground is compared by where labels are used,
pictures by a perceptual hash, confirmed by how alike they are as small pictures.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import geopandas
import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from scipy.fft import dctn
from shapely.geometry.base import BaseGeometry

from pipeline.core.window import Window
from pipeline.errors import ConfigError
from pipeline.training.config import SplitOverlapConfig
from pipeline.training.data.overlap import SplitOverlap
from pipeline.training.data.sources.places import Level, Place
from pipeline.training.data.sources.windowed import WindowedLevel, WindowedPlace
from pipeline.training.read_data import Data
from pipeline.training.volumes.data import VolumeData
from pipeline.training.volumes.split_overlap import volume_overlaps

log = logging.getLogger(__name__)

CELLS = 256
"""A footprint is as fine as so many cells along a scene's longer side."""
CHIP = 256
"""Pixels along a chip of a scene whose picture is compared."""
MOST_CHIPS = 4096
"""Chips of a scene that is read by windows."""
SMALL = 32
"""Pixels along the small picture that is hashed."""
PLAIN = 4.0
"""Standard deviation in grey levels below which a picture shows nothing to compare."""
ALIKE = 0.97
"""Correlation of small pictures from which two of alike hash are one."""


def check_split_overlap(
    data: Data | VolumeData, config: SplitOverlapConfig, *, gap: int = 0
) -> None:
    """Refuse splits that share ground, pictures or traces, or warn of them.

    Args:
        data: The splits.
        config: What is done about it.
        gap: Lines that must lie between splits of one volume.

    Raises:
        ConfigError: They do, and ``split_overlap.action`` is ``refuse``.
    """
    if isinstance(data, VolumeData):
        found = volume_overlaps(data, gap=gap)
        hint = "Split by volume, or by ranges of `inlines` or `crosslines` with a gap"
    else:
        found = split_overlaps(data, distance=config.distance)
        hint = "Split by place, or by blocks with `within`, `without` and `gap_m`"
    if not found:
        return
    text = "; ".join(str(overlap) for overlap in found[:5])
    more = f"; and {len(found) - 5} more" if len(found) > 5 else ""
    if config.action == "refuse":
        raise ConfigError(
            f"splits overlap: {text}{more}. {hint}; or go on with `split_overlap: {{action: warn}}`"
        )
    log.warning("splits overlap, scores will be too good: %s%s", text, more)


def split_overlaps(data: Data, *, distance: int) -> list[SplitOverlap]:
    """Return what the training, validation and test splits share.

    Args:
        data: The splits.
        distance: Bits of 64 in which the hashes of one picture may differ.
    """
    splits: dict[str, Sequence[Place | WindowedPlace]] = {
        "train": data.train,
        "validation": data.validation,
        "test": data.test,
    }
    found: list[SplitOverlap] = []
    pictures = {name: _Pictures.of(places) for name, places in splits.items()}
    grounds = {name: _grounds(places) for name, places in splits.items()}
    for pair in itertools.combinations(splits, 2):
        one, other = pair
        for (name, ground), (second, there) in itertools.product(grounds[one], grounds[other]):
            if ground.intersects(there) and ground.intersection(there).area > 0:
                part = 100 * ground.intersection(there).area / there.area
                why = f"share {part:.0f} % of the ground of the second"
                found.append(SplitOverlap(splits=pair, first=name, second=second, why=why))
        for name, second in pictures[one].shared(pictures[other], distance=distance):
            found.append(
                SplitOverlap(splits=pair, first=name, second=second, why="show one picture")
            )
    return found


def _grounds(places: Sequence[Place | WindowedPlace]) -> list[tuple[str, BaseGeometry]]:
    """Return where the labels of each scene are used, in degrees."""
    found = []
    for place in places:
        level = place.levels[0]
        if level.crs is None or level.transform is None:
            continue
        step = max(1, max(level.shape) // CELLS)
        # A cell counts if its middle is known: what is only touched is no shared ground.
        coarse = _known_at(level, step)
        if not coarse.any():
            continue
        transform = level.transform @ Affine.scale(float(step))
        corners = [transform @ corner for run in _runs(coarse) for corner in run]
        boxes = np.array(corners, np.float64).reshape(-1, 4)
        left, right = (np.sort(boxes[:, 0::2], axis=1)[:, at] for at in (0, 1))
        bottom, top = (np.sort(boxes[:, 1::2], axis=1)[:, at] for at in (0, 1))
        ground = shapely.union_all(shapely.box(left, bottom, right, top))
        degrees = geopandas.GeoSeries([ground], crs=level.crs).to_crs(4326)
        found.append((place.name, degrees.iloc[0]))
    return found


def _known_at(level: Level | WindowedLevel, step: int) -> NDArray[np.bool_]:
    if isinstance(level, WindowedLevel):
        return level.known_at(step)
    return np.ascontiguousarray(level.known[step // 2 :: step, step // 2 :: step])


def _runs(mask: NDArray[np.bool_]) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Yield the upper left and lower right corner, column first, of each run of a row."""
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    first_row, first = np.nonzero(edges == 1)
    _, last = np.nonzero(edges == -1)
    for row, left, right in zip(first_row.tolist(), first.tolist(), last.tolist(), strict=True):
        yield (left, row), (right, row + 1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Pictures:
    """Small pictures of a split and their hashes."""

    names: list[str]
    hashes: NDArray[np.uint64]
    small: NDArray[np.float32]

    @classmethod
    def of(cls, places: Sequence[Place | WindowedPlace]) -> _Pictures:
        names, hashes, small = [], [], []
        for place in places:
            for level in place.levels[:1]:
                for at, picture in _chips(level):
                    if picture.std() < PLAIN:
                        continue
                    names.append(f"{place.name}{at}")
                    hashes.append(picture_hash(picture))
                    small.append(((picture - picture.mean()) / picture.std()).ravel())
        return cls(
            names=names,
            hashes=np.array(hashes, np.uint64),
            small=np.array(small, np.float32).reshape(len(names), SMALL * SMALL),
        )

    def shared(self, other: _Pictures, *, distance: int) -> Iterator[tuple[str, str]]:
        """Yield names of pictures here and there that are one."""
        if not self.names or not other.names:
            return
        for number, name in enumerate(self.names):
            apart = np.bitwise_count(other.hashes ^ self.hashes[number])
            for near in np.flatnonzero(apart <= distance):
                if float(other.small[near] @ self.small[number]) / SMALL**2 >= ALIKE:
                    yield name, other.names[int(near)]


def _chips(level: Level | WindowedLevel) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield small grey pictures of chips of a scene, or of all of an image.

    Of a scene that is read by windows at most `MOST_CHIPS`, evenly spread.
    """
    if isinstance(level, WindowedLevel):
        yield from _chips_of_windows(level)
        return
    grey = level.image.mean(axis=0, dtype=np.float32)
    rows, cols = grey.shape
    if max(rows, cols) <= 2 * CHIP:
        yield "", _small(grey)
        return
    for row in range(0, rows - CHIP + 1, CHIP):
        for col in range(0, cols - CHIP + 1, CHIP):
            yield f" at {row}, {col}", _small(grey[row : row + CHIP, col : col + CHIP])


def _chips_of_windows(level: WindowedLevel) -> Iterator[tuple[str, NDArray[np.float32]]]:
    down, across = (length // CHIP for length in level.shape)
    every = np.unique(np.linspace(0, down * across - 1, min(MOST_CHIPS, down * across)).astype(int))
    for number in every.tolist() if down * across else []:
        row, col = (at * CHIP for at in divmod(number, across))
        window = Window(row=row, col=col, height=CHIP, width=CHIP)
        image = level.ground.image(window)
        yield f" at {row}, {col}", _small(image.mean(axis=0, dtype=np.float32))


def _small(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the means of 32 x 32 parts."""
    out: NDArray[np.float32] = grey
    for axis in (0, 1):
        length = out.shape[axis]
        edges = np.arange(SMALL) * length // SMALL
        sizes = np.diff(np.append(edges, length)).astype(np.float32)
        if length < SMALL:
            out = np.take(out, edges, axis=axis)
            continue
        sums = np.add.reduceat(out, edges, axis=axis)
        out = np.asarray(sums / (sizes[:, None] if axis == 0 else sizes[None, :]), np.float32)
    return np.asarray(out, np.float32)


def picture_hash(small: NDArray[np.float32]) -> int:
    """Return the signs of a picture's 64 lowest frequencies against their median.

    Args:
        small: (32, 32) grey.

    Source: Zauner, Implementation and benchmarking of perceptual image hash functions, 2010.
    """
    low = dctn(small, norm="ortho")[:8, :8].ravel()
    bits = low > np.median(low[1:])
    return int(np.packbits(bits).view(">u8")[0])
