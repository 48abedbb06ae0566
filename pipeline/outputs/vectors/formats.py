"""The formats in which a scene's polygons leave, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, get_args

from pipeline.core.polygons.footprints import Footprints
from pipeline.outputs.provenance import Provenance
from pipeline.outputs.vectors.attributes import Written

FormatName = Literal["geojson", "geojsonl", "parquet", "fgb", "gpkg", "shapefile", "pmtiles"]
"""A format's name: in commands, task files and region files alike."""
FORMATS: tuple[FormatName, ...] = get_args(FormatName)
"""All formats, in the order in which they are written."""

_OTHER_NAMES = {
    "flatgeobuf": "fgb",
    "geopackage": "gpkg",
    "geoparquet": "parquet",
    "json": "geojson",
    "ndjson": "geojsonl",
    "shp": "shapefile",
    "shz": "shapefile",
}
_SUFFIXES: dict[FormatName, str] = {"shapefile": ".shp.zip"}

Write = Callable[[Path, Iterable[Footprints], Provenance], Written]


def file_name(name: FormatName, *, stem: str = "polygons") -> str:
    """Return what the file of a format is called."""
    return f"{stem}{_SUFFIXES.get(name, f'.{name}')}"


def known_format(name: str) -> str:
    """Return the name of a format that is known by others too, such as GDAL's FlatGeobuf."""
    return _OTHER_NAMES.get(name.lower(), name)


def unknown_format(name: str, *, also: tuple[str, ...] = ()) -> str | None:
    """Return what is wrong with a name that is no format's; None where it is one.

    Args:
        name: What was written.
        also: Names that are known there beside the formats'.
    """
    if known_format(name) in (*FORMATS, *also):
        return None
    hint = f"; write {name.lower()!r}" if name.lower() in (*FORMATS, *also) else ""
    return f"{name!r} is none of {', '.join((*FORMATS, *also))}{hint}"


def writer(name: FormatName) -> Write:
    """Return what writes a format."""
    from pipeline.outputs.vectors.flatgeobuf import write_flatgeobuf
    from pipeline.outputs.vectors.geojson import write_geojson, write_geojsonl
    from pipeline.outputs.vectors.geopackage import write_geopackage
    from pipeline.outputs.vectors.geoparquet import write_geoparquet
    from pipeline.outputs.vectors.pmtiles import write_pmtiles
    from pipeline.outputs.vectors.shapefile import write_shapefile

    writers: dict[FormatName, Write] = {
        "geojson": write_geojson,
        "geojsonl": write_geojsonl,
        "parquet": write_geoparquet,
        "fgb": write_flatgeobuf,
        "gpkg": write_geopackage,
        "shapefile": write_shapefile,
        "pmtiles": write_pmtiles,
    }
    return writers[name]
