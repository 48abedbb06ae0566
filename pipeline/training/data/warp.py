"""Cutting a crop: any angle, pixel size and shape, image and labels together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pipeline.core.compiled import compiled
from pipeline.training.config import AugmentConfig
from pipeline.training.data.sources.places import Level, Place
from pipeline.training.data.sources.windowed import WindowedLevel, WindowedPlace


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Crop:
    """A square of a place as the network will see it."""

    image: NDArray[np.uint8]
    """(3, crop, crop)."""
    instances: NDArray[np.int32]
    """(crop, crop)."""
    contact: NDArray[np.uint8]
    """(crop, crop)."""
    known: NDArray[np.bool_]
    """(crop, crop)."""
    pixel_size_m: float
    """Edge of a pixel on the ground."""


def draw_pixel_m(config: AugmentConfig, rng: Generator) -> float:
    """Return a ground size for a crop: triangular in its logarithm.

    Raises:
        ValueError: The config asks for none to be drawn.
    """
    if config.pixel_size_m is None:
        raise ValueError("no ground size is drawn without augment.pixel_size_m")
    low, high = config.pixel_size_m
    if low == high:
        return low
    usual = min(max(config.typical_pixel_size_m, low), high)
    return float(np.exp(rng.triangular(np.log(low), np.log(usual), np.log(high))))


def source_level(place: Place | WindowedPlace, pixel_size_m: float) -> Level | WindowedLevel:
    """Return the coarsest level that is at most 1.2 times coarser than asked for."""
    levels: Sequence[Level | WindowedLevel] = place.levels
    fit = [level for level in levels if level.pixel_size_m <= 1.2 * pixel_size_m]
    return fit[-1] if fit else levels[0]


@overload
def draw_level(place: Place, config: AugmentConfig, rng: Generator) -> tuple[Level, float]: ...


@overload
def draw_level(
    place: WindowedPlace, config: AugmentConfig, rng: Generator
) -> tuple[WindowedLevel, float]: ...


def draw_level(
    place: Place | WindowedPlace, config: AugmentConfig, rng: Generator
) -> tuple[Level | WindowedLevel, float]:
    """Return the level to cut from, and how many of its pixels make one of the crop."""
    if config.pixel_size_m is None:
        return place.levels[int(rng.integers(len(place.levels)))], 1.0
    # Half as fine again as the finest image is as far as enlarging makes sense.
    wanted = max(draw_pixel_m(config, rng), place.levels[0].pixel_size_m / 1.5)
    level = source_level(place, wanted)
    return level, wanted / level.pixel_size_m


def draw_matrix(config: AugmentConfig, scale: float, rng: Generator) -> NDArray[np.float64]:
    """Return the 2 x 2 map from a step in the crop to a step in the source.

    Args:
        config: How far shapes may change.
        scale: Source pixels to one pixel of the crop.
        rng: Where chance comes from.
    """
    if config.rotate:
        angle = rng.uniform(0, 2 * np.pi)
    else:
        angle = np.pi / 2 * rng.integers(4) if config.turns else 0.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    stretch, shear = rng.uniform(-config.shape, config.shape, 2)
    flip = -1.0 if rng.random() < 0.5 and config.flips else 1.0
    shape = np.array([[1.0 + stretch, shear], [0.0, flip / (1.0 + stretch)]])
    return np.asarray(scale * turn @ shape, np.float64)


def cut_crop(
    level: Level,
    *,
    matrix: NDArray[np.float64],
    centre: tuple[float, float],
    crop: int,
    field: NDArray[np.float32] | None = None,
) -> Crop:
    """Return the crop whose middle is ``centre`` (row, col) of the level.

    Past the edge the level is mirrored, as mapping mirrors it; the image is
    bilinear, all else is the nearest pixel::

        pixel of the crop -> + field -> matrix -> + centre -> pixel of the level

    Args:
        level: What is cut from.
        matrix: 2 x 2, from a step in the crop to a step in the level.
        centre: Row and column of the crop's middle in the level.
        crop: Edge in pixels.
        field: (2, crop, crop), see `draw_field`.
    """
    image, instances, contact, known = _cut(
        level.image,
        level.instances,
        level.contact,
        level.known,
        np.column_stack([matrix, centre]),
        np.zeros((2, crop, crop), np.float32) if field is None else field,
    )
    scale = float(np.sqrt(abs(np.linalg.det(matrix))))
    return Crop(
        image=image,
        instances=instances,
        contact=contact,
        known=known,
        pixel_size_m=level.pixel_size_m * scale,
    )


@compiled
def _mirrored(at: int, length: int) -> int:  # pragma: no cover - compiled
    at %= 2 * length
    return at if at < length else 2 * length - 1 - at


@compiled
def _cut(
    image: NDArray[np.uint8],
    instances: NDArray[np.int32],
    contact: NDArray[np.uint8],
    known: NDArray[np.bool_],
    matrix: NDArray[np.float64],
    field: NDArray[np.float32],
) -> tuple[
    NDArray[np.uint8], NDArray[np.int32], NDArray[np.uint8], NDArray[np.bool_]
]:  # pragma: no cover - compiled
    height, width = instances.shape
    crop = field.shape[1]
    out_image = np.empty((3, crop, crop), np.uint8)
    out_instances = np.empty((crop, crop), np.int32)
    out_contact = np.empty((crop, crop), np.uint8)
    out_known = np.empty((crop, crop), np.bool_)
    for row in range(crop):
        for col in range(crop):
            # From pixel centres to pixel centres.
            y = row + 0.5 - crop / 2 + field[0, row, col]
            x = col + 0.5 - crop / 2 + field[1, row, col]
            r = matrix[0, 2] + matrix[0, 0] * y + matrix[0, 1] * x - 0.5
            c = matrix[1, 2] + matrix[1, 0] * y + matrix[1, 1] * x - 0.5
            r0, c0 = int(np.floor(r)), int(np.floor(c))
            fr, fc = np.float32(r - r0), np.float32(c - c0)
            ra, rb = _mirrored(r0, height), _mirrored(r0 + 1, height)
            ca, cb = _mirrored(c0, width), _mirrored(c0 + 1, width)
            for band in range(3):
                top = image[band, ra, ca] * (1 - fc) + image[band, ra, cb] * fc
                low = image[band, rb, ca] * (1 - fc) + image[band, rb, cb] * fc
                out_image[band, row, col] = np.uint8(top * (1 - fr) + low * fr + 0.5)
            rn = rb if fr >= 0.5 else ra
            cn = cb if fc >= 0.5 else ca
            out_instances[row, col] = instances[rn, cn]
            out_contact[row, col] = contact[rn, cn]
            out_known[row, col] = known[rn, cn]
    return out_image, out_instances, out_contact, out_known
