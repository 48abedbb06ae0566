"""Objectives: the loss that a config names, of classes with and without background."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from segmentation_models_pytorch import losses as theirs
from torch import Tensor
from torch.nn import functional

from pipeline.models.networks import build
from pipeline.training.config import LossConfig
from pipeline.training.config.loss import LossName
from pipeline.training.step.objective import (
    central_part,
    loss_at,
    loss_of,
    loss_of_outputs,
    probabilities,
)
from tests.strategies import examples

NAMES = get_args(LossName)
seeds = st.integers(0, 2**31 - 1)


def _kinds(
    seed: int, *, classes: int = 2, known: float = 1.0, size: int = 5
) -> tuple[Tensor, Tensor, Tensor]:
    """Return logits with background and interior, target and weight of two crops."""
    chance = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(2, classes + 2, size, size, generator=chance, dtype=torch.float64)
    kind = torch.randint(0, classes + 1, (2, size, size), generator=chance)
    target = functional.one_hot(kind, classes + 1).permute(0, 3, 1, 2)[:, 1:].double()
    interior = (torch.rand(2, 1, size, size, generator=chance) < 0.3) * target.amax(1, keepdim=True)
    weight = 1 + torch.rand(2, size, size, generator=chance, dtype=torch.float64)
    weight = weight * (torch.rand(2, size, size, generator=chance) < known)
    return logits, torch.cat([target, interior], dim=1), weight


def _named(name: str, *, softmax: bool, **more: object) -> LossConfig:
    return LossConfig.model_validate({"name": name, "softmax": softmax, **more})


@pytest.mark.parametrize("softmax", [False, True], ids=["sigmoids", "softmax"])
@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=examples(2), deadline=None)
@given(seed=seeds)
def test_gradients_are_the_slopes_and_unknown_pixels_have_none(
    name: str, softmax: bool, seed: int
) -> None:
    logits, target, weight = _kinds(seed, known=0.7, size=2)
    logits = (logits if softmax else logits[:, 1:]).clone().requires_grad_()
    loss = loss_of(_named(name, softmax=softmax, class_weights=(1.0, 3.0)), classes=2)
    torch.autograd.gradcheck(lambda x: loss(x, target, weight), logits, atol=1e-4)
    loss(logits, target, weight).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    unknown = (weight == 0)[:, None].expand_as(logits)
    assert not logits.grad[unknown].any()


@pytest.mark.parametrize("softmax", [False, True], ids=["sigmoids", "softmax"])
@pytest.mark.parametrize("name", NAMES)
def test_a_perfect_answer_costs_nothing(name: str, softmax: bool) -> None:
    _, target, weight = _kinds(7)
    kinds = target[:, :2]
    background = 1 - kinds.sum(dim=1, keepdim=True)
    parts = [background, target] if softmax else [target]
    logits = 80 * (2 * torch.cat(parts, dim=1) - 1)
    loss = loss_of(_named(name, softmax=softmax), classes=2)
    assert loss(logits, target, weight).item() == pytest.approx(0.0, abs=1e-6)
    assert loss(-logits, target, weight).item() > 0.5


@settings(max_examples=examples(15), deadline=None)
@given(seed=seeds)
def test_softmax_values_are_those_of_torch_and_of_segmentation_models_pytorch(seed: int) -> None:
    logits, target, weight = _kinds(seed)
    logits, target, even = logits[:, :3].float(), target[:, :2].float(), torch.ones_like(weight)
    even = even.float()
    kind = torch.cat([1 - target.sum(1, keepdim=True), target], dim=1).argmax(dim=1)

    def found(name: str, **more: object) -> Tensor:
        return loss_of(_named(name, softmax=True, **more), classes=2)(logits, target, even)

    torch.testing.assert_close(found("bce"), functional.cross_entropy(logits, kind))
    weighed = functional.cross_entropy(logits, kind, weight=torch.tensor([1.0, 2.0, 5.0]))
    torch.testing.assert_close(found("bce", class_weights=(2.0, 5.0)), weighed)
    lovasz = theirs.LovaszLoss("multiclass")(logits, kind)
    torch.testing.assert_close(found("lovasz"), lovasz)
    dice = theirs.DiceLoss("multiclass", classes=[1, 2], smooth=0.5)(logits, kind)
    torch.testing.assert_close(found("dice"), dice)
    torch.testing.assert_close(found("bce_dice"), dice + functional.cross_entropy(logits, kind))


def test_softmax_focal_by_hand() -> None:
    # Three classes alike: p = 1/3, 1 - p = 2/3.
    logits, target = torch.zeros(1, 3, 1, 1), torch.tensor([0.0, 1.0]).reshape(1, 2, 1, 1)
    loss = loss_of(_named("focal", softmax=True, focal_gamma=2.0), classes=2)
    found = loss(logits, target, torch.ones(1, 1, 1)).item()
    assert found == pytest.approx(4 / 9 * math.log(3))


@pytest.mark.parametrize("name", NAMES)
def test_class_weights_and_the_interior_weight_multiply_their_channels(name: str) -> None:
    logits, target, weight = _kinds(3)
    logits = logits[:, 1:]
    single = loss_of(_named(name, softmax=False))
    parts = [
        single(logits[:, k : k + 1], target[:, k : k + 1], weight) for k in range(target.shape[1])
    ]
    config = _named(name, softmax=False, class_weights=(2.0, 5.0), interior_weight=0.5)
    whole = loss_of(config, classes=2)(logits, target, weight)
    torch.testing.assert_close(whole, 2 * parts[0] + 5 * parts[1] + 0.5 * parts[2])


def test_one_class_against_background_is_a_sigmoid_of_the_difference() -> None:
    logits, target, weight = _kinds(5, classes=1)
    pair, single = logits[:, :2], logits[:, 1:2] - logits[:, :1]
    soft = loss_of(_named("bce", softmax=True))(pair, target[:, :1], weight)
    torch.testing.assert_close(
        soft, loss_of(_named("bce", softmax=False))(single, target[:, :1], weight)
    )
    torch.testing.assert_close(
        probabilities(pair, LossConfig(softmax=True), classes=1),
        probabilities(single, LossConfig(), classes=1),
    )


def test_probabilities_of_exclusive_classes_add_up_to_less_than_one_and_leave_interiors() -> None:
    logits, _, _ = _kinds(6)
    found = probabilities(logits, LossConfig(softmax=True), classes=2)
    assert found.shape == (2, 3, 5, 5)
    assert (found[:, :2].sum(dim=1) < 1).all()
    torch.testing.assert_close(found[:, 2], logits[:, 3].sigmoid())


def test_the_last_steps_may_have_another_loss() -> None:
    logits, target, weight = _kinds(8, classes=1)
    logits = logits[:, 1:]
    config = LossConfig(name="bce", finish="dice", finish_steps=3)
    found = [loss_at(config, step=step, steps=10)(logits, target, weight).item() for step in (6, 7)]
    plain = [
        loss_of(LossConfig(name=name))(logits, target, weight).item() for name in ("bce", "dice")
    ]
    assert found == pytest.approx(plain)


def test_coarser_answers_count_halves_or_what_the_config_says() -> None:
    logits, target, weight = _kinds(9, classes=1)
    answers = [logits[:, 1:], 0.5 * logits[:, 1:], -logits[:, 1:]]
    loss = loss_of(LossConfig())
    each = [loss(answer.float(), target, weight) for answer in answers]
    halves = loss_of_outputs(loss, answers, target, weight)
    torch.testing.assert_close(halves, (each[0] + each[1] / 2 + each[2] / 4) / 1.75)
    asked = loss_of_outputs(loss, answers, target, weight, coarse=(0.3, 0.2))
    torch.testing.assert_close(asked, (each[0] + 0.3 * each[1] + 0.2 * each[2]) / 1.5)
    with pytest.raises(ValueError, match="1 numbers for 2 coarser outputs"):
        loss_of_outputs(loss, answers, target, weight, coarse=(0.3,))


def test_every_answer_of_a_network_with_deep_supervision_learns() -> None:
    torch.manual_seed(0)
    network = build(
        "unet",
        {"in_channels": 3, "classes": 2, "width": 4, "depth": 2, "deep_supervision": True},
    ).train()
    _, target, weight = _kinds(1, classes=1)
    target, weight = target.float().repeat(1, 1, 4, 4)[..., :16, :16], torch.ones(2, 16, 16)
    answers = network(torch.rand(2, 3, 16, 16))
    assert len(answers) > 1
    loss_of_outputs(loss_of(LossConfig()), answers, target, weight).backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and p.grad.any() for p in network.parameters() if p.ndim > 1)


@pytest.mark.parametrize("softmax", [False, True], ids=["sigmoids", "softmax"])
@pytest.mark.parametrize("name", NAMES)
def test_a_volume_costs_and_teaches_what_its_voxels_do_as_a_picture(
    name: str, softmax: bool
) -> None:
    logits, target, weight = _kinds(4, known=0.7, size=6)
    logits = (logits if softmax else logits[:, 1:]).clone()
    loss = loss_of(_named(name, softmax=softmax, class_weights=(1.0, 3.0)), classes=2)
    found, slopes = [], []
    for shape in ((6, 6), (3, 2, 6)):
        seen = logits.reshape(*logits.shape[:2], *shape).requires_grad_()
        cost = loss(
            seen, target.reshape(*target.shape[:2], *shape), weight.reshape(len(weight), *shape)
        )
        (slope,) = torch.autograd.grad(cost, seen)
        found.append(cost.item())
        slopes.append(slope.reshape(logits.shape))
    assert found[0] == pytest.approx(found[1])
    assert found[0] > 0
    torch.testing.assert_close(slopes[0], slopes[1])


def test_every_answer_of_a_volume_is_compared_with_its_middle() -> None:
    torch.manual_seed(0)
    arguments = {"in_channels": 1, "classes": 2, "width": 4, "depth": 2, "deep_supervision": True}
    network = build("unet_3d", arguments).train()
    answers = network(torch.rand(1, 1, 8, 8, 12))
    target, weight = torch.ones(1, 2, 8, 8, 12), torch.ones(1, 8, 8, 12)
    loss_of_outputs(loss_of(LossConfig(), classes=2), answers, target, weight).backward()  # type: ignore[no-untyped-call]
    assert len(answers) > 1
    assert all(p.grad is not None and p.grad.any() for p in network.parameters() if p.ndim > 1)
    truth = torch.arange(7.0 * 5 * 9).reshape(1, 7, 5, 9)
    inner = central_part(truth, torch.zeros(1, 2, 3, 5, 7))
    torch.testing.assert_close(inner, truth[:, 2:5, :, 1:8])


def test_an_answer_of_valid_convolutions_is_compared_with_the_middle() -> None:
    truth = torch.arange(49.0).reshape(1, 7, 7)
    found = central_part(truth, torch.zeros(1, 1, 3, 5))
    torch.testing.assert_close(found, truth[:, 2:5, 1:6])


def test_class_weights_for_other_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="2 numbers for 3 classes"):
        loss_of(LossConfig(class_weights=(1.0, 2.0)), classes=3)
