"""What each output is to a catalogue."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.outputs.provenance import Provenance
from pipeline.outputs.rasters.mosaic import NODATA, PROBABILITY_STEP

_COG = "image/tiff; application=geotiff; profile=cloud-optimized"


@dataclass(frozen=True, slots=True)
class AssetKind:
    """What an output is to a catalogue."""

    key: str
    """Its name among the item's assets."""
    media_type: str
    """Media type as STAC's best practices spell it."""
    role: str
    """STAC role."""
    title: str
    """What people read."""


KINDS = {
    "mask.tif": AssetKind("mask", _COG, "data", "Mask of classes"),
    "probability.tif": AssetKind("probability", _COG, "data", "Probability"),
    "interior.tif": AssetKind("interior", _COG, "data", "Probability of lying inside an object"),
    "polygons.geojson": AssetKind("geojson", "application/geo+json", "data", "Polygons in WGS 84"),
    "polygons.geojsonl": AssetKind(
        "geojsonl", "application/geo+json-seq", "data", "Polygons in WGS 84, one a line"
    ),
    "polygons.parquet": AssetKind(
        "geoparquet",
        "application/vnd.apache.parquet",
        "data",
        "Polygons in the scene's reference system",
    ),
    "polygons.fgb": AssetKind(
        "flatgeobuf",
        "application/vnd.flatgeobuf",
        "data",
        "Polygons in the scene's reference system, indexed",
    ),
    "polygons.gpkg": AssetKind(
        "geopackage",
        "application/geopackage+sqlite3",
        "data",
        "Polygons in the scene's reference system, styled for QGIS",
    ),
    "polygons.shp.zip": AssetKind(
        "shapefile", "application/zip", "data", "Polygons in the scene's reference system, zipped"
    ),
    "polygons.pmtiles": AssetKind(
        "pmtiles", "application/vnd.pmtiles", "data", "Polygons as tiles"
    ),
    "polygons.coco.json": AssetKind("coco", "application/json", "data", "Polygons in pixels"),
    "mask.qml": AssetKind("mask_style", "application/xml", "metadata", "QGIS style of the mask"),
    "polygons.qml": AssetKind(
        "polygon_style", "application/xml", "metadata", "QGIS style of the polygons"
    ),
    "quicklook.png": AssetKind("quicklook", "image/png", "overview", "Quicklook"),
    "run.json": AssetKind("run", "application/json", "metadata", "Manifest"),
    "report.json": AssetKind("report", "application/json", "metadata", "Scores"),
    "report.html": AssetKind("report_page", "text/html", "metadata", "Report"),
}
"""Outputs by file name."""


def asset(file: Path, provenance: Provenance) -> dict[str, Any]:
    """Return a finished output as a STAC asset, linked by its name alone.

    Raises:
        KeyError: The file is not named as in `KINDS`.
    """
    kind = KINDS[file.name]
    return {
        "href": f"./{file.name}",
        "type": kind.media_type,
        "title": kind.title,
        "roles": [kind.role],
        "file:size": file.stat().st_size,
        "file:checksum": multihash(file),
        **_pixels(file.name, provenance),
    }


def multihash(path: Path) -> str:
    """Return the sha2-256 of a file as a hexadecimal multihash: ``1220`` and the digest."""
    with path.open("rb") as file:
        return "1220" + hashlib.file_digest(file, "sha256").hexdigest()


def _pixels(name: str, provenance: Provenance) -> dict[str, Any]:
    if name == "mask.tif":
        classes = _classes(provenance)
        return {"data_type": "uint8", "nodata": NODATA, "classification:classes": classes}
    if name in ("probability.tif", "interior.tif"):
        return {
            "data_type": "uint8",
            "nodata": NODATA,
            "unit": "1",
            "raster:scale": PROBABILITY_STEP,
            "raster:offset": 0.0,
        }
    return {}


def _classes(provenance: Provenance) -> list[dict[str, Any]]:
    ground = {"value": 0, "name": "background"}
    named = [
        {
            "value": known.value,
            "name": known.name,
            "color_hint": "{:02X}{:02X}{:02X}".format(*known.colour),
        }
        for known in provenance.classes
    ]
    return [ground, *named, {"value": NODATA, "name": "nodata", "nodata": True}]
