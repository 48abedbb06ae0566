"""Drawings of polygons without imagery, for the README: pixels, simplified, regularised.

``python -m benchmarks.drawings DENSE.tif RURAL.tif`` maps the middle of both scenes with
the shipped model and writes ``polygons_dense.png`` and ``polygons_rural.png`` into
``docs/pages/figures``, or where ``--out`` says.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import shapely
from PIL import Image, ImageDraw, ImageFont

from benchmarks._outlines import Outlines, Polygons, mapped
from pipeline.config import load_task
from pipeline.core.outlines import Outline, Rules
from pipeline.core.outlines.nodata import NodataPixels
from pipeline.mapping.outlines import FINEST, rules_of

PANEL = 560
MARGIN = 14
TITLE = 30
FINER = 2
"""Drawn so much larger, then made small: smooth lines."""
PAPER, INK, FILL, WALL, TRUE = "#ffffff", "#222222", "#f4d3b5", "#b5480b", "#3d77b8"


def shaped(found: Outlines) -> dict[str, Polygons]:
    """Return the outlines in each way, by its name."""
    said = load_task("buildings").shape
    tolerance = max(FINEST, (said.tolerance_m or 0.5) / found.pixel_size_m)
    rules = {
        "simplified": Rules(simplify=tolerance, stray=2 * tolerance, least_iou=said.min_iou),
        "regularised": rules_of(tolerance, least_iou=said.min_iou),
    }
    clusters = np.zeros(len(found.outlines), np.int64)
    nobody = np.empty(0, object)
    return {
        "along the pixels": found.outlines,
        "simplified": Outline(kind="simplified", rules=rules["simplified"]).shaped(
            found.outlines, nobody, clusters, NodataPixels()
        )[0],
        "regularised": Outline(kind="regularised", rules=rules["regularised"]).shaped(
            found.outlines, nobody, clusters, NodataPixels()
        )[0],
    }


def panel(shapes: Polygons, truth: Polygons, *, box: tuple[float, ...], title: str) -> Image.Image:
    """Return a drawing of the polygons in a box of the scene, the truth as thin lines."""
    scale = FINER * PANEL / (box[2] - box[0])
    image = Image.new("RGB", (FINER * PANEL, FINER * (PANEL + TITLE)), PAPER)
    draw = ImageDraw.Draw(image)

    def rings(shape: shapely.Polygon) -> list[list[tuple[float, float]]]:
        places = []
        for ring in (shape.exterior, *shape.interiors):
            points = (np.asarray(ring.coords) - box[:2]) * scale + (0, FINER * TITLE)
            places.append([(float(x), float(y)) for x, y in points])
        return places

    west, north, east, south = box
    frame = shapely.box(west, north, east, south)
    for shape in shapes[shapely.intersects(shapes, frame)]:
        for number, ring in enumerate(rings(shape)):
            draw.polygon(ring, fill=PAPER if number else FILL)
    for shape in shapes[shapely.intersects(shapes, frame)]:
        for ring in rings(shape):
            draw.line(ring, fill=WALL, width=2 * FINER, joint="curve")
    for shape in truth[shapely.intersects(truth, frame)]:
        for ring in rings(shape):
            draw.line(ring, fill=TRUE, width=FINER)
    draw.rectangle((0, 0, FINER * PANEL, FINER * TITLE), fill=PAPER)
    corners = shapely.get_num_coordinates(shapes[shapely.intersects(shapes, frame)]).mean() - 1
    text = f"{title}: {corners:.0f} corners a polygon"
    draw.text((0, 4), text, INK, font=ImageFont.load_default(18 * FINER))
    return image.resize((PANEL, PANEL + TITLE), Image.Resampling.LANCZOS)


def drawing(found: Outlines, *, side_m: float) -> Image.Image:
    """Return the same ground in each way, side by side: where most polygons are."""
    side = side_m / found.pixel_size_m
    middles = shapely.get_coordinates(shapely.centroid(found.outlines))
    near = np.abs(middles[:, None] - middles[None]).max(axis=2) < side / 2
    middle = middles[int(near.sum(axis=1).argmax())]
    # Nothing is known past the crop.
    bounds = shapely.bounds(found.outlines)
    low, high = bounds[:, :2].min(axis=0) + side / 2, bounds[:, 2:].max(axis=0) - side / 2
    middle = np.clip(middle, low, np.maximum(low, high))
    box = (*(middle - side / 2).tolist(), *(middle + side / 2).tolist())
    panels = [
        panel(shapes, found.truth, box=box, title=title) for title, shapes in shaped(found).items()
    ]
    sheet = Image.new("RGB", (len(panels) * (PANEL + MARGIN) - MARGIN, PANEL + TITLE), PAPER)
    for place, each in enumerate(panels):
        sheet.paste(each, (place * (PANEL + MARGIN), 0))
    return sheet


def main() -> None:
    """Draw a dense and a rural crop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dense", type=Path)
    parser.add_argument("rural", type=Path)
    parser.add_argument("--crop", type=int, default=1100)
    parser.add_argument("--out", type=Path, default=Path("docs/pages/figures"))
    chosen = parser.parse_args()
    for name, scene, side_m in (("dense", chosen.dense, 70), ("rural", chosen.rural, 90)):
        with tempfile.TemporaryDirectory() as folder:
            found = mapped(scene, crop=chosen.crop, folder=Path(folder))
        sheet = drawing(found, side_m=side_m).quantize(32)
        sheet.save(chosen.out / f"polygons_{name}.png", optimize=True)
        print(chosen.out / f"polygons_{name}.png")


if __name__ == "__main__":
    main()
