"""What the network will see of a batch, drawn: inputs, targets and weights, a row a crop.

::

             input   building   interior   weight
    crop 1   [    ]  [       ]  [       ]  [      ]
    crop 2   [    ]  [       ]  [       ]  [      ]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pipeline.outputs.atomic import write_atomically
from pipeline.training.data.batches import Batch

CELL = (224, 448)
"""Least and largest edge of a crop in the picture: small ones are enlarged, each pixel alike."""
MOST = 16
"""Crops that are drawn at most; of volumes a third of it, with three sections each."""
SECTIONS = ("inline", "crossline", "time")
"""What a section through the middle of a volume's crop is called, by the axis it stands on."""
GAP, HEAD, LEFT, FOOT = 8, 34, 104, 44
PAPER, INK, SOFT = (251, 250, 247), (34, 38, 43), (93, 102, 112)
MARK, EDGE = (255, 64, 176), (255, 255, 255)
"""Pink and its white edge: a hue that ground, roofs and plants do not have."""
RAMP = np.array([(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)])
"""Weights from 1 to the largest, dark to light."""


def show_batch(batch: Batch, path: Path, *, names: Sequence[str] = ()) -> None:
    """Write a picture of a batch as PNG.

    Args:
        batch: What a step learns from.
        path: The file to be.
        names: What the target's channels are called.

    Raises:
        ExportError: The file could not be written.
    """
    with write_atomically(path) as part:
        draw_batch_picture(batch, names=names).save(part, "PNG")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Row:
    """One row of the picture: a crop, or a section through one."""

    name: str
    """What stands beside it."""
    image: NDArray[np.uint8]
    """(rows, cols, 3)."""
    target: NDArray[np.bool_]
    """(channels, rows, cols)."""
    weight: NDArray[np.float32]
    """(rows, cols)."""


def draw_batch_picture(batch: Batch, *, names: Sequence[str] = ()) -> Image.Image:
    """Return the picture of a batch; targets lie over a gray copy of their input."""
    rows = rows_of(batch)
    largest = max([1.0, *(float(row.weight.max(initial=0.0)) for row in rows)])
    titles = ["input", *_titles(names, batch.target.shape[1]), "weight"]
    cells = [_cell(row.weight.shape) for row in rows]
    wide = max(width for _, width in cells)
    tops = [HEAD + sum(high + GAP for high, _ in cells[:at]) for at in range(len(cells) + 1)]
    picture = Image.new("RGB", (LEFT + len(titles) * (wide + GAP), tops[-1] + FOOT), PAPER)
    pen, bold, plain = ImageDraw.Draw(picture), _font(17), _font(13)
    for column, title in enumerate(titles):
        pen.text((LEFT + column * (wide + GAP), 8), title, INK, bold)
    for row, top, (high, width) in zip(rows, tops, cells, strict=False):
        shown = [row.image, *(_marked(row.image, mask) for mask in row.target)]
        for column, pixels in enumerate([*shown, _weighed(row.weight, largest)]):
            cell = Image.fromarray(pixels).resize((width, high), Image.Resampling.NEAREST)
            picture.paste(cell, (LEFT + column * (wide + GAP), top))
        _report(pen, top, (bold, plain), row)
    _legend(picture, pen, plain, largest=largest)
    return picture


def rows_of(batch: Batch) -> list[Row]:
    """Return a row a crop of pictures; of volumes three: the middle section along each axis."""
    images = np.clip(np.rint((batch.image.cpu().numpy() + 1.0) * 127.5), 0, 255).astype(np.uint8)
    targets, weights = batch.target.cpu().numpy() > 0.5, batch.weight.cpu().numpy()
    if images.ndim == 4:
        return [
            Row(
                name=f"crop {at + 1}",
                image=images[at].transpose(1, 2, 0),
                target=targets[at],
                weight=weights[at],
            )
            for at in range(min(len(images), MOST))
        ]
    rows = []
    for at in range(min(len(images), MOST // len(SECTIONS))):
        for axis, section in enumerate(SECTIONS):
            # Samples go down in the upright ones, inlines in the level one.
            middle = images.shape[2 + axis] // 2
            image, target, weight = (
                np.moveaxis(one.take(middle, axis=axis - 3), -1, -2) if axis < 2
                else one.take(middle, axis=axis - 3)
                for one in (images[at, 0], targets[at], weights[at])
            )  # fmt: skip
            gray = np.repeat(image[..., None], 3, axis=2)
            rows.append(Row(name=f"{at + 1} {section}", image=gray, target=target, weight=weight))
    return rows


def _cell(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return height and width of a section in the picture: enlarged evenly, or reduced."""
    longest = max(shape)
    if longest < CELL[0]:
        return shape[0] * (CELL[0] // longest), shape[1] * (CELL[0] // longest)
    scale = min(1.0, CELL[1] / longest)
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def _titles(names: Sequence[str], channels: int) -> list[str]:
    return [
        names[channel] if channel < len(names) else f"target {channel + 1}"
        for channel in range(channels)
    ]


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _marked(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return the image in gray, the mask tinted over it and edged in white."""
    gray = image.mean(axis=2, keepdims=True) * 0.75
    out = np.repeat(gray, 3, axis=2)
    out[mask] = 0.45 * out[mask] + 0.55 * np.array(MARK)
    inner = np.pad(mask, 1, mode="edge")
    inner = inner[:-2, 1:-1] & inner[2:, 1:-1] & inner[1:-1, :-2] & inner[1:-1, 2:]
    out[mask & ~inner] = EDGE
    return np.asarray(out, np.uint8)


def _weighed(weight: NDArray[np.float32], largest: float) -> NDArray[np.uint8]:
    """Return weights as colours; black and gray stripes where nothing is known."""
    out = colour_ramp((weight - 1.0) / max(largest - 1.0, 1e-6))
    rows, cols = np.indices(weight.shape)
    stripes = np.where((rows + cols) // 4 % 2 == 0, 30, 150)[..., None]
    return np.asarray(np.where(weight[..., None] > 0, out, stripes), np.uint8)


def colour_ramp(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return colours of values from 0 to 1, (..., 3)."""
    at = np.linspace(0.0, 1.0, len(RAMP))
    inside = np.clip(values, 0.0, 1.0)
    return np.stack([np.interp(inside, at, RAMP[:, band]) for band in range(3)], axis=-1)


def _report(
    pen: ImageDraw.ImageDraw,
    top: int,
    fonts: tuple[
        ImageFont.FreeTypeFont | ImageFont.ImageFont, ImageFont.FreeTypeFont | ImageFont.ImageFont
    ],
    row: Row,
) -> None:
    """Write beside a row how much of it is what."""
    lines = [f"target {100 * row.target[0].mean():.0f} %"]
    unknown = 100 * float((row.weight == 0).mean())
    if unknown > 0:
        lines.append(f"unknown {unknown:.0f} %")
    pen.text((10, top), row.name, INK, fonts[0])
    for number, line in enumerate(lines):
        pen.text((10, top + 24 + 17 * number), line, SOFT, fonts[1])


def _legend(
    picture: Image.Image,
    pen: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    *,
    largest: float,
) -> None:
    """Draw at the bottom what colours mean."""
    top, wide = picture.height - 28, 160
    pen.rectangle((LEFT, top, LEFT + 14, top + 14), MARK, EDGE)
    pen.text((LEFT + 22, top - 1), "target", INK, font)
    left = LEFT + 100
    if largest > 1:
        strip = colour_ramp(np.linspace(0, 1, wide, dtype=np.float32))[None].repeat(14, axis=0)
        picture.paste(Image.fromarray(strip.astype(np.uint8)), (left, top))
        pen.text((left + wide + 8, top - 1), f"weight 1 to {largest:.1f}", INK, font)
    else:
        pen.rectangle((left, top, left + 14, top + 14), tuple(RAMP[0].tolist()))
        pen.text((left + 22, top - 1), "weight 1", INK, font)
    left += wide + 130
    blank = _weighed(np.zeros((14, 28), np.float32), 1.0)
    picture.paste(Image.fromarray(blank), (left, top))
    pen.text((left + 36, top - 1), "unknown: weight 0", INK, font)
