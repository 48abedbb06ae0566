"""The formats in which a scene's polygons leave, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, get_args

from pipeline.core.footprints import Footprints
from pipeline.outputs.attributes import Written
from pipeline.outputs.provenance import Provenance

FormatName = Literal["geojson", "geojsonl", "parquet", "fgb", "gpkg", "pmtiles"]
"""A format by the suffix of its file."""
FORMATS: tuple[FormatName, ...] = get_args(FormatName)
"""All formats, in the order in which they are written."""

Write = Callable[[Path, Iterable[Footprints], Provenance], Written]


def file_name(name: FormatName) -> str:
    """Return what the file of a format is called."""
    return f"polygons.{name}"


def writer(name: FormatName) -> Write:
    """Return what writes a format."""
    from pipeline.outputs.flatgeobuf import write_flatgeobuf
    from pipeline.outputs.geojson import write_geojson, write_geojsonl
    from pipeline.outputs.geopackage import write_geopackage
    from pipeline.outputs.geoparquet import write_geoparquet
    from pipeline.outputs.pmtiles import write_pmtiles

    writers: dict[FormatName, Write] = {
        "geojson": write_geojson,
        "geojsonl": write_geojsonl,
        "parquet": write_geoparquet,
        "fgb": write_flatgeobuf,
        "gpkg": write_geopackage,
        "pmtiles": write_pmtiles,
    }
    return writers[name]
