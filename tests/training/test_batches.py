"""Batches: decided by seed and step, weighted where buildings meet."""

from __future__ import annotations

import numpy as np
import torch

from pipeline.training.config import (
    AugmentConfig,
    PlaceConfig,
    ScheduleConfig,
    SyntheticConfig,
    TargetConfig,
    TrainingConfig,
)
from pipeline.training.data.batches import draw_batch
from pipeline.training.data.sources.places import Level, Place, make_place

ELSEWHERE = PlaceConfig.model_validate({"name": "x", "scenes": ["x.tif"], "labels": "x.geojson"})


def _config(**changes: object) -> TrainingConfig:
    values = {
        "places": [ELSEWHERE],
        "crop": 64,
        "batch": 4,
        "schedule": ScheduleConfig(steps=1, warmup=0, decay=0),
        "targets": TargetConfig(border_weight=6.0, border_inside=0.5),
    }
    return TrainingConfig.model_validate(values | changes)


def _place(value: int, *, known: bool = True) -> Place:
    instances = np.zeros((80, 80), np.int32)
    instances[20:60, 10:40], instances[20:60, 40:70] = 1, 2
    level = Level(
        image=np.full((3, 80, 80), value, np.uint8),
        instances=instances,
        contact=np.full((80, 80), 250, np.uint8),
        known=np.full((80, 80), known),
        pixel_size_m=0.3,
    )
    return make_place("here", [level], share=1.0, sigma=4.0, halve=False)


def test_seed_and_step_decide_a_batch() -> None:
    config = _config()
    one, again, next_one = (draw_batch([_place(90)], [], config, step) for step in (3, 3, 4))
    assert torch.equal(one.image, again.image)
    assert torch.equal(one.target, again.target)
    assert not torch.equal(one.image, next_one.image)


def test_ground_between_buildings_weighs_w0_more_and_buildings_a_part_of_it() -> None:
    batch = draw_batch([_place(90)], [], _config(), 0)
    inside = batch.target[:, 0] > 0
    torch.testing.assert_close(batch.weight, torch.where(inside, 4.0, 7.0))


def test_an_interior_lies_inside_its_building() -> None:
    batch = draw_batch([_place(90)], [], _config(), 1)
    assert (batch.target[:, 1] <= batch.target[:, 0]).all()
    assert batch.target[:, 1].any()


def test_unknown_pixels_weigh_nothing() -> None:
    assert not draw_batch([_place(90, known=False)], [], _config(), 0).weight.any()


def test_made_scenes_come_as_often_as_asked() -> None:
    still = AugmentConfig(tone=0, colour=0, hue=0, blur=0, noise=0, jpeg=0, shadow=0)
    synthetic = SyntheticConfig(share=0.25, first_seed=1000, count=1, size=256)
    config = _config(synthetic=synthetic, augment=still, crop=32, batch=8)
    values = torch.cat(
        [
            draw_batch([_place(50)], [_place(200)], config, step).image[:, 0, 0, 0]
            for step in range(50)
        ]
    )
    assert 0.18 < (values > 0).float().mean() < 0.32
