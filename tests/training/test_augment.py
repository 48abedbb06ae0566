"""Light and sensors: every part can be switched off, and what is marked stays in its place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import ndimage

from pipeline.training.augment.augment import augmented
from pipeline.training.augment.sensor import degraded, rescaled
from pipeline.training.config import AugmentConfig
from pipeline.training.data.sources.places import level_of, make_place
from pipeline.training.data.warp import cut_crop, draw_level, draw_matrix, draw_pixel_m
from tests.strategies import examples

OFF: dict[str, Any] = {
    "shape": 0,
    "rotate": False,
    "turns": False,
    "flips": False,
    "pixel_size_m": None,
    "tone": 0,
    "colour": 0,
    "hue": 0,
    "blur": 0,
    "noise": 0,
    "jpeg": 0,
    "shadow": 0,
    "degrade": 0,
    "sixteen_bit": 0,
    "elastic": 0,
}
OF_THE_IMAGE = [
    {"tone": 0.5},
    {"colour": 0.4},
    {"hue": 0.8},
    {"blur": 1},
    {"noise": 1},
    {"jpeg": 1},
    {"shadow": 1},
    {"degrade": 1},
    {"sixteen_bit": 1},
]
seeds = st.integers(0, 2**32 - 1)


def _noise(seed: int, *, rows: int = 48, cols: int = 56) -> np.ndarray:
    """Return an image with structure at all scales."""
    rng = np.random.default_rng(seed)
    rough = rng.integers(30, 220, (3, rows, cols)).astype(np.float32)
    smooth = ndimage.gaussian_filter(rough, (0, 2, 2)) * 2 - 120
    return np.asarray(np.clip(smooth + rough / 4, 0, 255), np.uint8)


@pytest.mark.parametrize("part", OF_THE_IMAGE, ids=lambda part: next(iter(part)))
@settings(max_examples=examples(8), deadline=None)
@given(seed=seeds)
def test_each_part_keeps_shape_and_type_and_follows_the_seed(
    part: dict[str, float], seed: int
) -> None:
    config = AugmentConfig(**(OFF | part))
    image = _noise(seed)
    kept = image.copy()
    one, again = (
        augmented(image, config, np.random.default_rng(seed), pixel_size_m=0.15) for _ in range(2)
    )
    assert one.shape == image.shape
    assert one.dtype == np.uint8
    np.testing.assert_array_equal(one, again)
    np.testing.assert_array_equal(image, kept)


@pytest.mark.parametrize("part", OF_THE_IMAGE, ids=lambda part: next(iter(part)))
def test_each_part_changes_pictures_when_it_is_on_and_only_then(part: dict[str, float]) -> None:
    image = _noise(1, rows=96, cols=96)
    for seed in range(3):
        off = augmented(image, AugmentConfig(**OFF), np.random.default_rng(seed), pixel_size_m=0.15)
        np.testing.assert_array_equal(off, image)
    on = [
        augmented(
            image, AugmentConfig(**(OFF | part)), np.random.default_rng(seed), pixel_size_m=0.15
        )
        for seed in range(6)
    ]
    assert any((one != image).any() for one in on)


@pytest.mark.parametrize("part", ["degrade", "sixteen_bit"])
def test_what_is_off_leaves_the_chance_of_the_others_alone(part: str) -> None:
    image = _noise(2)
    without = {key: value for key, value in OFF.items() if key not in ("degrade", "sixteen_bit")}
    lively = without | {"noise": 1, "blur": 1}
    one = augmented(image, AugmentConfig(**lively), np.random.default_rng(0), pixel_size_m=0.2)
    other = AugmentConfig(**(lively | {part: 0}))
    np.testing.assert_array_equal(
        one, augmented(image, other, np.random.default_rng(0), pixel_size_m=0.2)
    )


@settings(max_examples=examples(25), deadline=None)
@given(seed=seeds, factor=st.floats(1.2, 6.0))
def test_a_coarser_sensor_moves_nothing(seed: int, factor: float) -> None:
    image = np.zeros((3, 64, 64), np.uint8)
    rng = np.random.default_rng(seed)
    row, col = rng.integers(24, 40, 2)
    image[:, row - 4 : row + 4, col - 4 : col + 4] = 240
    seen = degraded(image, pixel_size_m=0.1, coarse_m=0.1 * factor, rng=rng).astype(float)[0]
    middle = ndimage.center_of_mass(seen)
    # A coarse pixel hides where in it the light fell: a part of its edge.
    assert np.hypot(middle[0] - (row - 0.5), middle[1] - (col - 0.5)) < 0.2 * factor
    # Nor is light lost or made.
    assert seen.sum() == pytest.approx(image[0].sum(), rel=0.15)


def test_a_coarser_sensor_sees_less_detail_the_coarser_the_less() -> None:
    image = np.random.default_rng(0).integers(0, 256, (3, 128, 128), np.uint8)
    rough = [
        degraded(image, pixel_size_m=0.1, coarse_m=coarse, rng=np.random.default_rng(1)).std()
        for coarse in (0.1, 0.15, 0.3, 0.6)
    ]
    assert rough[0] == image.std()
    assert rough[0] > 2 * rough[1] > 2 * rough[2] > 2 * rough[3] * 1.5


def test_an_even_picture_stays_even_and_a_coarse_one_as_it_is() -> None:
    even = np.full((3, 33, 47), 90, np.uint8)
    seen = degraded(even, pixel_size_m=0.1, coarse_m=0.37, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(seen, even)
    image = _noise(4)
    same = degraded(image, pixel_size_m=0.5, coarse_m=0.4, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(same, image)


@settings(max_examples=examples(25), deadline=None)
@given(seed=seeds)
def test_the_sixteen_bit_variant_keeps_the_order_of_values_and_fills_the_range(seed: int) -> None:
    image = np.tile(np.arange(256, dtype=np.uint8), (3, 20, 1))
    seen = rescaled(image, np.random.default_rng(seed))
    assert (np.diff(seen.astype(int).mean(axis=(0, 1))) >= -2).all()
    assert seen.min() == 0
    assert seen.max() == 255
    # Steps of 8 bits were filled: no comb of missing values in between.
    assert len(np.unique(seen)) > 230


def test_the_sixteen_bit_variant_makes_no_noise_out_of_nothing() -> None:
    even = np.full((3, 40, 40), 120, np.uint8)
    assert rescaled(even, np.random.default_rng(0)).std() < 5


def test_crops_stand_upright_and_keep_their_size_with_all_switched_off() -> None:
    config = AugmentConfig(**OFF)
    image = np.random.default_rng(0).integers(0, 256, (3, 64, 64), np.uint8)
    level = level_of(image, np.ones((64, 64), np.int32), pixel_size_m=0.3, sigma=0)
    place = make_place("here", [level], share=1.0, sigma=0, halve=False)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        found, scale = draw_level(place, config, rng)
        matrix = draw_matrix(config, scale, rng)
        crop = cut_crop(found, matrix=matrix, centre=(32.0, 32.0), crop=64)
        np.testing.assert_array_equal(crop.image, image)


def test_flips_turn_the_crop_over_half_the_time_and_quarter_turns_evenly() -> None:
    flipped = [
        np.linalg.det(draw_matrix(AugmentConfig(**(OFF | {"flips": True})), 1.0, rng)) < 0
        for rng in map(np.random.default_rng, range(400))
    ]
    assert 0.42 < np.mean(flipped) < 0.58
    turned = [
        tuple(np.rint(draw_matrix(AugmentConfig(**(OFF | {"turns": True})), 1.0, rng)[0]))
        for rng in map(np.random.default_rng, range(400))
    ]
    assert {turned.count(kind) > 70 for kind in set(turned)} == {True}
    assert len(set(turned)) == 4


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ({"degrade_m": (0.6, 0.3)}, "small to large"),
        ({"pixel_size_m": (0.0, 0.3)}, "small to large"),
        ({"elastic": -1}, "greater than or equal"),
        ({"sixteen_bit": 1.5}, "less than or equal"),
    ],
)
def test_ranges_that_make_no_sense_are_refused(bad: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        AugmentConfig(**bad)


def test_no_ground_size_is_drawn_where_none_is_asked_for() -> None:
    with pytest.raises(ValueError, match=r"augment\.pixel_size_m"):
        draw_pixel_m(AugmentConfig(pixel_size_m=None), np.random.default_rng(0))
