"""Pictures to see at a glance what was mapped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from jaxtyping import Int32, Shaped, UInt8
from PIL import Image, ImageDraw, ImageFont

from pipeline.outputs.atomic import write_atomically
from pipeline.outputs.provenance import MapClass
from pipeline.outputs.rasters.mosaic import NODATA

WIDEST = 1600
_FINER = 2  # lines are drawn this much larger, then shrunk: smooth edges
_HAIR = 2.5  # wider lines have round corners
_TINT = 0.30
_DARK, _LIGHT = 58, 74  # the checkers that stand for no data
_HALO = (8, 10, 14)
_PAPER, _INK = (24, 26, 30), (236, 238, 240)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A scene made small, and what was found in it."""

    rgb: UInt8[np.ndarray, "3 rows cols"]
    """The scene."""
    mask: UInt8[np.ndarray, "rows cols"]
    """Class values, 0 for none, 255 for no data."""
    polygons: Shaped[np.ndarray, " n"]
    """Shapely polygons in pixels of ``rgb``."""
    labels: Int32[np.ndarray, " n"]
    """The class value of each polygon."""
    classes: tuple[MapClass, ...]
    """The classes and their colours."""


def quicklook(path: Path, view: View) -> None:
    """Write the scene with tinted mask and outlined polygons as PNG, 1600 px wide at most.

    Raises:
        ExportError: The file could not be written.
    """
    _save(path, mapped(view))


def demo_picture(path: Path, view: View, *, caption: str) -> None:
    """Write the scene and, to its right, the scene with what was found, over a caption.

    Raises:
        ExportError: The file could not be written.
    """
    left, right = _scene(view), mapped(view)
    gap = max(4, left.width // 120)
    letters = max(13, left.width // 38)
    font = ImageFont.load_default(size=letters)
    band = round(letters * 2.2)
    page = Image.new("RGB", (2 * left.width + 3 * gap, left.height + gap + band), _PAPER)
    page.paste(left, (gap, gap))
    page.paste(right, (left.width + 2 * gap, gap))
    middle = (page.width // 2, left.height + gap + band // 2)
    ImageDraw.Draw(page).text(middle, caption, fill=_INK, font=font, anchor="mm")
    _save(path, page)


def mapped(view: View) -> Image.Image:
    """Return the scene with its mask as a tint and its polygons as haloed lines."""
    picture = _scene(view, tint=True)
    scale = picture.width / view.rgb.shape[2]
    boxes = shapely.bounds(view.polygons) if len(view.polygons) else np.zeros((0, 4))
    sides = scale * np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1))
    # A line that suits the size of what it surrounds: hair-thin over a whole town.
    line = float(np.clip(np.median(sides) / 14, 0.7, 2.4)) if len(sides) else 1.0
    colours = {known.value: known.colour for known in view.classes}
    lit = {value: _lit(colour) for value, colour in colours.items()}
    halo = _lines(view, picture.size, width=line + 1.6, colours=dict.fromkeys(colours, _HALO))
    bright = _lines(view, picture.size, width=line, colours=lit)
    halo.putalpha(halo.getchannel("A").point(lambda alpha: alpha * 3 // 4))
    return Image.alpha_composite(
        Image.alpha_composite(picture.convert("RGBA"), halo), bright
    ).convert("RGB")


def _scene(view: View, *, tint: bool = False) -> Image.Image:
    rows, cols = view.mask.shape
    pixels = np.moveaxis(view.rgb, 0, 2).astype(np.float32)
    if tint:
        for known in view.classes:
            here = view.mask == known.value
            pixels[here] = (1 - _TINT) * pixels[here] + _TINT * np.array(known.colour, np.float32)
    cell = max(4, cols // 120)
    checkers = (np.arange(rows)[:, None] // cell + np.arange(cols) // cell) % 2
    empty = view.mask == NODATA
    pixels[empty] = np.where(checkers, _LIGHT, _DARK)[empty][:, None]
    picture = Image.fromarray(np.rint(pixels).astype(np.uint8))
    if cols <= WIDEST:
        return picture
    return picture.resize((WIDEST, max(1, round(rows * WIDEST / cols))), Image.Resampling.LANCZOS)


def _lines(
    view: View, size: tuple[int, int], *, width: float, colours: dict[int, tuple[int, int, int]]
) -> Image.Image:
    fine = Image.new("RGBA", (size[0] * _FINER, size[1] * _FINER), (0, 0, 0, 0))
    draw = ImageDraw.Draw(fine)
    scale = np.array(fine.size) / view.mask.shape[::-1]
    rings, owners = shapely.get_rings(view.polygons, return_index=True)
    points, places = shapely.get_coordinates(rings, return_index=True)
    ways, cuts = points * scale, np.searchsorted(places, np.arange(len(rings) + 1)).tolist()
    # Round corners take two thirds of the time, and show on lines of some width only.
    joint = "curve" if width > _HAIR else None
    for place, label in enumerate(view.labels[owners].tolist()):
        way = ways[cuts[place] : cuts[place + 1]]
        # The second point again, so that the last corner is joined like the others.
        flat = np.concatenate([way, way[1:2]]).ravel().tolist()
        draw.line(flat, fill=colours[label], width=max(1, round(width * _FINER)), joint=joint)
    return fine.resize(size, Image.Resampling.BOX)


def _lit(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    red, green, blue = (round(0.8 * channel + 0.2 * 255) for channel in colour)
    return red, green, blue


def _save(path: Path, picture: Image.Image) -> None:
    with write_atomically(path) as part:
        picture.save(part, format="PNG")
