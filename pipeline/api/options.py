"""Options of mapping that are seldom needed."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import ConfigError

if TYPE_CHECKING:
    from geopandas import GeoDataFrame


@dataclass(frozen=True, slots=True, kw_only=True)
class MapOptions:
    """What else ``overtile map`` takes; None leaves the choice to the task, card or scene.

    Example:
        >>> from overtile import MapOptions
        >>> MapOptions(threshold=0.4, formats=("gpkg",)).threshold
        0.4
    """

    clip: bool = False
    """Whether polygons are cut at the area of interest."""
    aoi_layer: str | None = None
    """Layer of the file of the area of interest, where it has several."""
    executor: str = "local"
    """``serial``, ``local``, or the address of a Dask scheduler (``tcp://HOST:PORT``)."""
    device: str = "auto"
    """Where the network runs: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"openvino"``."""
    tile: int | None = None
    """Edge of a tile with its halo, in pixels; None follows from the memory."""
    tile_timeout: float = 1800.0
    """Seconds that a tile may take before it is tried elsewhere."""
    max_memory: str | int = "4GB"
    """Memory of the process: ``"4GB"``, ``"512MB"``, or bytes."""
    datetime: str | None = None
    """When the scenes were taken, as ISO 8601."""
    reference: str | Path | GeoDataFrame | None = None
    """Reference polygons: adds an accuracy report to the results (``--truth``)."""
    reference_layer: str | None = None
    """Layer of the file of reference polygons, where it has several."""
    threshold: float | None = None
    """Probability from which a pixel belongs to a class."""
    bands: Sequence[str | int] | str | None = None
    """Bands in the model's order, by number from 1 or by name: ``(3, 2, 1)``."""
    values: Sequence[float] | str | None = None
    """Values that become black and white."""
    nodata: str | float | None = None
    """``"declared"``, ``"none"`` or the value of missing pixels."""
    formats: Sequence[str] = ()
    """Formats of the polygons; GeoParquet is always among them."""
    separate: bool | None = None
    """Whether touching objects are separated."""
    crs: str | None = None
    """Reference system of scenes without one; ``"none"``: map in pixels."""
    asset: str | None = None
    """Which asset of a STAC item."""
    as_one_scene: bool = False
    """Whether the scenes are adjoining files that are mapped as one."""
    overlap: str | None = None
    """Whose pixels are taken where adjoining files overlap: ``"first"``, ``"last"``, ``"newest"``
    or ``"oldest"``."""
    name: str | None = None
    """Folder of the outputs of adjoining files."""
    slices: str | None = None
    """Slices of SEG-Y volumes: ``"inline"``, ``"crossline"``, ``"time"``, ``"section"``."""

    def __post_init__(self) -> None:
        """Take ``"3,2,1"`` for ``(3, 2, 1)``, as the command does, and lists for tuples.

        Raises:
            ConfigError: ``values`` are not two numbers.
        """
        for name in ("bands", "values", "formats"):
            given = getattr(self, name)
            if isinstance(given, str):
                given = tuple(part.strip() for part in given.split(","))
            if given is not None:
                object.__setattr__(self, name, tuple(given))
        if self.values is not None:
            try:
                low, high = (float(one) for one in self.values)
            except (TypeError, ValueError):
                raise ConfigError(
                    f"values={self.values}: give two numbers, such as (0, 3000)"
                ) from None
            object.__setattr__(self, "values", (low, high))


def options_from(given: MapOptions | Mapping[str, Any] | None) -> MapOptions:
    """Convert a keyword mapping to options.

    Raises:
        ConfigError: A name is unknown; the message lists those that exist.
    """
    if given is None:
        return MapOptions()
    if isinstance(given, MapOptions):
        return given
    names = [field.name for field in fields(MapOptions)]
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(str(name), names, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"options has no {name!r}{hint} (it takes {', '.join(names)})")
    return MapOptions(**given)
