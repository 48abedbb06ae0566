"""Places: a ground's images at several pixel sizes, with its objects aligned to each."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from pipeline.core.tile import mirrored_positions
from pipeline.core.window import Window
from pipeline.errors import ConfigError
from pipeline.training.config import ClassConfig, PlaceConfig
from pipeline.training.config.data import Box
from pipeline.training.data.sources.labels import read_place_labels
from pipeline.training.data.sources.rasters import read_picture
from pipeline.training.data.targets import contact_map

COARSEST_M = 0.5
"""Levels are halved until a pixel is about this large."""
BUILDING = ClassConfig(name="building", colour="#e6550d")
"""Classes unless a training has its own."""
ONE_CLASS = np.array([0, 1], np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Level:
    """A place at one pixel size."""

    image: NDArray[np.uint8]
    """(3, rows, cols), red, green, blue."""
    instances: NDArray[np.int32]
    """(rows, cols), 0 on ground, a number an object."""
    contact: NDArray[np.uint8]
    """(rows, cols), see `contact_map`."""
    known: NDArray[np.bool_]
    """(rows, cols), False where the survey has no data or nothing is labelled."""
    pixel_size_m: float
    """Edge of a pixel on the ground."""
    class_of: NDArray[np.uint8] | None = None
    """(objects + 1,): the class of each object, from 1; without, all are of class 1."""
    transform: Affine | None = None
    """From columns and rows to map coordinates; None without georeferencing."""
    crs: Any = None
    """What those mean."""
    source: str = ""
    """Where the image comes from, for messages."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, cols = self.instances.shape
        return rows, cols

    def part(self, window: Window) -> Level:
        """Return a window; past the level's edges it is mirrored, as mapping mirrors it."""
        rows, cols = self.shape
        if window.row >= 0 and window.col >= 0 and window.bottom <= rows and window.right <= cols:
            return self.cropped((slice(window.row, window.bottom), slice(window.col, window.right)))
        return self.taken(
            mirrored_positions(window.row, window.height, size=rows, edge="mirror"),
            mirrored_positions(window.col, window.width, size=cols, edge="mirror"),
        )

    def cropped(
        self, here: tuple[slice, slice], *, contact: NDArray[np.uint8] | None = None
    ) -> Level:
        """Return the rows and columns of two slices; the contact map may be another."""
        weights = self.contact if contact is None else contact
        return self._with(lambda array: np.ascontiguousarray(array[..., *here]), weights)

    def taken(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> Level:
        """Return some rows and columns, in the order that is given."""
        return self._with(
            lambda array: np.ascontiguousarray(array[..., rows[:, None], cols]), self.contact
        )

    def _with(
        self, part: Callable[[NDArray[Any]], NDArray[Any]], contact: NDArray[np.uint8]
    ) -> Level:
        return Level(
            image=part(self.image),
            instances=part(self.instances),
            contact=part(contact),
            known=part(self.known),
            pixel_size_m=self.pixel_size_m,
            class_of=self.class_of,
            source=self.source,
        )

    def classes(self, instances: NDArray[np.int32]) -> NDArray[np.uint8]:
        """Return the class of each pixel of an array of object numbers; 0 on ground."""
        if self.class_of is None:
            return (instances > 0).astype(np.uint8)
        return self.class_of[instances]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Place:
    """One ground: what may be trained on together and must never be split."""

    name: str
    """What logs and scores call it."""
    levels: tuple[Level, ...]
    """The finest first."""
    share: float
    """How often crops come from here."""
    centres: NDArray[np.float64]
    """(objects, 2): row and column of each, as parts of height and width."""


def read_place(
    config: PlaceConfig,
    *,
    border_sigma: float,
    classes: Sequence[ClassConfig] = (BUILDING,),
    halve: bool = True,
) -> Place:
    """Return a place from rasters and labels.

    Args:
        config: Which files, which part of them.
        border_sigma: See `contact_map`; 0 where no such map is used.
        classes: What is looked for.
        halve: Whether to add levels of half the size down to `COARSEST_M`.

    Raises:
        ConfigError: The labels cannot be read, or none lies inside a scene.
        SceneError: A scene cannot be read, has no CRS, or lacks bands.
    """
    existing([*config.scenes, config.labels, *([config.area] if config.area else [])])
    levels = [_read_level(path, config, classes, border_sigma) for path in config.scenes]
    levels.sort(key=lambda level: level.pixel_size_m)
    if not levels[0].instances.any():
        raise ConfigError(
            f"{config.labels}: no polygon lies inside {config.scenes[0]}"
            + (" and its block" if config.within or config.without else "")
        )
    return make_place(config.name, levels, share=config.share, sigma=border_sigma, halve=halve)


def make_place(
    name: str, levels: Sequence[Level], *, share: float, sigma: float, halve: bool = True
) -> Place:
    """Return a place of the given levels, halved further down to `COARSEST_M`."""
    chain = list(levels)
    while halve and chain[-1].pixel_size_m * 1.5 < COARSEST_M:
        chain.append(halved(chain[-1], sigma))
    return Place(name=name, levels=tuple(chain), share=share, centres=_centres(chain[0].instances))


def level_of(
    image: NDArray[np.uint8], instances: NDArray[np.int32], *, pixel_size_m: float, sigma: float
) -> Level:
    """Return a level whose every pixel is known."""
    return Level(
        image=np.ascontiguousarray(image),
        instances=np.ascontiguousarray(instances, np.int32),
        contact=contacts(instances, sigma=sigma),
        known=np.ones(instances.shape, np.bool_),
        pixel_size_m=pixel_size_m,
    )


def contacts(instances: NDArray[np.int32], *, sigma: float) -> NDArray[np.uint8]:
    """Return the contact map, or nothing but zeros where sigma is 0."""
    if sigma == 0 or not instances.any():
        return np.zeros(instances.shape, np.uint8)
    return contact_map(instances, sigma=sigma)


def within_margin(sigma: float) -> int:
    """Return how far beyond a window objects count in its contact map, in pixels."""
    return int(3.0 * sigma) + 1 if sigma else 0


def _read_level(
    path: Path, config: PlaceConfig, classes: Sequence[ClassConfig], sigma: float
) -> Level:
    inside = None if config.within is None else partial(window_of, config.within)
    picture = read_picture(
        path, bands=config.bands, image_nodata=config.image_nodata, within=inside
    )
    labels = read_place_labels(config, classes, picture.grid)
    used, seen = _used(config, picture.grid.shape, picture.pixel_size_m)
    instances = np.where(used, labels.instances, 0).astype(np.int32)
    return Level(
        image=np.where(seen, picture.image, 0).astype(np.uint8),
        instances=instances,
        contact=contacts(instances, sigma=sigma),
        known=picture.valid & labels.known & used,
        pixel_size_m=picture.pixel_size_m,
        class_of=labels.class_of,
        transform=picture.grid.transform,
        crs=picture.grid.crs,
        source=str(path),
    )


def _used(
    config: PlaceConfig, shape: tuple[int, int], pixel_size_m: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return where labels are used, and where the image may be seen at all.

    Within the gap the image is seen as context of others, and nothing is learnt from it;
    a block that another split holds is black.
    """
    used = np.full(shape, config.within is None)
    if config.within is not None:
        used[block(config.within, shape)] = True
    seen = used.copy()
    for box in config.without:
        used[block(box, shape, grown=int(np.ceil(config.gap_m / pixel_size_m)))] = False
        seen[block(box, shape)] = False
    return used, seen


def block(box: Box, shape: tuple[int, int], *, grown: int = 0) -> tuple[slice, slice]:
    """Return the rows and columns of a block, ``grown`` pixels larger on every side."""
    rows, cols = shape
    left, top, right, bottom = box
    return (
        slice(max(round(top * rows) - grown, 0), min(round(bottom * rows) + grown, rows)),
        slice(max(round(left * cols) - grown, 0), min(round(right * cols) + grown, cols)),
    )


def window_of(box: Box, shape: tuple[int, int]) -> Window:
    """Return a block of a scene of some rows and columns as a window; it may hold no pixel."""
    rows, cols = block(box, shape)
    return Window(
        row=rows.start, col=cols.start, height=rows.stop - rows.start, width=cols.stop - cols.start
    )


def halved(level: Level, sigma: float) -> Level:
    """Return every second pixel of the labels and the mean of four of the image."""
    rows, cols = (length // 2 * 2 for length in level.instances.shape)
    blocks = level.image[:, :rows, :cols].reshape(3, rows // 2, 2, cols // 2, 2)
    instances = np.ascontiguousarray(level.instances[:rows:2, :cols:2])
    return Level(
        image=np.rint(blocks.mean(axis=(2, 4), dtype=np.float32)).astype(np.uint8),
        instances=instances,
        contact=contacts(instances, sigma=sigma),
        known=np.ascontiguousarray(level.known[:rows:2, :cols:2]),
        pixel_size_m=level.pixel_size_m * 2,
        class_of=level.class_of,
        transform=None if level.transform is None else level.transform @ Affine.scale(2.0),
        crs=level.crs,
        source=level.source,
    )


def _centres(instances: NDArray[np.int32]) -> NDArray[np.float64]:
    rows, cols = np.nonzero(instances)
    numbers = instances[rows, cols]
    counts = np.bincount(numbers)
    there = np.flatnonzero(counts)
    middle = [np.bincount(numbers, weights=at)[there] / counts[there] for at in (rows, cols)]
    return np.stack(middle, axis=1) / np.array(instances.shape, np.float64)


def existing(paths: Sequence[Path]) -> None:
    """Check that files are there.

    Raises:
        ConfigError: Names the ones that are not.
    """
    missing = [str(path) for path in paths if not os.path.exists(path)]  # noqa: PTH110 - long names
    if missing:
        raise ConfigError(f"not found: {', '.join(missing)}; paths are relative to where you are")
