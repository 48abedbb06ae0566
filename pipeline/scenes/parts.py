"""Files that make up one raster: which pixels of each lie where."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.core.window import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class MosaicPart:
    """A window of one file, placed without resampling in a larger raster."""

    href: str
    """Absolute path or URL."""
    source: Window
    """The pixels of the file that are used."""
    row: int
    """Row of the larger raster at which they begin."""
    col: int
    """Column at which they begin."""
    kind: str = "geotiff"
    """Which module opens the file, as in `SceneRef.kind`."""
    options: tuple[tuple[str, str], ...] = ()
    """How it is opened, as in `SceneRef.options`."""
    bands: tuple[int, ...] = ()
    """Band of the file for each band of the larger raster; empty: the same numbers."""
    nodata: tuple[float, ...] = ()
    """Values that mark missing pixels besides what the file itself declares, one for each band of
    the larger raster; empty: none."""

    @property
    def target(self) -> Window:
        """The pixels of the larger raster that it covers."""
        return Window(
            row=self.row, col=self.col, height=self.source.height, width=self.source.width
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Mosaic:
    """A raster made of parts; pixels that no part covers are nodata."""

    height: int
    """Rows."""
    width: int
    """Columns."""
    crs_wkt: str
    """Coordinate reference system as WKT 2; empty where it is not georeferenced."""
    transform: tuple[float, float, float, float, float, float]
    """``(a, b, c, d, e, f)``, as in `Georef.transform`."""
    parts: tuple[MosaicPart, ...]
    """At least one; where several have valid pixels, the first of them is taken."""
    file: str = ""
    """Path of the file that describes it; empty where its parts were named themselves."""
    dtype: str = ""
    """Type of its pixels, which all files must have; empty: that of the first file."""
    nodata: tuple[float, ...] = ()
    """Values that mark missing pixels once all parts are put together, one for each band."""
    names: tuple[str, ...] = ()
    """Names of its bands, where it has them; empty texts: as in the files."""
    colours: tuple[str, ...] = ()
    """Colour interpretation of its bands, where it has one; empty texts: as in the files."""
    warnings: tuple[str, ...] = ()
    """Warnings about its georeference."""
