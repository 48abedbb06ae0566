"""A volume at a glance: sections through its middle, and what was found on them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image, ImageDraw, ImageFont

from pipeline.core.quantise import NODATA
from pipeline.outputs.atomic import write_atomically

_EDGE = 520
"""Longer side of a section in the picture."""
_TINT = 0.45
_PAPER, _INK, _EMPTY = (24, 26, 30), (236, 238, 240), (66, 66, 66)
_GAP, _TITLE = 12, 26


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeSection:
    """One section through a volume."""

    title: str
    """What it is."""
    amplitude: Float32[np.ndarray, "rows cols"]
    """Samples down, or crosslines of a time slice."""
    low: float
    """Amplitude that is black."""
    high: float
    """Amplitude that is white."""
    mask: UInt8[np.ndarray, "rows cols"]
    """Class values, 0 for none, 255 for no data."""
    colours: tuple[str, ...]
    """Colour of each class, ``#rrggbb``."""


def draw_sections(path: Path, sections: list[VolumeSection]) -> None:
    """Write sections beside each other as PNG, what was found as a tint.

    Raises:
        ExportError: The file could not be written.
    """
    pictures = [_picture(section) for section in sections]
    width = sum(picture.width for picture in pictures) + _GAP * (len(pictures) + 1)
    height = max(picture.height for picture in pictures) + 2 * _GAP + _TITLE
    page = Image.new("RGB", (width, height), _PAPER)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(size=14)
    left = _GAP
    for section, picture in zip(sections, pictures, strict=True):
        draw.text((left, _GAP), section.title, fill=_INK, font=font)
        page.paste(picture, (left, _GAP + _TITLE))
        left += picture.width + _GAP
    with write_atomically(path) as part:
        page.save(part, format="PNG")


def _picture(section: VolumeSection) -> Image.Image:
    share = (section.amplitude - section.low) / (section.high - section.low)
    grey = np.clip(np.nan_to_num(share), 0, 1) * 255
    pixels = np.repeat(grey[..., None], 3, axis=2)
    for value, colour in enumerate(section.colours, start=1):
        here = section.mask == value
        tint = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)], np.float32)
        pixels[here] = (1 - _TINT) * pixels[here] + _TINT * tint
    pixels[section.mask == NODATA] = _EMPTY
    picture = Image.fromarray(np.rint(pixels).astype(np.uint8))
    scale = _EDGE / max(picture.size)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    way = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS
    return picture.resize((max(size[0], 120), size[1]), way)
