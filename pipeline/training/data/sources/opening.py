"""Places read whole where memory holds them, and by windows where it does not."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.core.window import Window
from pipeline.errors import ConfigError
from pipeline.training.config import ClassConfig, PlaceConfig
from pipeline.training.data.sources.places import (
    COARSEST_M,
    Level,
    Place,
    existing,
    make_place,
    read_place,
    window_of,
)
from pipeline.training.data.sources.rasters import open_picture, size_of
from pipeline.training.data.sources.windowed import Ground, WindowedLevel, WindowedPlace
from pipeline.training.data.sources.windowed_labels import open_windowed_labels

log = logging.getLogger(__name__)

HELD = 12
"""Bytes that a pixel of a scene takes: image, objects, contact map, what is known, and a third of
that for coarser levels."""
SCORED = 9
"""The same without coarser levels; probabilities come on top, a float a channel."""
READING = 40
"""Bytes that a pixel takes while its scene is read, or scored: most of it for its contact map."""
MOST_CENTRES = 2**20
"""Objects that crops of a large scene are laid around; of more, evenly spread ones."""


@dataclass(slots=True)
class Budget:
    """Memory for what a training reads."""

    limit: float
    """Bytes in all."""
    held: float = field(default=0.0)
    """Bytes of what has been read."""

    def holds(self, pixels: int, *, each: float, largest: int) -> bool:
        """Return whether scenes of so many pixels fit, the ``largest`` of them being read."""
        return self.held + each * pixels + READING * largest <= self.limit

    def take(self, pixels: int, *, each: float) -> None:
        """Count pixels that are held from now on."""
        self.held += each * pixels


def open_place(
    config: PlaceConfig, classes: Sequence[ClassConfig], *, sigma: float, budget: Budget
) -> Place | WindowedPlace:
    """Return a place to train on.

    Where its scenes are too large for the budget they are read by windows: all of them, or the
    block that the place is `within`.

    Raises:
        ConfigError: The labels cannot be read, or none lies inside a scene.
        SceneError: A scene cannot be read, has no CRS, or lacks bands.
    """
    sizes = _sizes(config)
    if budget.holds(sum(sizes), each=HELD, largest=max(sizes)):
        budget.take(sum(sizes), each=HELD)
        return read_place(config, border_sigma=sigma, classes=classes)
    levels = [WindowedLevel(ground=ground) for ground in _grounds(config, classes, sigma)]
    levels.sort(key=lambda level: level.pixel_size_m)
    sizes = [level.ground.window.pixels for level in levels]
    if budget.holds(sum(sizes), each=HELD, largest=max(sizes)):
        budget.take(sum(sizes), each=HELD)
        whole = [_whole(level) for level in levels]
        _check_any(config, found=bool(whole[0].instances.any()))
        return make_place(config.name, whole, share=config.share, sigma=sigma)
    while levels[-1].pixel_size_m * 1.5 < COARSEST_M:
        last = levels[-1]
        levels.append(WindowedLevel(ground=last.ground, halvings=last.halvings + 1))
    centres, seen = survey_places(levels[0])
    _check_any(config, found=bool(len(centres)))
    log.info("%s: %.1f million pixels are read by windows", config.name, sum(sizes) / 1e6)
    return WindowedPlace(
        name=config.name,
        levels=tuple(levels),
        share=config.share,
        centres=centres,
        classes=frozenset(seen),
    )


def read_scored(
    config: PlaceConfig, classes: Sequence[ClassConfig], *, channels: int, budget: Budget
) -> Place:
    """Return a place that is scored: held whole, for its objects are compared as a whole.

    Args:
        config: Names it.
        classes: What is looked for.
        channels: Of the network: a probability each, for every pixel.
        budget: Memory for all that is read.

    Raises:
        ConfigError: It does not fit into the budget, or its labels cannot be read.
        SceneError: A scene cannot be read, has no CRS, or lacks bands.
    """
    each = SCORED + 4.0 * channels
    sizes = _sizes(config)
    if budget.holds(sum(sizes), each=each, largest=max(sizes)):
        budget.take(sum(sizes), each=each)
        return read_place(config, border_sigma=0.0, classes=classes, halve=False)
    blocks = _blocks(config)
    sizes = [window.pixels for window in blocks]
    if not budget.holds(sum(sizes), each=each, largest=max(sizes)):
        need = budget.held + each * sum(sizes) + READING * max(sizes)
        text = ", ".join(
            f"{path} ({window.height} x {window.width} px)"
            for path, window in zip(config.scenes, blocks, strict=True)
        )
        raise ConfigError(
            f"{config.name}: scoring {text} takes {need / 1e9:.1f} GB with all that was read "
            f"before, and memory_gb is {budget.limit / 1e9:g}; score a block of it (`within: "
            "[left, top, right, bottom]`), cut it, or give a larger memory_gb"
        )
    budget.take(sum(sizes), each=each)
    levels = [_whole(WindowedLevel(ground=ground)) for ground in _grounds(config, classes, 0.0)]
    levels.sort(key=lambda level: level.pixel_size_m)
    _check_any(config, found=bool(levels[0].instances.any()))
    return make_place(config.name, levels, share=config.share, sigma=0.0, halve=False)


def survey_places(level: WindowedLevel) -> tuple[NDArray[np.float64], set[int]]:
    """Return where a large scene's objects lie, and of which classes labelled pixels are.

    Block by block: labels are read, pixels are not. A part of a raster's object in another
    block counts as one of its own.

    Returns:
        (objects, 2), row and column of each as parts of height and width; classes from 1.
    """
    of_polygons = level.ground.labels.polygons is not None
    sums = np.zeros((len(level.ground.labels.class_of), 3), np.float64)
    found: list[NDArray[np.float64]] = []
    seen: set[int] = set()
    for window in level.blocks():
        read = level.ground.objects(window)
        if read is None:
            continue
        labels, objects = read
        rows, cols = np.nonzero(objects)
        if not len(rows):
            continue
        there, at = np.unique(objects[rows, cols], return_inverse=True)
        known = np.unique(objects[rows, cols][labels.known[rows, cols]])
        seen.update(np.unique(labels.class_of[known]).tolist())
        part = np.stack(
            [
                np.bincount(at),
                np.bincount(at, weights=rows + window.row),
                np.bincount(at, weights=cols + window.col),
            ],
            axis=1,
        )
        if of_polygons:
            sums[there] += part
        else:
            found.append(part[:, 1:] / part[:, :1])
            found = _thinned(found)
    if of_polygons:
        sums = sums[sums[:, 0] > 0]
        found = [sums[:, 1:] / sums[:, :1]]
    centres = np.concatenate(found) if found else np.zeros((0, 2), np.float64)
    return centres / np.array(level.shape, np.float64), seen


def _thinned(found: list[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    """Return every second object where there are more than are remembered."""
    if sum(map(len, found)) <= MOST_CENTRES:
        return found
    return [np.concatenate(found)[::2]]


def _whole(level: WindowedLevel) -> Level:
    rows, cols = level.shape
    found = level.part(Window(row=0, col=0, height=rows, width=cols))
    return Level(
        image=found.image,
        instances=found.instances,
        contact=found.contact,
        known=found.known,
        pixel_size_m=found.pixel_size_m,
        class_of=found.class_of,
        transform=level.transform,
        crs=level.crs,
        source=level.source,
    )


def _grounds(config: PlaceConfig, classes: Sequence[ClassConfig], sigma: float) -> list[Ground]:
    found = []
    for path, window in zip(config.scenes, _blocks(config), strict=True):
        picture = open_picture(path, bands=config.bands, image_nodata=config.image_nodata)
        labels = open_windowed_labels(config, classes, picture.grid)
        found.append(
            Ground(config=config, picture=picture, labels=labels, window=window, sigma=sigma)
        )
    return found


def _sizes(config: PlaceConfig) -> list[int]:
    existing([*config.scenes, config.labels, *([config.area] if config.area else [])])
    return [rows * cols for rows, cols in map(size_of, config.scenes)]


def _blocks(config: PlaceConfig) -> list[Window]:
    """Return the part of each scene that is used: all of it, or the block that it is within."""
    windows = []
    for path in config.scenes:
        shape = size_of(path)
        window = window_of(config.within or (0.0, 0.0, 1.0, 1.0), shape)
        if min(window.height, window.width) < 1:
            raise ConfigError(f"{config.name}: `within` holds no pixel of {path}")
        windows.append(window)
    return windows


def _check_any(config: PlaceConfig, *, found: bool) -> None:
    if not found:
        raise ConfigError(
            f"{config.labels}: no polygon lies inside {config.scenes[0]}"
            + (" and its block" if config.within or config.without else "")
        )
