"""Scores by hand, and markers that part what touches."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.training.data.sources.places import level_of
from pipeline.training.score.scores import marked_objects, objects, pixels, plain_objects, predict


def _level() -> tuple[np.ndarray, object]:
    truth = np.zeros((20, 40), np.int32)
    truth[5:15, 5:15], truth[5:15, 15:25], truth[5:15, 30:38] = 1, 2, 3
    level = level_of(np.zeros((3, 20, 40), np.uint8), truth, pixel_size_m=1.0, sigma=2.0)
    return truth, level


def test_a_perfect_mask_has_every_pixel_but_merges_what_touches() -> None:
    truth, level = _level()
    mask = truth > 0
    assert pixels(mask, level).iou == 1.0  # type: ignore[arg-type]
    found = objects(plain_objects(mask), level)  # type: ignore[arg-type]
    # The pair is one object of IoU 0.5 with either; the third stands alone.
    assert (found.tp, found.fp, found.fn) == (2, 0, 1)


def test_markers_part_what_touches() -> None:
    truth, level = _level()
    interior = np.zeros(truth.shape, np.float32)
    interior[8:12, 8:12] = interior[8:12, 18:22] = 1.0
    labels = marked_objects(truth > 0, interior)
    assert objects(labels, level).f1 == 1.0  # type: ignore[arg-type]
    np.testing.assert_array_equal(labels > 0, truth > 0)
    assert len(np.unique(labels)) == 4


def test_specks_are_not_buildings() -> None:
    truth, level = _level()
    mask = truth > 0
    mask[0, 0] = True
    assert objects(plain_objects(mask), level).fp == 0  # type: ignore[arg-type]


class _Blur(nn.Module):
    """A network of rf_radius 1: the mean of 3 x 3 pixels, twice."""

    def forward(self, image: Tensor) -> Tensor:
        mean = nn.functional.avg_pool2d(image.mean(1, keepdim=True), 3, 1, 1)
        return torch.cat([mean, -mean], dim=1)


def test_a_scene_in_strips_is_the_scene_at_once() -> None:
    image = np.random.default_rng(0).integers(0, 256, (3, 1500, 24), np.uint8)
    values = torch.from_numpy(image[None]).float() / 127.5 - 1
    whole = _Blur()(nn.functional.pad(values, (0, 8, 0, 4), mode="reflect"))
    found = predict(_Blur(), image)
    assert found.shape == (2, 1500, 24)
    torch.testing.assert_close(found, whole[0, :, :1500, :24])
