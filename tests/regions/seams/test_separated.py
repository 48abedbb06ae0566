"""Touching houses at the borders of scenes: apart where the whole scene has them apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from tests.mapping.test_separation import colours, town
from tests.regions.seams.cut import layer, mapped, piece, pieces, told


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return colours(tmp_path_factory.mktemp("model") / "m.safetensors")


def task(folder: Path, model: Path, text: str = "") -> dict[str, Any]:
    """Return how scenes are mapped with a network that takes green for the inside of houses."""
    path = folder / "task.yaml"
    path.write_text(f"name: terraces\nmodel: {model}\n{text}", "utf-8")
    return {"task": str(path)}


def terraces() -> np.ndarray:
    """Return two rows of eight houses that share walls, back to back: red, insides green."""
    pixels = np.zeros((3, 60, 180), np.uint8)
    pixels[0, 10:50, 10:170] = 255
    for row in (11, 31):
        for house in range(8):
            pixels[1, row : row + 18, 11 + 20 * house : 29 + 20 * house] = 255
    return pixels


@pytest.mark.parametrize(
    "boxes",
    [
        # Along the wall that both rows share.
        [(0, 0, 30, 180), (30, 0, 30, 180)],
        # Through the middle of a row, and with an overlap.
        [(0, 0, 21, 180), (21, 0, 39, 180)],
        [(0, 0, 27, 180), (18, 0, 42, 180)],
        # Through houses and walls at once.
        [(0, 0, 22, 87), (0, 87, 22, 93), (22, 0, 38, 87), (22, 87, 38, 93)],
    ],
)
def test_rows_of_terraced_houses_at_a_border_stay_as_many(
    tmp_path: Path, model: Path, boxes: list[tuple[int, int, int, int]]
) -> None:
    pixels = terraces()
    chosen = task(tmp_path, model)
    whole, _ = layer(tmp_path, mapped(tmp_path / "whole", [piece(pixels, 0, 0, 60, 180)], **chosen))
    scenes = mapped(tmp_path / "cut", [piece(pixels, *box) for box in boxes], **chosen)
    found, _ = layer(tmp_path, scenes)
    assert len(whole) == 16
    assert told(found) == told(whole)


@pytest.mark.parametrize(("seed", "overlap"), [(1, 0), (2, 9), (3, 40)])
def test_separated_buildings_of_pieces_are_those_of_the_whole(
    tmp_path: Path, model: Path, seed: int, overlap: int
) -> None:
    pixels = town(seed, height=110, width=150)
    chosen = task(tmp_path, model)
    boxes = [
        (row, col, height, width)
        for row, height in pieces(110, [50], overlap)
        for col, width in pieces(150, [70], overlap)
    ]
    whole, _ = layer(
        tmp_path, mapped(tmp_path / "whole", [piece(pixels, 0, 0, 110, 150)], **chosen)
    )
    scenes = mapped(tmp_path / "cut", [piece(pixels, *box) for box in boxes], **chosen)
    found, summary = layer(tmp_path, scenes)
    assert summary.joined > 4
    assert told(found) == told(whole)


@pytest.mark.parametrize("outline", ["regularised", "simplified", "subpixel"])
def test_outlines_are_drawn_as_if_there_were_no_border(
    tmp_path: Path, model: Path, outline: str
) -> None:
    pixels = terraces()
    chosen = task(tmp_path, model, f"min_area_m2: 4\nshape: {{outline: {outline}}}\n")
    whole, _ = layer(tmp_path, mapped(tmp_path / "whole", [piece(pixels, 0, 0, 60, 180)], **chosen))
    boxes = [(0, 0, 60, 95), (0, 87, 60, 93)]
    found, _ = layer(
        tmp_path, mapped(tmp_path / "cut", [piece(pixels, *box) for box in boxes], **chosen)
    )
    assert len(found) == len(whole) == 16
    one, two = (table.geometry.to_crs(32645).to_numpy() for table in (whole, found))
    pairs = shapely.STRtree(two).query(shapely.point_on_surface(one), predicate="within")
    assert pairs[0].tolist() == list(range(16))
    assert shapely.hausdorff_distance(one, two[pairs[1]]).max() < 0.3


def test_results_of_an_earlier_version_are_conflated_as_they_are(
    tmp_path: Path, model: Path
) -> None:
    pixels = terraces()
    chosen = task(tmp_path, model)
    boxes = [(0, 0, 21, 180), (21, 0, 39, 180)]
    scenes = mapped(tmp_path, [piece(pixels, *box) for box in boxes], **chosen)
    interior = scenes[0].parquet.with_name("interior.tif")
    assert interior.is_file()
    assert layer(tmp_path, scenes)[1].joined == 8
    interior.unlink()
    found, summary = layer(tmp_path, scenes)
    assert (len(found), summary.joined) == (24, 0)
