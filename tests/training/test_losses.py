"""Losses against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from pipeline.training.losses import bce_dice, dice, weighted_bce


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


def test_dice_of_nothing_on_nothing_is_no_loss() -> None:
    assert dice(torch.full((4,), -50.0), torch.zeros(4), torch.ones(4)).item() == pytest.approx(0)


def test_unknown_pixels_change_neither_loss_nor_gradient() -> None:
    logits = torch.randn(2, 2, 4, 4, generator=torch.Generator().manual_seed(1))
    target = (logits > 0.3).float()
    weight = torch.ones(2, 4, 4)
    weight[:, :, 2:] = 0
    other = logits.clone()
    other[..., 2:] = 9.0
    other.requires_grad_()
    loss = bce_dice(other, target, weight)
    assert loss.item() == pytest.approx(bce_dice(logits, target, weight).item())
    loss.backward()  # type: ignore[no-untyped-call]
    assert other.grad is not None
    assert not other.grad[..., 2:].any()


def test_a_batch_without_a_known_pixel_has_a_finite_loss() -> None:
    loss = bce_dice(torch.ones(1, 2, 4, 4), torch.ones(1, 2, 4, 4), torch.zeros(1, 4, 4))
    assert loss.item() == pytest.approx(0.0)
