"""The picture of a batch: a row a crop, and each thing where it belongs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.errors import ExportError
from pipeline.training.data.batches import Batch
from pipeline.training.show_batch import (
    CELL,
    GAP,
    HEAD,
    LEFT,
    MARK,
    MOST,
    draw_batch_picture,
    show_batch,
)
from tests.terminals import at_terminal


def _batch(count: int = 2, *, crop: int = 64) -> Batch:
    """Return crops that are gray, with a target in their upper left and nothing known below."""
    target = torch.zeros(count, 2, crop, crop)
    target[:, 0, : crop // 2, : crop // 2] = 1
    weight = torch.ones(count, crop, crop)
    weight[:, crop // 2 :] = 0
    weight[:, 0, 0] = 7
    return Batch(image=torch.full((count, 3, crop, crop), -0.2), target=target, weight=weight)


def test_inputs_targets_and_weights_stand_in_a_row_a_crop() -> None:
    picture = np.asarray(draw_batch_picture(_batch(), names=["building", "interior"])).astype(int)
    cell = CELL[0] // 64 * 64
    assert picture.shape[1] == LEFT + 4 * (cell + GAP)

    def at(row: int, column: int, y: float, x: float) -> np.ndarray:
        top, left = HEAD + row * (cell + GAP), LEFT + column * (cell + GAP)
        return np.asarray(picture[top + int(y * cell), left + int(x * cell)])

    for row in range(2):
        assert np.ptp(at(row, 0, 0.7, 0.7)) == 0
        pink, bare = at(row, 1, 0.25, 0.25), at(row, 1, 0.75, 0.75)
        assert np.abs(pink - MARK).sum() < np.abs(bare - MARK).sum() - 150
        # The second channel is empty.
        np.testing.assert_array_equal(at(row, 2, 0.25, 0.25), at(row, 2, 0.75, 0.75))
        # Known is coloured, unknown is gray.
        assert np.ptp(at(row, 3, 0.25, 0.5)) > 30
        assert np.ptp(at(row, 3, 0.75, 0.5)) == 0


def test_names_are_written_and_a_missing_one_is_numbered() -> None:
    one, other, none = (
        np.asarray(draw_batch_picture(_batch(), names=names))
        for names in (["building", "interior"], ["salt", "interior"], [])
    )
    assert (one[:HEAD] != other[:HEAD]).any()
    assert (one[:HEAD] != none[:HEAD]).any()
    np.testing.assert_array_equal(one[HEAD:-60], other[HEAD:-60])


def test_large_batches_and_large_crops_stay_a_picture_that_one_can_open(tmp_path: Path) -> None:
    show_batch(_batch(MOST + 8, crop=512), tmp_path / "batch.png")
    with Image.open(tmp_path / "batch.png") as picture:
        assert picture.height < (MOST + 1) * (CELL[1] + GAP)
        assert picture.width < 5 * (CELL[1] + GAP)
    assert [path.name for path in tmp_path.iterdir()] == ["batch.png"]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"batch\.png could not be written"):
        show_batch(_batch(), tmp_path / "none" / "batch.png")


def test_a_terminal_is_told_which_picture_to_open(small: Path, tmp_path: Path) -> None:
    words = ("train", small, "--out", tmp_path / "out", "--show-batch", tmp_path / "batch.png")
    assert at_terminal(*words).lines == [f"drew 2 crops; open {tmp_path}/batch.png"]
    asked = at_terminal(*words, "--json")
    assert json.loads("".join(asked.lines))["picture"] == f"{tmp_path}/batch.png"
