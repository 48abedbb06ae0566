"""Folders of images and masks: split by name, each laid where mapping lays it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.core.tile import cut_window as cut_tile
from pipeline.core.window import Window
from pipeline.errors import ConfigError
from pipeline.training.config import ImagesConfig, TrainingConfig
from pipeline.training.data.batches import draw_batch
from pipeline.training.data.sources.images import fold_of, read_images, split
from pipeline.training.data.sources.places import Level
from pipeline.training.read_data import read_data

STILL = {
    "pixel_size_m": None,
    "shape": 0,
    "rotate": False,
    "turns": False,
    "flips": False,
    **dict.fromkeys(("tone", "colour", "hue", "blur", "noise", "jpeg", "shadow"), 0),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return forty images of 21 pixels with their masks, half of them empty."""
    rng = np.random.default_rng(0)
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    lines = ["id,z"]
    for number in range(40):
        image = rng.integers(0, 256, (21, 21), np.uint8)
        mask = np.zeros((21, 21), np.uint8)
        if number % 2:
            mask[5:15, 3:12] = 255
        Image.fromarray(image).save(tmp_path / "images" / f"{number:03d}.png")
        Image.fromarray(mask).save(tmp_path / "masks" / f"{number:03d}.png")
        lines.append(f"{number:03d},{number}")
    (tmp_path / "depths.csv").write_text("\n".join(lines))
    return tmp_path


def _config(folder: Path, **changes: Any) -> TrainingConfig:
    values = {
        "classes": [{"name": "salt", "colour": "#3182bd", "values": [255]}],
        "images": {"folder": str(folder), "folds": 4},
        "crop": 32,
        "batch": 5,
        "foreground": 0,
        "network": {"name": "unet", "width": 4, "depth": 2},
        "targets": {"interior": False, "gap": False, "border_weight": 0},
        "augment": STILL,
        "schedule": {"steps": 2, "warmup": 0, "decay": 0},
        "score": {"kind": "salt", "min_area_px": [0, 9], "flip": True},
        "export": {"name": "salt", "context": "pad", "pad_to": 32},
    }
    return TrainingConfig.model_validate(values | changes)


@given(names=st.lists(st.text(min_size=1, max_size=12), unique=True), folds=st.integers(2, 9))
def test_folds_partition_the_images_whatever_else_there_is(names: list[str], folds: int) -> None:
    held = [
        split(ImagesConfig(folder=Path("x"), folds=folds, fold=fold), names)["validation"]
        for fold in range(folds)
    ]
    assert sorted(name for part in held for name in part) == sorted(names)
    for name in names:
        assert name in held[fold_of(name, folds=folds)]


def test_an_image_lies_where_mapping_puts_it(folder: Path) -> None:
    config = _config(folder)
    data = read_data(config, cache=folder)
    batch = draw_batch(data.train, [], config, 0)
    order = np.random.default_rng((config.seed, 0)).permutation(len(data.train))
    level = data.train[order[0]].levels[0]
    # As `Grid.tile` has it: the image in the middle of a square, mirrored around.
    window = Window(row=-((32 - 21) // 2), col=-((32 - 21) // 2), height=32, width=32)
    expected, _ = cut_tile(
        lambda w: (
            level.image[:, w.row : w.row + w.height, w.col : w.col + w.width],
            np.ones((w.height, w.width), np.bool_),
        ),
        window,
        height=21,
        width=21,
        edge="mirror",
    )
    np.testing.assert_allclose(batch.image[0].numpy(), expected / 127.5 - 1, atol=1e-6)


def test_an_epoch_shows_every_image_once(folder: Path) -> None:
    config = _config(folder)
    data = read_data(config, cache=folder)
    count = len(data.train)
    draws = data.draws(config)
    for epoch in (0, 1):
        positions = range(epoch * count, (epoch + 1) * count)
        seen = [draws.draw(*divmod(at, config.batch)).level.source for at in positions]
        assert len(set(seen)) == count


def _levels(config: TrainingConfig, folder: Path) -> list[Level]:
    """Return the images to train on."""
    levels = [place.levels[0] for place in read_data(config, cache=folder).train]
    return [level for level in levels if isinstance(level, Level)]


@pytest.mark.parametrize("kind", ["8 bits", "16 bits", "1 bit", "alpha"])
def test_masks_of_one_class_need_no_values(folder: Path, kind: str) -> None:
    named = {"name": "salt", "colour": "#3182bd", "values": [255]}
    config = _config(folder, classes=[{"name": "salt", "colour": "#3182bd"}])
    expected = [level.instances for level in _levels(config, folder)]
    for path in (folder / "masks").iterdir():
        mask = np.asarray(Image.open(path))
        if kind == "16 bits":
            Image.fromarray(mask.astype(np.uint16) * 257).save(path)
        elif kind == "1 bit":
            Image.fromarray(mask).convert("1").save(path)
        elif kind == "alpha":
            Image.fromarray(np.dstack([np.full_like(mask, 255)] * 3 + [mask])).save(path)
    for one in (config, _config(folder, classes=[named])):
        for level, instances in zip(_levels(one, folder), expected, strict=True):
            np.testing.assert_array_equal(level.instances, instances)
            assert level.known.all()


def test_255_is_not_labelled_where_any_mask_has_another_class(folder: Path) -> None:
    config = _config(folder, classes=[{"name": "salt", "colour": "#3182bd"}])
    for number in (0, 2, 4, 6, 8, 10, 12, 14):
        mask = np.zeros((21, 21), np.uint8)
        mask[:4, :4] = 1
        Image.fromarray(mask).save(folder / "masks" / f"{number:03d}.png")
    levels = _levels(config, folder)
    assert {int((level.instances > 0).sum()) for level in levels} == {0, 16}
    assert {int((~level.known).sum()) for level in levels} == {0, 90}


def test_a_mask_that_is_a_picture_is_refused(folder: Path) -> None:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (21, 21, 3), np.uint8)).save(folder / "masks" / "007.png")
    with pytest.raises(ConfigError, match=r"007\.png: its bands differ"):
        read_data(_config(folder), cache=folder)


def test_a_mask_of_another_size_is_refused(folder: Path) -> None:
    Image.fromarray(np.zeros((20, 21), np.uint8)).save(folder / "masks" / "007.png")
    config = _config(folder)
    with pytest.raises(ConfigError, match=r"007\.png: has 20 x 21 pixels, its image 21 x 21"):
        read_data(config, cache=folder)


def test_a_missing_mask_and_strange_depths_are_refused(folder: Path) -> None:
    config = _config(folder)
    (folder / "depths.csv").write_text("id,z\nother,1\n")
    with pytest.raises(ConfigError, match="names none of the images"):
        read_data(config, cache=folder)
    (folder / "depths.csv").unlink()
    (folder / "masks" / "011.png").unlink()
    with pytest.raises(ConfigError, match="has no mask"):
        read_data(config, cache=folder)


def test_a_class_without_a_pixel_is_refused(folder: Path) -> None:
    for path in (folder / "masks").iterdir():
        Image.fromarray(np.zeros((21, 21), np.uint8)).save(path)
    with pytest.raises(ConfigError, match="no label of class salt"):
        read_data(_config(folder), cache=folder)


def test_a_fold_without_images_is_refused(folder: Path) -> None:
    for path in [*(folder / "images").iterdir()][1:]:
        path.unlink()
    images = ImagesConfig(folder=folder, folds=4)
    with pytest.raises(ConfigError, match="no image falls into the"):
        read_images(images, _config(folder).classes, border_sigma=0)


def test_a_fold_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="fold 5 of 5"):
        ImagesConfig(folder=Path("x"), fold=5)
    with pytest.raises(ValueError, match="held out twice"):
        ImagesConfig(folder=Path("x"), fold=1, test_fold=1)
