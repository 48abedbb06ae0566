"""Objects of a COCO file, for images that have no place on the Earth."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Any

import numpy as np
import shapely
from jaxtyping import UInt8

from pipeline.errors import ConfigError
from pipeline.labels.clean import cleaned
from pipeline.labels.geojson import Json
from pipeline.labels.objects import Grid, Objects
from pipeline.labels.raster import polygons_of
from pipeline.labels.repair import several
from pipeline.labels.vectors import Vectors


def read_coco(path: Path, value: dict[str, Any], *, image: str | None) -> Objects:
    """Return the annotations of one image of a COCO file.

    Args:
        path: The file, for messages.
        value: Its content.
        image: File name or stem of the image; may be left out where there is only one.

    Raises:
        ConfigError: The image is not in it, or an annotation is damaged.
    """
    try:
        about = _image(path, value.get("images", []), image)
        grid = Grid(height=int(about["height"]), width=int(about["width"]), georef=None)
        named = {
            one["id"]: str(one["name"]) for one in value.get("categories", []) if "name" in one
        }
        mine = [one for one in value["annotations"] if one["image_id"] == about["id"]]
        crowds = sum(bool(one.get("iscrowd")) for one in mine)
        mine = [one for one in mine if not one.get("iscrowd")]
        shapes = np.empty(len(mine), object)
        for row, one in enumerate(mine):
            shapes[row] = _shape(one["segmentation"], grid)
    except KeyError as error:
        raise ConfigError(
            f"{path}: a part of it has no {error.args[0]!r}, so it is not usable as COCO; export "
            "it with images, annotations and their segmentation (boxes alone are no outlines)"
        ) from error
    except (TypeError, ValueError, IndexError) as error:
        raise ConfigError(
            f"{path}: it is not usable as COCO ({error!r}); export it again"
        ) from error
    columns: dict[str, list[Any]] = {"id": [one.get("uid", one.get("id")) for one in mine]}
    if named:
        columns["class"] = [named.get(one.get("category_id"), "") for one in mine]
    if mine and all("score" in one for one in mine):
        columns["confidence"] = [one["score"] for one in mine]
    notes = (f"{several(crowds, 'crowd annotation')} left out",) if crowds else ()
    return cleaned(
        Vectors(source=str(path), geometry=shapes, crs=None, columns=columns, notes=notes),
        grid=grid,
    )


def _image(path: Path, images: list[dict[str, Any]], wanted: str | None) -> dict[str, Any]:
    if len(images) == 1 and wanted is None:
        return images[0]
    stems = {PurePath(str(one.get("file_name", ""))).stem: one for one in images}
    stem = PurePath(wanted or "").name
    found = stems.get(stem) or stems.get(PurePath(stem).stem)
    if found is None and len(images) == 1:
        return images[0]
    if found is None:
        raise ConfigError(
            f"{path}: none of its {len(images)} images is called {wanted!r}; "
            "name the predictions' folder after the image"
        )
    return found


def _shape(segmentation: Json, grid: Grid) -> Json:
    if isinstance(segmentation, dict):
        mask = decoded(segmentation)
        if mask.shape != (grid.height, grid.width):
            raise ValueError(f"a mask of {mask.shape} in an image of {grid.height, grid.width}")
        shapes, _ = polygons_of(mask)
        return shapely.union_all(shapes)
    rings = [np.asarray(ring, np.float64).reshape(-1, 2) for ring in segmentation]
    parts = [shapely.make_valid(shapely.Polygon(ring)) for ring in rings if len(ring) >= 3]
    return parts[0] if len(parts) == 1 else shapely.union_all(parts)


def decoded(code: dict[str, Any]) -> UInt8[np.ndarray, "rows cols"]:
    """Return the mask of a run-length code: counts of 0, 1, 0, ... down the columns.

    ``counts`` is a list, or COCO's text: six bits a character, five of them value,
    low ones first, from the third count on as difference to the last but one.
    Source: maskApi.c of the COCO API, rleFrString.
    """
    height, width = (int(side) for side in code["size"])
    counts = code["counts"]
    if isinstance(counts, str):
        counts = _counts(counts)
    lengths = np.asarray(counts, np.int64)
    if (lengths < 0).any() or lengths.sum() != height * width:
        raise ValueError(f"runs of {lengths.sum()} pixels in a mask of {height * width}")
    values = np.arange(len(lengths)) % 2
    return np.repeat(values, lengths).astype(np.uint8).reshape(width, height).T.copy()


def _counts(text: str) -> list[int]:
    counts: list[int] = []
    place = 0
    while place < len(text):
        value = shift = 0
        more = True
        while more:
            letter = ord(text[place]) - 48
            value |= (letter & 0x1F) << shift
            shift += 5
            place += 1
            more = bool(letter & 0x20)
            if not more and letter & 0x10:
                value |= -1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
    return counts
