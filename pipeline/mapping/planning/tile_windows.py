"""The windows of a tile, from its core to the network's input."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.core.window import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class TileWindows:
    """The windows of one tile; each of the first three lies in the next.

    ::

        core        pixels of the scene that are the tile's own
        labelled    + what its polygons depend on: separation, sub-pixel outlines
        refined     + what refining those depends on: guided filter, opening, closing
        box         the same ground on the network's grid
        tile        what the network sees: the core's box and its halo
    """

    core: Window
    """Pixels of the scene that are the tile's own; cores partition the scene."""
    labelled: Window
    """Pixels of the scene on whose labels the core's polygons depend."""
    refined: Window
    """Pixels of the scene on whose probabilities those labels depend."""
    box: Window
    """Pixels of the network's grid that cover ``refined``; it may reach past the grid."""
    tile: Window
    """Pixels of the network's grid that the network sees; it may reach past the grid."""
