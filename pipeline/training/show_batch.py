"""What the network will see of a batch, drawn: inputs, targets and weights, a row a crop.

::

             input   building   interior   weight
    crop 1   [    ]  [       ]  [       ]  [      ]
    crop 2   [    ]  [       ]  [       ]  [      ]
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pipeline.outputs.atomic import replacing
from pipeline.training.batches import Batch

CELL = (224, 448)
"""Least and largest edge of a crop in the picture: small ones are enlarged, each pixel alike."""
MOST = 16
"""Crops that are drawn at most."""
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
    with replacing(path) as part:
        drawn(batch, names=names).save(part, "PNG")


def drawn(batch: Batch, *, names: Sequence[str] = ()) -> Image.Image:
    """Return the picture of a batch; targets lie over a gray copy of their input."""
    images = np.clip(np.rint((batch.image.cpu().numpy() + 1.0) * 127.5), 0, 255).astype(np.uint8)
    targets, weights = batch.target.cpu().numpy() > 0.5, batch.weight.cpu().numpy()
    count, channels = min(len(images), MOST), targets.shape[1]
    crop = images.shape[2]
    cell = crop * max(1, CELL[0] // crop) if crop < CELL[0] else min(crop, CELL[1])
    largest = max(float(weights.max(initial=0.0)), 1.0)
    titles = ["input", *_titles(names, channels), "weight"]
    width = LEFT + len(titles) * (cell + GAP)
    picture = Image.new("RGB", (width, HEAD + count * (cell + GAP) + FOOT), PAPER)
    pen, bold, plain = ImageDraw.Draw(picture), _font(17), _font(13)
    for column, title in enumerate(titles):
        pen.text((LEFT + column * (cell + GAP), 8), title, INK, bold)
    for row in range(count):
        top = HEAD + row * (cell + GAP)
        image = images[row].transpose(1, 2, 0)
        cells = [image, *(_marked(image, mask) for mask in targets[row])]
        for column, pixels in enumerate([*cells, _weighed(weights[row], largest)]):
            shown = Image.fromarray(pixels).resize((cell, cell), Image.Resampling.NEAREST)
            picture.paste(shown, (LEFT + column * (cell + GAP), top))
        _tell(pen, top, (bold, plain), row=row, target=targets[row], weight=weights[row])
    _legend(picture, pen, plain, largest=largest)
    return picture


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
    out = ramp((weight - 1.0) / max(largest - 1.0, 1e-6))
    rows, cols = np.indices(weight.shape)
    stripes = np.where((rows + cols) // 4 % 2 == 0, 30, 150)[..., None]
    return np.asarray(np.where(weight[..., None] > 0, out, stripes), np.uint8)


def ramp(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return colours of values from 0 to 1, (..., 3)."""
    at = np.linspace(0.0, 1.0, len(RAMP))
    inside = np.clip(values, 0.0, 1.0)
    return np.stack([np.interp(inside, at, RAMP[:, band]) for band in range(3)], axis=-1)


def _tell(
    pen: ImageDraw.ImageDraw,
    top: int,
    fonts: tuple[
        ImageFont.FreeTypeFont | ImageFont.ImageFont, ImageFont.FreeTypeFont | ImageFont.ImageFont
    ],
    *,
    row: int,
    target: NDArray[np.bool_],
    weight: NDArray[np.float32],
) -> None:
    """Write beside a row how much of it is what."""
    lines = [f"target {100 * target[0].mean():.0f} %"]
    unknown = 100 * float((weight == 0).mean())
    if unknown > 0:
        lines.append(f"unknown {unknown:.0f} %")
    pen.text((10, top), f"crop {row + 1}", INK, fonts[0])
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
        strip = ramp(np.linspace(0, 1, wide, dtype=np.float32))[None].repeat(14, axis=0)
        picture.paste(Image.fromarray(strip.astype(np.uint8)), (left, top))
        pen.text((left + wide + 8, top - 1), f"weight 1 to {largest:.1f}", INK, font)
    else:
        pen.rectangle((left, top, left + 14, top + 14), tuple(RAMP[0].tolist()))
        pen.text((left + 22, top - 1), "weight 1", INK, font)
    left += wide + 130
    blank = _weighed(np.zeros((14, 28), np.float32), 1.0)
    picture.paste(Image.fromarray(blank), (left, top))
    pen.text((left + 36, top - 1), "unknown: weight 0", INK, font)
