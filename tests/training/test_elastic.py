"""Elastic deformation: smooth, switched off without a trace, labels with the image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from pipeline.training.augment.elastic import draw_field, farthest, field_of
from pipeline.training.config import AugmentConfig
from pipeline.training.data.sources.places import Level, level_of
from pipeline.training.data.warp import cut_crop, draw_matrix
from tests.strategies import examples

CROP = 96
seeds = st.integers(0, 2**32 - 1)


def _marked(*, known: bool = True) -> Level:
    """Return a level that is bright exactly where its instances are."""
    rng = np.random.default_rng(1)
    instances = np.zeros((200, 220), np.int32)
    for number in range(1, 25):
        row, col = rng.integers(0, 190, 2)
        instances[row : row + rng.integers(12, 30), col : col + rng.integers(12, 30)] = number
    image = np.repeat((instances > 0).astype(np.uint8)[None] * 200, 3, axis=0)
    level = level_of(image, instances, pixel_size_m=0.2, sigma=4.0)
    return Level(
        image=image,
        instances=instances,
        contact=np.where(instances > 0, 250, 0).astype(np.uint8),
        known=(instances > 0) == known,
        pixel_size_m=level.pixel_size_m,
    )


@settings(max_examples=examples(25), deadline=None)
@given(seed=seeds, strength=st.floats(0.5, 12.0), nodes=st.integers(2, 6))
def test_a_marked_pixel_lands_where_its_label_lands(seed: int, strength: float, nodes: int) -> None:
    rng = np.random.default_rng(seed)
    config = AugmentConfig(elastic=strength, elastic_share=1.0, elastic_nodes=nodes)
    matrix = draw_matrix(config, rng.uniform(0.7, 1.3), rng)
    field = draw_field(config, crop=CROP, rng=rng)
    crop = cut_crop(_marked(), matrix=matrix, centre=(100.0, 110.0), crop=CROP, field=field)
    # Bilinear at 100 of 200 and the nearest pixel differ on corners only.
    assert ((crop.image[0] > 100) != (crop.instances > 0)).mean() < 0.02
    np.testing.assert_array_equal(crop.contact > 0, crop.instances > 0)
    np.testing.assert_array_equal(crop.known, crop.instances > 0)


@settings(max_examples=examples(25), deadline=None)
@given(seed=seeds, nodes=st.integers(2, 6))
def test_a_field_goes_through_its_nodes_and_is_smooth_between_them(seed: int, nodes: int) -> None:
    moved = np.random.default_rng(seed).normal(0, 8, (2, nodes, nodes))
    crop = 200 * (nodes - 1)
    field = field_of(moved, crop=crop)
    at = np.clip(np.arange(nodes) * 200, 0, crop - 1)
    # A pixel's centre lies half a pixel beside the node.
    np.testing.assert_allclose(field[:, at[:, None], at], moved, atol=0.6)
    assert np.abs(np.diff(field, n=2, axis=1)).max() < 0.02
    assert np.abs(np.diff(field, n=2, axis=2)).max() < 0.02


def test_nodes_that_move_alike_move_the_whole_crop() -> None:
    moved = np.zeros((2, 3, 3))
    moved[0], moved[1] = 5.0, -3.0
    level = _marked()
    field = field_of(moved, crop=CROP)
    shifted = cut_crop(level, matrix=np.eye(2), centre=(100.0, 100.0), crop=CROP, field=field)
    plain = cut_crop(level, matrix=np.eye(2), centre=(105.0, 97.0), crop=CROP)
    np.testing.assert_array_equal(shifted.instances, plain.instances)
    np.testing.assert_allclose(shifted.image.astype(int), plain.image.astype(int), atol=1)


def test_the_deviation_of_the_displacements_is_what_was_asked_for() -> None:
    config = AugmentConfig(elastic=10.0, elastic_share=1.0)
    rng = np.random.default_rng(0)
    fields = [draw_field(config, crop=48, rng=rng) for _ in range(300)]
    corners = np.array([field[:, 0, 0] for field in fields if field is not None])
    assert len(corners) == 300
    assert corners.std() == pytest.approx(10.0, rel=0.1)
    assert abs(corners.mean()) < 1.5


def test_what_is_switched_off_moves_nothing_and_uses_no_chance() -> None:
    rng, untouched = np.random.default_rng(7), np.random.default_rng(7)
    assert draw_field(AugmentConfig(), crop=CROP, rng=rng) is None
    assert rng.random() == untouched.random()
    assert farthest(None) == 0.0
    level = _marked()
    still = field_of(np.zeros((2, 3, 3)), crop=CROP)
    one, other = (
        cut_crop(level, matrix=np.eye(2), centre=(90.0, 90.0), crop=CROP, field=field)
        for field in (None, still)
    )
    np.testing.assert_array_equal(one.image, other.image)
    np.testing.assert_array_equal(one.instances, other.instances)


def test_crops_are_deformed_as_often_as_asked() -> None:
    config = AugmentConfig(elastic=3.0, elastic_share=0.3)
    rng = np.random.default_rng(2)
    drawn = [draw_field(config, crop=32, rng=rng) is not None for _ in range(600)]
    assert 0.24 < np.mean(drawn) < 0.36


def test_the_same_seed_gives_the_same_field() -> None:
    config = AugmentConfig(elastic=5.0, elastic_share=1.0)
    one, again, other = (
        draw_field(config, crop=32, rng=np.random.default_rng(seed)) for seed in (3, 3, 4)
    )
    assert one is not None
    assert again is not None
    np.testing.assert_array_equal(one, again)
    assert other is not None
    assert (one != other).any()
    assert farthest(one) == np.abs(one).max()


def test_a_deformed_object_stays_in_one_piece() -> None:
    level = _marked()
    instances = np.zeros((200, 220), np.int32)
    instances[60:140, 70:150] = 1
    whole = level_of(level.image, instances, pixel_size_m=0.2, sigma=0)
    for seed in range(10):
        rng = np.random.default_rng(seed)
        # The paper's proportion: a deviation of 10 pixels on a tile of 572.
        config = AugmentConfig(elastic=CROP * 10 / 572, elastic_share=1.0)
        field = draw_field(config, crop=CROP, rng=rng)
        crop = cut_crop(
            whole, matrix=1.2 * np.eye(2), centre=(100.0, 110.0), crop=CROP, field=field
        )
        assert ndimage.label(crop.instances)[1] == 1
