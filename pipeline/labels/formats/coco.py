"""Objects of a COCO file, for images that are not georeferenced.

Annotations are taken one by one, and masks decoded within the box of their pixels alone.
"""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Any

import numpy as np
import shapely
from jaxtyping import Int64, UInt8

from pipeline.errors import ConfigError
from pipeline.labels.clean import clean_polygons
from pipeline.labels.formats.raster import polygons_of
from pipeline.labels.json_text import Json
from pipeline.labels.limits import Count, Limits
from pipeline.labels.objects import Objects, PixelGrid
from pipeline.labels.repair import count_noun
from pipeline.labels.vectors import Vectors

MOST_PIXELS = 2**34
"""Largest image, in pixels."""
_MASK_SHARE = 16
_DIGITS = 64


def read_coco(
    path: Path,
    value: dict[str, Any],
    annotations: list[Any],
    *,
    image: str | None,
    limits: Limits,
) -> Objects:
    """Return the annotations of one image of a COCO file.

    Args:
        path: The file, for messages.
        value: Its members.
        annotations: Its annotations.
        image: File name or stem of the image; may be left out where there is only one.
        limits: How large masks are decoded.

    Raises:
        ConfigError: The image is not in it, or an annotation is damaged or too large.
    """
    try:
        about = _image(path, value.get("images", []), image)
        grid = _grid(about)
        named = {
            one["id"]: str(one["name"]) for one in value.get("categories", []) if "name" in one
        }
        own = [one for one in annotations if one["image_id"] == about["id"]]
        crowds = sum(bool(one.get("iscrowd")) for one in own)
        own = [one for one in own if not one.get("iscrowd")]
        shapes = np.empty(len(own), object)
        for row, one in enumerate(own):
            shapes[row] = _shape(one["segmentation"], grid, limits.memory_bytes // _MASK_SHARE)
        Count(path, limits).add(shapes)
    except KeyError as error:
        raise ConfigError(
            f"{path}: a part of it has no {error.args[0]!r}, so it is not usable as COCO; export "
            "it with images, annotations and their segmentation (boxes alone are no outlines)"
        ) from error
    except (TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        raise ConfigError(f"{path}: it is not usable as COCO ({error}); export it again") from error
    columns: dict[str, list[Any]] = {"id": [one.get("uid", one.get("id")) for one in own]}
    if named:
        columns["class"] = [named.get(one.get("category_id"), "") for one in own]
    if own and all("score" in one for one in own):
        columns["confidence"] = [one["score"] for one in own]
    notes = (f"{count_noun(crowds, 'crowd annotation')} left out",) if crowds else ()
    return clean_polygons(
        Vectors(source=str(path), geometry=shapes, crs=None, columns=columns, notes=notes),
        grid=grid,
    )


def compile_tracing() -> None:
    """Compile what traces masks, or load it: a child process would do so for each file."""
    polygons_of(np.ones((1, 1), np.uint8))


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


def _grid(about: dict[str, Any]) -> PixelGrid:
    """Return the pixels of an image.

    Raises:
        ValueError: It has none, or more than the limit.
    """
    height, width = int(about["height"]), int(about["width"])
    if min(height, width) < 1 or height * width > MOST_PIXELS:
        raise ValueError(f"an image of {height} x {width} pixels; the limit is {MOST_PIXELS:,}")
    return PixelGrid(height=height, width=width, georef=None)


def _shape(segmentation: Json, grid: PixelGrid, most_pixels: int) -> Json:
    if isinstance(segmentation, dict):
        return _traced(segmentation, grid, most_pixels)
    rings = [np.asarray(ring, np.float64).reshape(-1, 2) for ring in segmentation]
    parts = [shapely.make_valid(shapely.Polygon(ring)) for ring in rings if len(ring) >= 3]
    return parts[0] if len(parts) == 1 else shapely.union_all(parts)


def _traced(code: dict[str, Any], grid: PixelGrid, most_pixels: int) -> Json:
    """Return the outline of a mask, decoded within the box of its pixels.

    Raises:
        ValueError: It is damaged, of another size than the image, or its box is too large.
    """
    size, lengths = _runs(code)
    if size != (grid.height, grid.width):
        raise ValueError(f"a mask of {size} in an image of {grid.height, grid.width}")
    ends = np.cumsum(lengths)
    inside = (np.arange(len(lengths)) % 2 == 1) & (lengths > 0)
    if not inside.any():
        return shapely.union_all([])
    start, end = (ends - lengths)[inside], ends[inside]
    left, right = int(start[0]) // grid.height, (int(end[-1]) - 1) // grid.height
    top, bottom = 0, grid.height - 1
    if (start // grid.height == (end - 1) // grid.height).all():  # none goes on in a next column
        top, bottom = int((start % grid.height).min()), int(((end - 1) % grid.height).max())
    rows, cols = bottom - top + 1, right - left + 1
    if rows * cols > most_pixels:
        raise ValueError(f"a mask over {rows} x {cols} pixels; the limit is {most_pixels:,}")
    first = (start // grid.height - left) * rows + start % grid.height - top
    mask = np.zeros(rows * cols + 1, np.int8)
    mask[first] += 1
    mask[first + end - start] -= 1
    np.cumsum(mask, out=mask)
    shapes, _ = polygons_of(mask[:-1].reshape(cols, rows).T.astype(np.uint8, order="C"))
    corner = np.array([left, top])
    return shapely.transform(shapely.union_all(shapes), lambda points: points + corner)


def _runs(code: dict[str, Any]) -> tuple[tuple[int, int], Int64[np.ndarray, " runs"]]:
    """Return height and width of a mask and the lengths of its runs: 0, 1, 0, ... down columns.

    Raises:
        ValueError: They do not fill it.
    """
    height, width = (int(side) for side in code["size"])
    counts = code["counts"]
    lengths = np.asarray(_counts(counts) if isinstance(counts, str) else counts, np.int64)
    pixels = height * width
    if (lengths < 0).any() or (lengths > pixels).any() or lengths.sum(dtype=float) != pixels:
        raise ValueError(f"runs of {lengths.sum()} pixels in a mask of {pixels}")
    return (height, width), lengths


def decoded(code: dict[str, Any]) -> UInt8[np.ndarray, "rows cols"]:
    """Return the mask of a run-length code: counts of 0, 1, 0, ... down the columns.

    ``counts`` is a list, or COCO's text: six bits a character, five of them value,
    low ones first, from the third count on as difference to the last but one.
    Source: maskApi.c of the COCO API, rleFrString.
    """
    (height, width), lengths = _runs(code)
    values = (np.arange(len(lengths)) % 2).astype(np.uint8)
    return np.repeat(values, lengths).reshape(width, height).T.copy()


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
            if shift > _DIGITS:
                raise ValueError("a run of more than 64 bits")
            place += 1
            more = bool(letter & 0x20)
            if not more and letter & 0x10:
                value |= -1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
    return counts
