"""Validation of output files against their formats."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from pipeline.labels.json_stream import members, parse
from pipeline.validation.coco import check_coco
from pipeline.validation.cog import check_cog
from pipeline.validation.flatgeobuf import check_flatgeobuf
from pipeline.validation.geojson import check_geojson, check_geojsonl
from pipeline.validation.geopackage import check_geopackage
from pipeline.validation.geoparquet import check_geoparquet
from pipeline.validation.pmtiles import check_pmtiles
from pipeline.validation.segy import check_segy
from pipeline.validation.shapefile import check_shapefile
from pipeline.validation.stac import check_stac


def check_file(path: Path) -> list[str]:
    """Return what is wrong with ``path``, a sentence for each broken rule; empty if nothing is.

    The format is known by the name, and for ``.json`` by the content. Every byte is read,
    in bounded memory.
    """
    if not path.is_file():
        return ["there is no such file"]
    check = CHECKS.get(path.suffix.lower())
    if check is None:
        return [f"{path.suffix or 'no suffix'}: none of {', '.join(sorted(CHECKS))}"]
    try:
        return check(path)
    except OSError as error:
        return [f"not readable: {error}"]


def _check_json(path: Path) -> list[str]:
    try:
        # Past what stands first, only the keys matter.
        keys = {key for key, _ in members(path, "features")}
    except ValueError as error:
        return [f"not readable as JSON: {error}"]
    if path.name.endswith(".coco.json") or {"images", "annotations"} <= keys:
        return check_coco(path)
    if "stac_version" in keys:
        return check_stac(path)
    return check_geojson(path) if "features" in keys else []


def _check_json_lines(path: Path) -> list[str]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                parse(line)
            except ValueError as error:
                return [f"line {number} is not JSON: {error}"]
    return []


def _check_png(path: Path) -> list[str]:
    try:
        with warnings.catch_warnings(), Image.open(path) as picture:
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture.load()
            return [] if picture.format == "PNG" else [f"{picture.format}, not PNG"]
    except (UnidentifiedImageError, SyntaxError, ValueError, UserWarning, RuntimeWarning) as error:
        return [f"not readable as PNG: {error}"]


CHECKS: dict[str, Callable[[Path], list[str]]] = {
    ".tif": check_cog,
    ".tiff": check_cog,
    ".geojson": check_geojson,
    ".geojsonl": check_geojsonl,
    ".parquet": check_geoparquet,
    ".fgb": check_flatgeobuf,
    ".gpkg": check_geopackage,
    ".pmtiles": check_pmtiles,
    ".zip": check_shapefile,
    ".json": _check_json,
    ".jsonl": _check_json_lines,
    ".png": _check_png,
    ".sgy": check_segy,
}
"""The check of each format, by suffix."""
