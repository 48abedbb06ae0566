"""Losses of channels with sigmoids of their own: by hand, by other formulae, and their laws."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from segmentation_models_pytorch import losses as theirs
from sklearn.metrics import jaccard_score
from torch import Tensor

from pipeline.training.step.losses import (
    bce_dice,
    dice,
    focal,
    lovasz_hinge,
    lovasz_softmax,
    overlap,
    tversky,
    weighted_bce,
)
from pipeline.training.step.objective import Loss
from tests.strategies import examples

LOSSES: dict[str, Loss] = {
    "bce": weighted_bce,
    "dice": dice,
    "bce_dice": bce_dice,
    "focal": focal,
    "focal alpha": partial(focal, gamma=1.5, alpha=0.25),
    "tversky": partial(tversky, false=0.3, missed=0.7),
    "lovasz": lovasz_hinge,
    "lovasz hard": partial(lovasz_hinge, soft=False),
}
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
seeds = st.integers(0, 2**31 - 1)


def _some(seed: int, *, known: float = 1.0, size: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    """Return logits, target and weight of (2, size, size)."""
    chance = torch.Generator().manual_seed(seed)
    shape = (2, size, size)
    logits = 2 * torch.randn(shape, generator=chance, dtype=torch.float64)
    target = (torch.rand(shape, generator=chance) < 0.4).double()
    weight = 1 + 5 * torch.rand(shape, generator=chance, dtype=torch.float64)
    return logits, target, weight * (torch.rand(shape, generator=chance) < known)


def test_bce_of_an_undecided_network_is_log_two_whatever_the_weights() -> None:
    logits = torch.zeros(2, 3)
    target = torch.tensor([[0.0, 1.0, 0.0], [1.0, 1.0, 0.0]])
    weight = torch.tensor([[1.0, 5.0, 0.0], [2.0, 1.0, 1.0]])
    assert weighted_bce(logits, target, weight).item() == pytest.approx(math.log(2.0))


def test_bce_counts_a_pixel_as_often_as_it_weighs() -> None:
    logits = torch.tensor([0.0, math.log(3.0)])
    # p = 1/2 and 3/4, both true: (3 log 2 + 1 log 4/3) / 4.
    loss = weighted_bce(logits, torch.ones(2), torch.tensor([3.0, 1.0]))
    assert loss.item() == pytest.approx((3 * math.log(2) + math.log(4 / 3)) / 4)


def test_dice_by_hand() -> None:
    logits = torch.tensor([0.0, 0.0, math.log(3.0)])
    target = torch.tensor([1.0, 0.0, 1.0])
    # sum(p g) = 1.25, sum p = 1.75, sum g = 2, s = 1.
    expected = 1 - (2 * 1.25 + 1) / (1.75 + 2 + 1)
    assert dice(logits, target, torch.ones(3)).item() == pytest.approx(expected)


def test_tversky_by_hand() -> None:
    logits = torch.tensor([0.0, 0.0, math.log(3.0)])
    target = torch.tensor([1.0, 0.0, 1.0])
    # tp = 1.25, fp = 0.5, fn = 0.75.
    expected = 1 - (1.25 + 0.5) / (1.25 + 0.3 * 0.5 + 0.7 * 0.75 + 0.5)
    loss = tversky(logits, target, torch.ones(3), false=0.3, missed=0.7)
    assert loss.item() == pytest.approx(expected)


def test_focal_by_hand() -> None:
    logits = torch.tensor([math.log(3.0), 0.0])
    # p of what is true: 3/4 and 1/2; 1 - p: 1/4 and 1/2.
    expected = (math.log(4 / 3) / 16 + math.log(2) / 4) / 2
    found = focal(logits, torch.tensor([1.0, 0.0]), torch.ones(2), gamma=2.0)
    assert found.item() == pytest.approx(expected)
    weighed = (0.25 * math.log(4 / 3) / 16 + 0.75 * math.log(2) / 4) / 2
    found = focal(logits, torch.tensor([1.0, 0.0]), torch.ones(2), gamma=2.0, alpha=0.25)
    assert found.item() == pytest.approx(weighed)


def test_the_hard_lovasz_hinge_by_hand() -> None:
    logits = torch.tensor([[[0.5, -0.2], [-3.0, 2.0]]])
    target = torch.tensor([[[1.0, 1.0], [0.0, 0.0]]])
    # Hinges 0.5, 1.2, 0, 3; downwards 3 (false), 1.2 (missed), 0.5 (missed), 0. Jaccard losses
    # as they come in: 1 - 2/3, 1 - 1/3, 1 - 0/3, 1; each adds 1/3, 1/3, 1/3, 0.
    loss = lovasz_hinge(logits, target, torch.ones_like(logits), soft=False)
    assert loss.item() == pytest.approx((3 + 1.2 + 0.5) / 3)


def test_focal_without_gamma_is_the_cross_entropy() -> None:
    logits, target, weight = _some(3)
    torch.testing.assert_close(
        focal(logits, target, weight, gamma=0.0), weighted_bce(logits, target, weight)
    )


def test_tversky_with_halves_is_dice() -> None:
    logits, target, weight = _some(4, known=0.7)
    torch.testing.assert_close(
        tversky(logits, target, weight, false=0.5, missed=0.5), dice(logits, target, weight)
    )


@settings(max_examples=examples(20), deadline=None)
@given(seed=seeds)
def test_values_are_those_of_segmentation_models_pytorch(seed: int) -> None:
    logits, target, _ = _some(seed)
    logits, target = logits.float(), target.float()
    even = torch.ones_like(logits)
    mine, truth = logits[:, None], target[:, None]
    pairs: dict[str, tuple[Loss, Any]] = {
        "bce": (weighted_bce, theirs.SoftBCEWithLogitsLoss()),
        "focal": (focal, theirs.FocalLoss("binary", gamma=2.0)),
        "focal alpha": (
            partial(focal, gamma=2.0, alpha=0.25),
            theirs.FocalLoss("binary", gamma=2.0, alpha=0.25),
        ),
        "lovasz": (partial(lovasz_hinge, soft=False), theirs.LovaszLoss("binary", per_image=True)),
        # Its spare pixels are added to halves of the sums.
        "dice": (dice, theirs.DiceLoss("binary", smooth=0.5)),
        "tversky": (
            partial(tversky, false=0.3, missed=0.7),
            theirs.TverskyLoss("binary", smooth=0.5, alpha=0.3, beta=0.7),
        ),
    }
    for name, (ours, other) in pairs.items():
        torch.testing.assert_close(
            ours(logits, target, even), other(mine, truth), rtol=1e-5, atol=1e-7, msg=name
        )


@settings(max_examples=examples(20), deadline=None)
@given(seed=seeds)
def test_on_hard_answers_lovasz_softmax_is_the_jaccard_loss(seed: int) -> None:
    logits, target, _ = _some(seed)
    hard = (logits > 0).double()
    expected = 1 - jaccard_score(target.flatten(), hard.flatten(), zero_division=1.0)
    loss = lovasz_softmax(hard, target, torch.ones_like(hard))
    assert loss.item() == pytest.approx(expected)


@every_loss
@settings(max_examples=examples(5), deadline=None)
@given(seed=seeds)
def test_gradients_are_the_slopes(loss: Loss, seed: int) -> None:
    logits, target, weight = _some(seed, known=0.8, size=3)
    torch.autograd.gradcheck(lambda x: loss(x, target, weight), logits.requires_grad_(), atol=1e-4)


@every_loss
def test_a_perfect_answer_costs_nothing_and_the_opposite_much(loss: Loss) -> None:
    _, target, weight = _some(1)
    right = 60 * (2 * target - 1)
    assert loss(right, target, weight).item() == pytest.approx(0.0, abs=1e-6)
    assert loss(-right, target, weight).item() > 0.5


@every_loss
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_nothing_at_all_and_everything_are_right_too(loss: Loss, value: float) -> None:
    target = torch.full((1, 4, 4), value)
    assert loss(60 * (2 * target - 1), target, torch.ones(1, 4, 4)).item() == pytest.approx(
        0.0, abs=1e-6
    )


@every_loss
@settings(max_examples=examples(10), deadline=None)
@given(seed=seeds)
def test_unknown_pixels_change_neither_loss_nor_gradient(loss: Loss, seed: int) -> None:
    logits, target, weight = _some(seed, known=0.6)
    unknown = weight == 0
    other = torch.where(unknown, torch.full_like(logits, 9.0), logits).requires_grad_()
    flipped = torch.where(unknown, 1 - target, target)
    found = loss(other, flipped, weight)
    torch.testing.assert_close(found, loss(logits, target, weight))
    found.backward()  # type: ignore[no-untyped-call]
    assert other.grad is not None
    assert not other.grad[unknown].any()
    assert other.grad.isfinite().all()


@every_loss
def test_a_batch_without_a_known_pixel_costs_nothing_and_teaches_nothing(loss: Loss) -> None:
    logits, target, weight = _some(2)
    logits.requires_grad_()
    found = loss(logits, target, torch.zeros_like(weight))
    assert found.item() == pytest.approx(0.0)
    found.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert not logits.grad.any()


@every_loss
def test_extreme_logits_stay_finite(loss: Loss) -> None:
    _, target, weight = _some(5)
    for far in (-1e4, 1e4):
        logits = torch.full_like(target, far).float().requires_grad_()
        found = loss(logits, target.float(), weight.float())
        found.backward()  # type: ignore[no-untyped-call]
        assert found.isfinite()
        assert logits.grad is not None
        assert logits.grad.isfinite().all()


def test_missed_pixels_cost_tversky_more_than_false_ones() -> None:
    target = torch.tensor([[[1.0, 1.0, 0.0, 0.0]]])
    one_missed = torch.tensor([[[1.0, 0.0, 0.0, 0.0]]])
    one_false = torch.tensor([[[1.0, 1.0, 1.0, 0.0]]])
    costs = [
        overlap(p, target, torch.ones_like(p), false=0.3, missed=0.7)
        for p in (one_missed, one_false)
    ]
    assert costs[0] > costs[1]
