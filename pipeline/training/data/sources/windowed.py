"""Large scenes to train on: only the windows that crops are cut from are read.

A window holds the same pixels, objects and weights as the scene read whole would.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from pipeline.core.tile import mirrored_positions
from pipeline.core.window import Window
from pipeline.training.config import PlaceConfig
from pipeline.training.data.sources.labels import Labels
from pipeline.training.data.sources.places import Level, block, contacts, halved, within_margin
from pipeline.training.data.sources.rasters import SceneGrid, WindowedPicture
from pipeline.training.data.sources.windowed_labels import WindowedLabels

BLOCK = 2048
"""Edge of the windows in which a whole scene is read."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ground:
    """A large scene at its own pixel size, or the block of it that is used."""

    config: PlaceConfig
    """Which parts of it are used."""
    picture: WindowedPicture
    """Its pixels."""
    labels: WindowedLabels
    """What stands on them."""
    window: Window
    """The part of the scene that is used: all else is never read."""
    sigma: float
    """See `contact_map`; 0 where no such map is used."""

    def grid(self, window: Window) -> SceneGrid:
        """Return the pixels of a window of the used part."""
        return self.picture.grid.part(self._in_scene(window))

    def used(self, window: Window) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return where labels are used, and where the image may be seen, as `read_place` does."""
        config, scene = self.config, self._in_scene(window)
        shape = self.picture.grid.shape
        used = np.full((window.height, window.width), config.within is None)
        if config.within is not None:
            used[_part(block(config.within, shape), scene)] = True
        seen = used.copy()
        gap = int(np.ceil(config.gap_m / self.picture.pixel_size_m))
        for box in config.without:
            used[_part(block(box, shape, grown=gap), scene)] = False
            seen[_part(block(box, shape), scene)] = False
        return used, seen

    def image(self, window: Window) -> NDArray[np.uint8]:
        """Return (3, rows, cols) of a window of the used part, black where it is not seen."""
        image, _ = self.picture.read(self._in_scene(window))
        return np.where(self.used(window)[1], image, 0).astype(np.uint8)

    def objects(self, window: Window) -> tuple[Labels, NDArray[np.int32]] | None:
        """Return labels, and the objects that are used; None where no object lies."""
        grid = self.grid(window)
        if self.labels.nothing_in(grid):
            return None
        used, _ = self.used(window)
        if not used.any():
            return None
        found = self.labels.read(grid)
        np.logical_and(found.known, used, out=found.known)
        return found, np.where(used, found.instances, 0).astype(np.int32)

    def read(self, window: Window) -> Level:
        """Return a window of the used part, without its contact map.

        Raises:
            SceneError: It cannot be read there.
            ConfigError: Its labels cannot.
        """
        grid = self.grid(window)
        used, seen = self.used(window)
        image, valid = self.picture.read(self._in_scene(window))
        labels = self.labels.read(grid)
        return Level(
            image=np.where(seen, image, 0).astype(np.uint8),
            instances=np.where(used, labels.instances, 0).astype(np.int32),
            contact=np.zeros(grid.shape, np.uint8),
            known=valid & labels.known & used,
            pixel_size_m=self.picture.pixel_size_m,
            class_of=labels.class_of,
            transform=grid.transform,
            crs=grid.crs,
            source=grid.source,
        )

    def _in_scene(self, window: Window) -> Window:
        return Window(
            row=window.row + self.window.row,
            col=window.col + self.window.col,
            height=window.height,
            width=window.width,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WindowedLevel:
    """A large scene at one pixel size; what `Level` holds of it, window by window."""

    ground: Ground
    """The scene."""
    halvings: int = 0
    """How often it is halved."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        window = self.ground.window
        return window.height >> self.halvings, window.width >> self.halvings

    @property
    def pixel_size_m(self) -> float:
        """Edge of a pixel on the ground."""
        return self.ground.picture.pixel_size_m * float(2**self.halvings)

    @property
    def transform(self) -> Affine:
        """From columns and rows to map coordinates."""
        window = self.ground.window
        grid = self.ground.picture.grid.part(window)
        return grid.transform @ Affine.scale(float(2**self.halvings))

    @property
    def crs(self) -> Any:
        """What those mean."""
        return self.ground.picture.grid.crs

    @property
    def source(self) -> str:
        """Where the image comes from, for messages."""
        return str(self.ground.picture.path)

    def part(self, window: Window) -> Level:
        """Return a window; past the scene's edges it is mirrored, as mapping mirrors it."""
        rows, cols = self.shape
        down = mirrored_positions(window.row, window.height, size=rows, edge="mirror")
        across = mirrored_positions(window.col, window.width, size=cols, edge="mirror")
        top, left = int(down.min()), int(across.min())
        inside = Window(
            row=top,
            col=left,
            height=int(down.max()) - top + 1,
            width=int(across.max()) - left + 1,
        )
        found = self._inside(inside)
        return found if inside == window else found.taken(down - top, across - left)

    def blocks(self) -> Iterator[Window]:
        """Yield windows of `BLOCK` pixels side by side, row by row."""
        rows, cols = self.shape
        for row in range(0, rows, BLOCK):
            for col in range(0, cols, BLOCK):
                block_of = Window(row=row, col=col, height=BLOCK, width=BLOCK)
                yield block_of.clipped(height=rows, width=cols)

    def known_at(self, step: int) -> NDArray[np.bool_]:
        """Return where the middles of squares of ``step`` pixels are labelled and used."""
        rows, cols = self.shape
        centre = step // 2
        shape = (len(range(centre, rows, step)), len(range(centre, cols, step)))
        # The middle of a coarse pixel is the middle of the fine one that stands for it.
        shift = centre + 0.5 - step / 2
        transform = self.transform @ Affine.translation(shift, shift) @ Affine.scale(float(step))
        grid = SceneGrid(source=self.source, shape=shape, transform=transform, crs=self.crs)
        known = self.ground.labels.known_on(grid)
        whole = Window(row=0, col=0, height=rows, width=cols)
        if self.ground.config.within is not None or self.ground.config.without:
            for at, row in enumerate(range(centre, rows, step)):
                line = Window(row=row, col=0, height=1, width=whole.width)
                known[at] &= self.ground.used(line)[0][0, centre::step]
        return known

    def _inside(self, window: Window) -> Level:
        """Return a window inside the level, with the contact map that the whole would have."""
        rows, cols = self.shape
        margin = within_margin(self.ground.sigma)
        wide = window.grown(margin).clipped(height=rows, width=cols)
        times = 2**self.halvings
        found = self.ground.read(
            Window(
                row=wide.row * times,
                col=wide.col * times,
                height=wide.height * times,
                width=wide.width * times,
            )
        )
        for _ in range(self.halvings):
            found = halved(found, 0.0)
        here = window.within(wide)
        return found.cropped(here, contact=contacts(found.instances, sigma=self.ground.sigma))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WindowedPlace:
    """One ground whose scenes are read by windows, see `Place`."""

    name: str
    """What logs and scores call it."""
    levels: tuple[WindowedLevel, ...]
    """The finest first."""
    share: float
    """How often crops come from here."""
    centres: NDArray[np.float64]
    """(objects, 2): row and column of each, as parts of height and width."""
    classes: frozenset[int]
    """Classes of which a labelled pixel is used."""


def _part(area: tuple[slice, slice], window: Window) -> tuple[slice, slice]:
    """Return the rows and columns of a block of a scene in one of its windows; may be empty."""
    (top, bottom), (left, right) = ((side.start, side.stop) for side in area)
    return (
        slice(max(top - window.row, 0), max(min(bottom, window.bottom) - window.row, 0)),
        slice(max(left - window.col, 0), max(min(right, window.right) - window.col, 0)),
    )
