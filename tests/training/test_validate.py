"""Scores: the threshold that is chosen, and that mapping sees what was scored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.metrics.salt import salt_scores
from pipeline.core.quantise import STEPS, background_of, classified
from pipeline.core.tile import cut_window
from pipeline.core.window import Window
from pipeline.models.engines.torch_predictor import TorchPredictor
from pipeline.models.predictor import Stretch
from pipeline.training.config import ClassConfig, ScoreConfig, TrainingConfig, read_config
from pipeline.training.data.sources.places import Level, Place, make_place
from pipeline.training.data.targets import interiors
from pipeline.training.export.export import card_of_training
from pipeline.training.metrics import metric_rows
from pipeline.training.read_data import read_data
from pipeline.training.score.predicted import PlacePrediction, exclusive
from pipeline.training.step.network import build_network
from pipeline.training.validate import Trial, best_trial, predict_places, trials

Curve = list[tuple[float, float]]


def _config(**changes: Any) -> TrainingConfig:
    values = {
        "classes": [{"name": "salt", "colour": "#3182bd", "values": [255]}],
        "images": {"folder": "x"},
        "crop": 32,
        "network": {"name": "unet", "width": 4, "depth": 2},
        "targets": {"interior": False, "gap": False, "border_weight": 0},
        "schedule": {"steps": 1, "warmup": 0, "decay": 0},
        "score": {"kind": "salt", "min_area_px": [0, 5], "flip": True, "thresholds": [0.3, 0.5]},
        "export": {"name": "salt", "context": "pad", "pad_to": 32, "bands": ["gray"] * 3},
    }
    return TrainingConfig.model_validate(values | changes)


def _image(seed: int, *, rows: int = 21, cols: int = 21) -> Place:
    rng = np.random.default_rng(seed)
    mask = (rng.random((rows, cols)) < 0.4) if seed % 2 else np.zeros((rows, cols))
    level = Level(
        image=rng.integers(0, 256, (3, rows, cols), np.uint8),
        instances=mask.astype(np.int32),
        contact=np.zeros((rows, cols), np.uint8),
        known=np.ones((rows, cols), np.bool_),
        pixel_size_m=1.0,
    )
    return make_place(f"image {seed}", [level], share=1.0, sigma=0.0, halve=False)


def _trial(threshold: float, *, score: float, precision: float) -> Trial:
    return Trial(
        threshold=threshold, min_area_px=0, score=score, precision=precision, recall=0.5, iou=0.5
    )


@given(
    curve=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=9),
    demanded=st.none() | st.floats(0.05, 1),
)
def test_the_best_of_the_precise_enough_is_chosen_or_the_most_precise(
    curve: Curve, demanded: float | None
) -> None:
    found = [
        _trial(0.1 * at, score=score, precision=precision)
        for at, (score, precision) in enumerate(curve)
    ]
    best = best_trial(found, ScoreConfig(precision=demanded))
    fit = [trial for trial in found if trial.precision >= (demanded or 0)]
    if fit:
        assert best in fit
        assert best.score == max(trial.score for trial in fit)
    else:
        assert best.precision == max(trial.precision for trial in found)


def test_mapping_sees_of_an_image_what_was_scored() -> None:
    config = _config()
    torch.manual_seed(0)
    network = build_network(config).eval()
    places = [_image(0), _image(1, cols=18)]
    said = {one.name: one for one in predict_places(network, places, config)}
    card = card_of_training(network, config, threshold=0.5, training={}, scores={})
    assert (card.context, card.pad_to, card.flip) == ("pad", 32, True)
    predictor = TorchPredictor(card, network.state_dict())
    for place in places:
        image = place.levels[0].image
        rows, cols = image.shape[1:]
        top, left = (32 - rows) // 2, (32 - cols) // 2

        def read(window: Window, image: np.ndarray = image) -> tuple[np.ndarray, np.ndarray]:
            down = slice(window.row, window.row + window.height)
            across = slice(window.col, window.col + window.width)
            part = image[:, down, across]
            return part, np.ones(part.shape[1:], np.bool_)

        square = Window(row=-top, col=-left, height=32, width=32)
        tile, valid = cut_window(read, square, height=rows, width=cols, edge="mirror")
        mapped = predictor.predict(tile, valid, Stretch(low=0, high=255))
        expected = said[place.name].probability
        inner = mapped[:, top : top + rows, left : left + cols]
        np.testing.assert_allclose(inner, expected, atol=1e-5)


def test_small_masks_are_dropped_and_empty_images_count() -> None:
    config = _config()
    said = []
    for seed in range(6):
        level = _image(seed).levels[0]
        probability = np.zeros((1, 21, 21), np.float32)
        if seed % 2:
            probability[0] = level.instances * 0.9
        probability[0, 0, :3] = 0.4  # a speck of three pixels
        said.append(PlacePrediction(name=f"{seed}", level=level, probability=probability))
    found = {(trial.threshold, trial.min_area_px): trial.score for trial in trials(said, config)}
    assert found[0.5, 0] == found[0.5, 5] == 1.0
    assert found[0.3, 5] > found[0.3, 0]
    best = best_trial(trials(said, config), config.score)
    row = metric_rows(said, config, best)["all images"]
    assert row["salt"] == 1.0
    assert row["images"] == 6


def test_the_salt_score_is_the_challenges() -> None:
    shared, found, true = np.array([[0.0, 0.0, 6.0], [0.0, 4.0, 8.0], [0.0, 0.0, 8.0]])
    # Nothing and nothing: 1; something for nothing: 0; an IoU of 0.6 exceeds 0.50 and 0.55.
    assert salt_scores(shared, found, true) == pytest.approx([1.0, 0.0, 0.2])


def test_places_are_scored_level_by_level_with_intervals(small: Path, tmp_path: Path) -> None:
    config = read_config(small)
    (place,) = read_data(config, cache=tmp_path).validation
    level = place.levels[0]
    inside = (level.instances > 0).astype(np.float32)
    wide = np.maximum(inside, np.roll(inside, 1, axis=0))  # a row of false positives below each
    sure = interiors(level.instances, radius=1.5).astype(np.float32)
    said = [PlacePrediction(name="here", level=level, probability=np.stack([wide, sure]))]
    best = best_trial(trials(said, config), config.score)
    row = metric_rows(said, config, best)["here"]
    low, high = row["pixel_iou_95"]  # type: ignore[misc]  # a pair
    assert low <= row["pixel_iou"] <= high  # type: ignore[operator]
    assert row["marked_f1"] == 1.0


def test_places_of_several_classes_are_scored_class_by_class(small: Path, tmp_path: Path) -> None:
    config = read_config(small)
    (place,) = read_data(config, cache=tmp_path).validation
    whole = place.levels[0]
    kinds = np.arange(whole.instances.max() + 1, dtype=np.uint8) % 2 + 1
    level = replace(whole, class_of=np.where(np.arange(len(kinds)) > 0, kinds, 0).astype(np.uint8))
    two = tuple(
        ClassConfig(name=name, colour="#3182bd", values=(at,))
        for at, name in enumerate("ab", start=1)
    )
    config = config.model_copy(update={"classes": two})
    of_pixels = level.classes(level.instances)
    sure = interiors(level.instances, radius=1.5)
    right = np.stack([of_pixels == 1, of_pixels == 2, sure]).astype(np.float32)
    best = Trial(threshold=0.5, min_area_px=0, score=1.0, precision=1.0, recall=1.0, iou=1.0)
    (row,) = metric_rows(
        [PlacePrediction(name="here", level=level, probability=right)], config, best
    ).values()
    assert row["pixel_iou"] == 1.0
    wrong = right[[1, 0, 2]]
    (row,) = metric_rows(
        [PlacePrediction(name="here", level=level, probability=wrong)], config, best
    ).values()
    assert row["pixel_iou"] == 0.0


@given(seed=st.integers(0, 2**32 - 1), classes=st.integers(1, 4), softmax=st.booleans())
def test_what_is_scored_is_the_class_that_mapping_gives(
    seed: int, classes: int, softmax: bool
) -> None:
    rng = np.random.default_rng(seed)
    shares = rng.multinomial(STEPS, [1 / (classes + 1)] * (classes + 1), size=(9, 11))
    steps = np.moveaxis(shares, 2, 0)[1:].astype(np.uint8)
    if not softmax:
        steps = rng.integers(0, STEPS + 1, steps.shape, np.uint8)
    # Where class and background are equal, rounding of the probabilities would decide.
    decided = steps.max(axis=0) != background_of(steps)
    config = _config(
        classes=[
            {"name": f"class_{value}", "colour": "#3182bd", "values": [value]}
            for value in range(1, classes + 1)
        ],
        loss={"softmax": softmax},
        score={"kind": "pixels", "min_area_px": [0], "thresholds": [0.3]},
    )
    more = np.ones((1, 9, 11), np.float32)
    probability = np.concatenate([steps / np.float32(STEPS), more])
    threshold = int(rng.integers(1, STEPS + 1))
    found = exclusive(probability, config) >= np.float32(threshold) / np.float32(STEPS)
    mapped = classified(steps, threshold=threshold, shares=softmax)
    for number in range(1, classes + 1):
        np.testing.assert_array_equal(found[number - 1][decided], (mapped == number)[decided])
