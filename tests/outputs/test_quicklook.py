"""Pictures: of the promised size, with every polygon to be seen on any ground."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely
from PIL import Image

from pipeline.outputs.provenance import MapClass
from pipeline.outputs.rasters.quicklook import View, demo_picture, mapped, quicklook

CLASSES = (MapClass(value=1, name="building", colour=(255, 170, 30)),)


def _view(height: int, width: int, *, ground: int = 128, polygons: int = 1) -> View:
    shapes = [shapely.box(20 + 60 * k, 30, 60 + 60 * k, 90) for k in range(polygons)]
    mask = np.zeros((height, width), np.uint8)
    mask[:10] = 255
    return View(
        rgb=np.full((3, height, width), ground, np.uint8),
        mask=mask,
        polygons=np.array(shapes, dtype=object),
        labels=np.ones(polygons, np.int32),
        classes=CLASSES,
    )


@pytest.mark.parametrize(
    ("size", "expected"),
    [((200, 300), (300, 200)), ((1000, 3200), (1600, 500)), ((3000, 1500), (1500, 3000))],
)
def test_pictures_are_1600_px_wide_at_most(
    size: tuple[int, int], expected: tuple[int, int], tmp_path: Path
) -> None:
    quicklook(tmp_path / "q.png", _view(*size))
    with Image.open(tmp_path / "q.png") as picture:
        assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", expected)


@pytest.mark.parametrize("ground", [0, 60, 128, 200, 255])
def test_outlines_stand_out_from_any_ground(ground: int) -> None:
    pixels = np.asarray(mapped(_view(200, 300, ground=ground)), np.int16)
    row = np.abs(pixels[60] - ground).max(axis=1)
    for edge in (20, 60):
        assert row[edge - 4 : edge + 4].max() > 80


def test_pixels_far_from_polygons_are_those_of_the_scene() -> None:
    pixels = np.asarray(mapped(_view(200, 300)))
    assert (pixels[120:, 100:] == 128).all()


def test_no_data_is_chequered_and_not_taken_for_the_scene() -> None:
    pixels = np.asarray(mapped(_view(200, 300, polygons=0)))
    assert len(np.unique(pixels[:10])) == 2
    assert 128 not in pixels[:10]


def test_the_demo_shows_scene_and_map_side_by_side(tmp_path: Path) -> None:
    demo_picture(tmp_path / "d.png", _view(200, 300, polygons=3), caption="object F1 0.83")
    with Image.open(tmp_path / "d.png") as picture:
        assert picture.width > 600
        assert picture.height > 200
