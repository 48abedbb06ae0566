"""Crops: image and labels stay together, and chance comes from the seed alone."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.training.augment.augment import augmented
from pipeline.training.config import AugmentConfig
from pipeline.training.data.sources.places import level_of, make_place
from pipeline.training.data.warp import cut_crop, draw_matrix, draw_pixel_m, source_level

STILL = AugmentConfig(
    shape=0, rotate=False, tone=0, colour=0, hue=0, blur=0, noise=0, jpeg=0, shadow=0
)


def _marked() -> tuple[np.ndarray, np.ndarray]:
    """Return an image that is bright exactly where its instances are."""
    instances = np.zeros((90, 120), np.int32)
    instances[20:40, 30:70] = 1
    instances[50:75, 15:45] = 2
    instances[55:85, 80:110] = 3
    image = np.repeat((instances > 0).astype(np.uint8)[None] * 200, 3, axis=0)
    return image, instances


@pytest.mark.parametrize("seed", range(8))
def test_labels_move_with_the_image(seed: int) -> None:
    image, instances = _marked()
    level = level_of(image, instances, pixel_size_m=0.2, sigma=4.0)
    rng = np.random.default_rng(seed)
    config = AugmentConfig()
    matrix = draw_matrix(config, rng.uniform(0.6, 1.4), rng)
    crop = cut_crop(level, matrix=matrix, centre=(45.0, 60.0), crop=64)
    # Bilinear at 100 of 200 and the nearest pixel differ on edges only, by half a pixel.
    wrong = (crop.image[0] > 100) != (crop.instances > 0)
    assert wrong.mean() < 0.02
    assert crop.instances.any()


def test_the_middle_of_a_still_crop_is_the_scene_itself() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (3, 64, 64), np.uint8)
    instances = rng.integers(0, 5, (64, 64)).astype(np.int32)
    level = level_of(image, instances, pixel_size_m=0.3, sigma=2.0)
    crop = cut_crop(level, matrix=np.eye(2), centre=(32.0, 32.0), crop=32)
    np.testing.assert_array_equal(crop.image, image[:, 16:48, 16:48])
    np.testing.assert_array_equal(crop.instances, instances[16:48, 16:48])
    assert crop.pixel_size_m == pytest.approx(0.3)


def test_past_the_edge_the_scene_is_mirrored() -> None:
    image = np.random.default_rng(1).integers(0, 256, (3, 40, 40), np.uint8)
    level = level_of(image, np.zeros((40, 40), np.int32), pixel_size_m=0.3, sigma=2.0)
    crop = cut_crop(level, matrix=np.eye(2), centre=(0.0, 0.0), crop=32)
    whole = np.pad(image, ((0, 0), (16, 0), (16, 0)), mode="symmetric")
    np.testing.assert_array_equal(crop.image, whole[:, :32, :32])


def test_quarter_turns_and_flips_lose_nothing() -> None:
    image, instances = _marked()
    level = level_of(image[:, :80, :80], instances[:80, :80], pixel_size_m=0.2, sigma=4.0)
    for seed in range(12):
        matrix = draw_matrix(STILL, 1.0, np.random.default_rng(seed))
        crop = cut_crop(level, matrix=matrix, centre=(40.0, 40.0), crop=80)
        assert np.bincount(crop.instances.ravel()).tolist() == (
            np.bincount(level.instances.ravel()).tolist()
        )
        np.testing.assert_array_equal(crop.image[0] > 0, crop.instances > 0)


def test_pixel_sizes_stay_in_their_range_and_find_a_fine_enough_level() -> None:
    image, instances = _marked()
    level = level_of(image, instances, pixel_size_m=0.1, sigma=4.0)
    place = make_place("here", [level], share=1.0, sigma=4.0)
    assert [round(level.pixel_size_m, 3) for level in place.levels] == [0.1, 0.2, 0.4]
    rng = np.random.default_rng(5)
    config = AugmentConfig()
    assert config.pixel_size_m is not None
    drawn = [draw_pixel_m(config, rng) for _ in range(300)]
    assert min(drawn) >= config.pixel_size_m[0]
    assert max(drawn) <= config.pixel_size_m[1]
    for wanted in drawn:
        assert source_level(place, wanted).pixel_size_m <= max(1.2 * wanted, 0.1)


def test_an_augmentation_without_strength_changes_nothing() -> None:
    image = np.random.default_rng(2).integers(0, 256, (3, 32, 32), np.uint8)
    np.testing.assert_array_equal(
        augmented(image, STILL, np.random.default_rng(0), pixel_size_m=0.2), image
    )


def test_the_same_seed_gives_the_same_picture_and_another_one_another() -> None:
    image = np.random.default_rng(2).integers(0, 256, (3, 48, 48), np.uint8)
    config = AugmentConfig(blur=1, noise=1, jpeg=1, shadow=1)
    pictures = [
        augmented(image, config, np.random.default_rng(seed), pixel_size_m=0.2)
        for seed in (4, 4, 5)
    ]
    np.testing.assert_array_equal(pictures[0], pictures[1])
    assert (pictures[0] != pictures[2]).any()
    assert pictures[0].shape == image.shape
