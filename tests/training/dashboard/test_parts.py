"""What the pages are made of: squares, colours, overlays, curves."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ImageColor

from pipeline.training.config import LossConfig, TrainingConfig
from pipeline.training.dashboard.colours import contrasting, lab
from pipeline.training.dashboard.crops import extremes, fixed, patches
from pipeline.training.dashboard.figures import (
    MOST_POINTS,
    curves,
    logits_of,
    read_history,
    thinned,
    validation_loss,
)
from pipeline.training.dashboard.overlay import draw_overlay, part_of
from pipeline.training.data.sources.places import Level
from pipeline.training.score.predicted import PlacePrediction
from pipeline.training.step.objective import probabilities
from tests.strategies import examples


def _answer(
    found: np.ndarray, true: np.ndarray, *, known: np.ndarray | None = None
) -> PlacePrediction:
    """Return an answer of one class that is sure of all it says."""
    level = Level(
        image=np.full((3, *true.shape), 128, np.uint8),
        instances=true.astype(np.int32),
        contact=np.zeros(true.shape, np.uint8),
        known=np.ones(true.shape, bool) if known is None else known,
        pixel_size_m=0.2,
    )
    said = np.where(found, 0.9, 0.1)[None].astype(np.float32)
    return PlacePrediction(name="here", level=level, probability=said)


@settings(max_examples=examples(20), deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(8, 70),
    cols=st.integers(8, 70),
    size=st.sampled_from([(16, 16), (32, 32), (16, 24)]),
)
def test_squares_cover_every_pixel_and_count_what_is_in_them(
    seed: int, rows: int, cols: int, size: tuple[int, int]
) -> None:
    rng = np.random.default_rng(seed)
    found, true = rng.random((2, rows, cols)) < 0.4
    said = _answer(found, true)
    seen = np.zeros((rows, cols), int)
    for patch in patches([said], size=size, classes=1, threshold=0.5):
        high, wide = size
        here = (slice(patch.row, patch.row + high), slice(patch.col, patch.col + wide))
        seen[here] += 1
        assert patch.tp == (found & true)[here].sum()
        assert patch.fp == (found & ~true)[here].sum()
        assert patch.fn == (~found & true)[here].sum()
        part = part_of(said, patch, size=size)
        np.testing.assert_array_equal(part.level.instances > 0, true[here])
    assert seen.min() >= 1


def test_of_several_classes_the_wrong_one_is_no_hit() -> None:
    true = np.zeros((16, 16), int)
    true[:8] = 1
    said = _answer(true > 0, true)
    probability = np.concatenate([np.full((1, 16, 16), 0.1), said.probability]).astype(np.float32)
    (patch,) = patches(
        [PlacePrediction(name="x", level=said.level, probability=probability)],
        size=(16, 16),
        classes=2,
        threshold=0.5,
    )
    # Everything was found to be of class 2, and is of class 1.
    assert (patch.tp, patch.fp, patch.fn) == (0, 128, 128)


def test_fixed_squares_do_not_depend_on_what_was_predicted() -> None:
    rng = np.random.default_rng(0)
    true = rng.random((200, 200)) < 0.3
    shown = [
        [
            (p.row, p.col)
            for p in fixed(patches([_answer(found, true)], size=(20, 20), classes=1, threshold=0.5))
        ]
        for found in (true, ~true, np.zeros_like(true))
    ]
    assert shown[0] == shown[1] == shown[2]
    assert len(shown[0]) == 12


def test_the_best_are_better_than_the_worst_and_none_is_both() -> None:
    rng = np.random.default_rng(0)
    true = rng.random((160, 160)) < 0.5
    flip = rng.random((160, 160)) < np.linspace(0, 0.9, 160)[:, None]
    every = patches([_answer(true ^ flip, true)], size=(20, 20), classes=1, threshold=0.5)
    best, worst = extremes(every)
    assert min(p.iou for p in best) > max(p.iou for p in worst)
    assert not {(p.row, p.col) for p in best} & {(p.row, p.col) for p in worst}
    assert extremes([]) == ([], [])


def test_what_is_hardly_labelled_is_not_shown() -> None:
    true = np.ones((32, 32), bool)
    known = np.zeros((32, 32), bool)
    known[:, :10] = True
    assert (
        patches([_answer(true, true, known=known)], size=(32, 32), classes=1, threshold=0.5) == []
    )


def test_overlays_paint_found_made_up_and_missed_in_their_colours() -> None:
    found, true = np.zeros((30, 30), bool), np.zeros((30, 30), bool)
    true[:20, :10], found[:20, :10] = True, True
    found[:20, 10:20], true[:20, 20:] = True, True
    colours = ("#00ff00", "#0000ff", "#ff0000")
    out = draw_overlay(_answer(found, true), classes=1, threshold=0.5, colours=colours).astype(int)
    for col, colour in zip((4, 14, 25), colours, strict=True):
        paint = np.array(ImageColor.getrgb(colour))
        assert out[10, col].argmax() == paint.argmax()
        # The edge is opaque.
        np.testing.assert_array_equal(out[19, col], paint)
    assert np.ptp(out[25, 15]) == 0


@settings(max_examples=examples(20), deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_colours_differ_from_the_imagery_and_from_each_other(seed: int) -> None:
    rng = np.random.default_rng(seed)
    around = rng.integers(20, 230, 3)
    image = np.clip(around + rng.normal(0, 12, (40, 40, 3)), 0, 255).astype(np.uint8)
    chosen = np.array([ImageColor.getrgb(one) for one in contrasting([image])]) / 255.0
    mine, ground = lab(chosen), lab(image.reshape(-1, 3) / 255.0)
    pairs = np.linalg.norm(mine[:, None] - mine[None], axis=2)[np.triu_indices(3, 1)]
    # A difference of 2.3 is what people just see.
    assert pairs.min() > 40
    assert np.percentile(np.linalg.norm(mine[:, None] - ground[None], axis=2), 5) > 25


def test_lab_of_known_colours() -> None:
    white, red = lab(np.array([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]]))
    np.testing.assert_allclose(white, [100, 0, 0], atol=0.05)
    np.testing.assert_allclose(red, [53.24, 80.09, 67.20], atol=0.1)


@pytest.mark.parametrize("softmax", [False, True])
def test_logits_give_their_probabilities_back(softmax: bool) -> None:
    config = LossConfig(softmax=softmax)
    said = torch.rand(3, 6, 6, generator=torch.Generator().manual_seed(0)) * 0.45 + 0.01
    logits = logits_of(said, config, 2)
    torch.testing.assert_close(
        probabilities(logits[None], config, classes=2)[0], said, rtol=1e-4, atol=1e-5
    )


def test_the_loss_of_validation_falls_with_the_errors() -> None:
    config = TrainingConfig.model_validate(
        {
            "places": [{"name": "x", "scenes": ["x.tif"], "labels": "x"}],
            "targets": {"interior": False, "gap": False},
            "loss": {"name": "bce"},
            "schedule": {"steps": 1, "warmup": 0, "decay": 0},
        }
    )
    true = np.zeros((20, 20), bool)
    true[5:15, 5:15] = True
    right, wrong = (validation_loss([_answer(f, true)], config) for f in (true, ~true))
    assert right == pytest.approx(-math.log(0.9), rel=1e-4)
    assert wrong == pytest.approx(-math.log(0.1), rel=1e-4)
    assert math.isnan(validation_loss([], config))


def test_a_resumed_training_replaces_the_steps_it_repeats() -> None:
    rows = [
        {"kind": "train", "step": 2, "loss": 5.0, "iou": 0.5},
        {"kind": "train", "step": 4, "loss": 4.0},
        {"kind": "train", "step": 2, "loss": 3.0},
        {"kind": "validation", "step": 4, "iou": 0.5, "loss": math.nan},
        {"kind": "other", "step": 5, "loss": 9.0},
    ]
    found = curves(rows)
    assert found["loss"] == {"train": [[2, 3.0], [4, 4.0]], "validation": []}
    assert found["dice"]["validation"] == [[4, round(2 / 3, 5)]]


def test_a_history_that_a_kill_cut_short_is_read(tmp_path: Path) -> None:
    assert read_history(tmp_path) == []
    whole = json.dumps({"kind": "train", "step": 1, "loss": 1.0})
    (tmp_path / "history.jsonl").write_text(f'{whole}\n["no row"]\n{whole[:12]}')
    assert [row["step"] for row in read_history(tmp_path)] == [1]


@given(count=st.integers(0, 2000))
def test_thinned_curves_keep_their_ends(count: int) -> None:
    points = [(step, step / 7) for step in range(count)]
    found = thinned(points)
    assert len(found) == min(count, MOST_POINTS)
    if points:
        assert found[0][0] == 0
        assert found[-1][0] == count - 1
