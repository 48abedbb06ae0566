"""Objects to compare: valid polygons with their classes, confidences and grid."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float64, Int64, Shaped
from pyproj import CRS

from pipeline.core.georef import Georef
from pipeline.labels.values import Meaning


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelGrid:
    """The pixels that objects were drawn on."""

    height: int
    """Rows."""
    width: int
    """Columns."""
    georef: Georef | None
    """Where they lie; None for images that are not georeferenced."""
    derived: bool = False
    """True where no raster gave them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    """Valid polygons, each one connected piece of ground."""

    source: str
    """The file they come from."""
    polygon: Shaped[np.ndarray, " n"]
    """Shapely Polygons."""
    crs: CRS | None
    """What their coordinates mean; None for pixels ``(x=col, y=row)``."""
    label: Shaped[np.ndarray, " n"] | None = None
    """Name of each one's class, where the file has classes."""
    confidence: Float64[np.ndarray, " n"] | None = None
    """In 0..1, where the file has it."""
    id: Shaped[np.ndarray, " n"] | None = None
    """What the file calls each one."""
    grid: PixelGrid | None = None
    """The pixels they were drawn on, where there are any."""
    unknown: Shaped[np.ndarray, " areas"] | None = None
    """Polygons of the same plane in which a label raster has no data."""
    notes: tuple[str, ...] = field(default=())
    """What was repaired or left out, with counts."""
    values: Meaning | None = None
    """What the values of a label raster mean; None for other files."""
    described: str | None = None
    """The same of the values that occur, as one line."""

    def __len__(self) -> int:
        """Return the number of polygons."""
        return len(self.polygon)

    def take(self, which: Bool[np.ndarray, " n"] | Int64[np.ndarray, " some"]) -> Objects:
        """Return the rows that ``which`` selects."""
        return replace(
            self,
            polygon=self.polygon[which],
            label=None if self.label is None else self.label[which],
            confidence=None if self.confidence is None else self.confidence[which],
            id=None if self.id is None else self.id[which],
        )
