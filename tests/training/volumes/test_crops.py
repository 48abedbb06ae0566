"""Crops of volumes: decided by seed, step and item; what is cut is what lies there."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.models.predictor import Stretch
from pipeline.training.config import TrainingConfig, VolumeAugmentConfig
from pipeline.training.data.crop_sampling import ATTEMPTS
from pipeline.training.dataloader import batch_at, loader_of
from pipeline.training.volumes.crops import VolumeCrops, sample_at
from pipeline.training.volumes.cut import (
    augment_amplitudes,
    crop_of,
    cut_voxels,
    network_amplitudes,
    oriented,
)
from pipeline.training.volumes.draws import VolumeDraws
from pipeline.training.volumes.part import UNKNOWN, VolumePart, seeds_of
from tests.strategies import examples

STILL = {"flips": False, "turns": False, "gain": 0, "noise": 0}
ELSEWHERE = {"name": "x", "volume": "x.sgy", "labels": "l.sgy"}
steps = st.integers(0, 10_000)


def part(seed: int = 0, shape: tuple[int, int, int] = (20, 24, 36), **more: Any) -> VolumePart:
    """Return amplitudes of which each says where it is, and a body that they tell of."""
    rng = np.random.default_rng(seed)
    amplitude = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    kinds = np.zeros(shape, np.uint8)
    kinds[8:12, 9:13, 20:28] = 1
    kinds[rng.random(shape) < 0.05] = UNKNOWN
    values: dict[str, Any] = {
        "name": "here", "amplitude": amplitude, "kinds": kinds,
        "stretch": Stretch(low=0.0, high=float(np.prod(shape))),
        "seeds": seeds_of(kinds, classes=1),
    }  # fmt: skip
    return VolumePart(**(values | more))


def draws(*parts: VolumePart, augment: dict[str, Any] | None = None, **changes: Any) -> VolumeDraws:
    """Return what lays crops over parts."""
    volumes = {"train": [ELSEWHERE], "augment": STILL | (augment or {})}
    schedule = {"steps": 5, "warmup": 0, "decay": 0}
    values = {"volumes": volumes, "crop": 16, "schedule": schedule}
    return VolumeDraws(
        parts=parts or (part(),), config=TrainingConfig.model_validate(values | changes)
    )


@settings(max_examples=examples(25), deadline=None)
@given(step=steps, foreground=st.sampled_from([0.0, 1.0]), crop=st.sampled_from([16, (16, 24, 32)]))
def test_what_is_cut_is_what_lies_there(step: int, foreground: float, crop: Any) -> None:
    laid = draws(crop=crop, foreground=foreground)
    draw = laid.draw(step, 0)
    amplitude, kinds = crop_of(draw, box=laid.config.box)
    here = tuple(slice(at, at + edge) for at, edge in zip(draw.start, laid.config.box, strict=True))
    assert amplitude.shape == laid.config.box
    np.testing.assert_array_equal(amplitude, draw.part.amplitude[here])
    np.testing.assert_array_equal(kinds, draw.part.kinds[here])


@settings(max_examples=examples(40), deadline=None)
@given(step=steps)
def test_flips_and_turns_of_amplitudes_and_labels_agree_and_keep_down_down(step: int) -> None:
    laid = draws(augment={"flips": True, "turns": True})
    draw = laid.draw(step, 0)
    amplitude, kinds = crop_of(draw, box=laid.config.box)
    # Each amplitude says where it came from: its label must have come along.
    at = np.unravel_index(amplitude.astype(np.int64), draw.part.shape)
    np.testing.assert_array_equal(kinds, draw.part.kinds[at])
    assert (np.diff(at[2], axis=2) == 1).all()


def test_all_eight_ways_to_lie_flat_are_seen_and_down_is_up_only_if_asked() -> None:
    def ways(**augment: Any) -> set[tuple[bool, ...]]:
        laid = draws(augment=augment)
        found: set[tuple[bool, ...]] = set()
        for step in range(160):
            amplitude, _ = crop_of(laid.draw(step, 0), box=(16, 16, 16))
            along, across, down = (
                amplitude[at] - amplitude[0, 0, 0] for at in ((1, 0, 0), (0, 1, 0), (0, 0, 1))
            )
            found.add((along > 0, across > 0, down > 0, abs(along) > abs(across)))
        return found

    assert len(ways(flips=True, turns=True)) == 8
    assert len(ways(flips=True)) == 4
    assert len(ways()) == 1
    assert len(ways(flips=True, turns=True, upside_down=True)) == 16


def test_crops_that_are_not_square_are_not_turned() -> None:
    laid = draws(augment={"turns": True}, crop=[16, 24, 16], foreground=0)
    assert {laid.draw(step, 0).turns for step in range(20)} == {0}


def test_seed_step_and_item_decide_a_batch() -> None:
    laid = draws(augment={"elastic": 2.0, "gain": 0.3, "noise": 1.0, "flips": True})
    one, again, other = (batch_at(laid, step) for step in (3, 3, 4))
    assert torch.equal(one.image, again.image)
    assert torch.equal(one.target, again.target)
    assert not torch.equal(one.image, other.image)
    assert one.image.shape == (2, 1, 16, 16, 16)
    assert one.target.shape == (2, 1, 16, 16, 16)
    assert one.weight.shape == (2, 16, 16, 16)
    # Ranks take their parts of the same batch; a training that goes on begins in the middle.
    loaded = list(loader_of(laid, steps=range(3, 5)))
    assert torch.equal(loaded[0].image, one.image)
    assert torch.equal(loaded[1].image, other.image)
    (half,) = loader_of(laid, steps=range(3, 4), rank=1, ranks=2)
    assert torch.equal(half.image, one.image[1:])


def test_unknown_voxels_weigh_nothing_and_are_of_no_class() -> None:
    laid = draws()
    batch = batch_at(laid, 0)
    unknown = batch.weight == 0
    assert 0.02 < unknown.float().mean() < 0.1
    assert not batch.target[:, 0][unknown].any()
    assert set(batch.weight.flatten().tolist()) == {0.0, 1.0}


def test_crops_lie_around_labels_as_often_as_asked() -> None:
    wide = part(shape=(40, 40, 200))
    shares = []
    for foreground in (0.0, 1.0):
        laid = draws(wide, foreground=foreground)
        hits = [sample_at(laid, step, 0).target.any() for step in range(60)]
        shares.append(np.mean(hits))
    assert shares[0] < 0.4
    assert shares[1] > 0.95


def test_rare_classes_are_laid_around_as_often_as_common_ones() -> None:
    base = part()
    kinds = base.kinds.copy()
    kinds[0, 0, 0] = 2
    both = part(kinds=kinds, seeds=seeds_of(kinds, classes=2))
    laid = draws(
        both, foreground=1,
        classes=[{"name": "a", "colour": "#ff0000", "values": [1]},
                 {"name": "b", "colour": "#00ff00", "values": [2]}],
    )  # fmt: skip
    hits = [sample_at(laid, step, 0).target[1].any() for step in range(80)]
    assert 0.3 < np.mean(hits) < 0.7


def test_parts_are_drawn_by_their_share() -> None:
    one, other = part(share=3.0), part(share=1.0)
    laid = draws(one, other)
    assert 0.6 < np.mean([laid.draw(step, 0).part is one for step in range(200)]) < 0.9


def test_a_crop_of_which_nothing_is_known_is_drawn_again_and_at_last_counted() -> None:
    kinds = np.full((20, 24, 36), UNKNOWN, np.uint8)
    kinds[:, :, -12:] = 0
    mostly = draws(part(kinds=kinds, seeds=seeds_of(kinds, classes=1)))
    redrawn = [sample_at(mostly, step, 0) for step in range(20)]
    assert any(sample.redrawn > 0 for sample in redrawn)
    assert all(sample.redrawn < ATTEMPTS and sample.weight.any() for sample in redrawn)
    dark = np.full((20, 24, 36), UNKNOWN, np.uint8)
    never = draws(part(kinds=dark, seeds=seeds_of(dark, classes=1)))
    batch = batch_at(never, 0)
    assert batch.skipped == 2
    assert not batch.weight.any()


@settings(max_examples=examples(10), deadline=None)
@given(seed=st.integers(0, 2**31), deviation=st.sampled_from([0.5, 3.0]))
def test_elastic_deformation_moves_labels_with_amplitudes(seed: int, deviation: float) -> None:
    # A level set of a smooth field: labels say where it is above 0.
    at = np.indices((24, 24, 32)).astype(np.float32)
    smooth = np.sin(at[0] / 6) + np.cos(at[1] / 7) + np.sin(at[2] / 8)
    level = part(amplitude=smooth.astype(np.float32), kinds=(smooth > 0).astype(np.uint8), seeds=())
    field = deviation * np.random.default_rng(seed).standard_normal((3, 1, 1, 1))
    field = np.broadcast_to(field, (3, 16, 16, 16)).astype(np.float32)
    amplitude, kinds = cut_voxels(level, (4, 4, 8), box=(16, 16, 16), field=field)
    sure = np.abs(amplitude) > 0.35
    np.testing.assert_array_equal(kinds[sure] == 1, amplitude[sure] > 0)
    # Whole voxels are moved exactly.
    whole = np.rint(field)
    moved, _ = cut_voxels(level, (4, 4, 8), box=(16, 16, 16), field=whole)
    first = [int(start + step) for start, step in zip((4, 4, 8), whole[:, 0, 0, 0], strict=True)]
    mirrored = np.pad(level.amplitude, 24, mode="symmetric")
    here = tuple(slice(start + 24, start + 40) for start in first)
    np.testing.assert_allclose(moved, mirrored[here], atol=1e-5)


def test_beside_a_sample_that_is_no_number_nothing_is_known() -> None:
    base = part()
    amplitude, kinds = base.amplitude.copy(), np.zeros_like(base.kinds)
    amplitude[10, 10, 10] = np.nan
    holed = part(amplitude=amplitude, kinds=kinds)
    field = np.full((3, 16, 16, 16), 0.25, np.float32)
    cut_amplitude, cut_kinds = cut_voxels(holed, (0, 0, 0), box=(16, 16, 16), field=field)
    bare = ~np.isfinite(cut_amplitude)
    assert bare.sum() == 8
    np.testing.assert_array_equal(cut_kinds == UNKNOWN, bare)


def test_gain_and_noise_stay_in_bounds_and_leave_what_is_no_number() -> None:
    stretch, rng = Stretch(low=-10.0, high=30.0), np.random.default_rng(0)
    values = np.linspace(-20, 40, 4096, dtype=np.float32).reshape(16, 16, 16)
    values[0, 0, 0] = np.nan
    gains = []
    for _ in range(40):
        out = augment_amplitudes(values, stretch, VolumeAugmentConfig(gain=0.3, noise=0), rng)
        assert np.isnan(out[0, 0, 0])
        gains.append(float((out[1, 2, 3] - 10) / (values[1, 2, 3] - 10)))
    assert 0.7 <= min(gains) < 0.8
    assert 1.2 < max(gains) <= 1.3
    noisy = augment_amplitudes(
        values, stretch, VolumeAugmentConfig(gain=0, noise=1, noise_level=0.1), rng
    )
    assert 0 < np.nanstd(noisy - values) < 4.2
    same = augment_amplitudes(values, stretch, VolumeAugmentConfig(gain=0, noise=0), rng)
    np.testing.assert_array_equal(same, values)


def test_amplitudes_are_seen_from_minus_1_to_1_and_holes_as_0() -> None:
    values = np.array([-50.0, -10.0, 10.0, 30.0, 99.0, np.nan], np.float32)
    found = network_amplitudes(values, Stretch(low=-10.0, high=30.0))
    np.testing.assert_allclose(found, [-1, -1, 0, 1, 1, 0], atol=1e-6)


def test_a_crop_turned_four_times_or_flipped_twice_is_itself() -> None:
    values = part().amplitude[:16, :16]
    out = values
    for _ in range(4):
        out = oriented(out, flips=(False, False, False), turns=1)
    np.testing.assert_array_equal(out, values)
    twice = oriented(
        oriented(values, flips=(True, True, True), turns=0), flips=(True, True, True), turns=0
    )
    np.testing.assert_array_equal(twice, values)
    with pytest.raises(AssertionError):
        np.testing.assert_array_equal(oriented(values, flips=(True, False, False), turns=0), values)


def test_crops_that_were_pickled_are_the_same() -> None:
    crops = VolumeCrops(draws(part(0), part(1)))
    sent: VolumeCrops = pickle.loads(pickle.dumps(crops))
    for item in [(0, 0), (0, 1), (7, 0)]:
        here, there = crops[item], sent[item]
        np.testing.assert_array_equal(here.image, there.image)
        np.testing.assert_array_equal(here.target, there.target)
        np.testing.assert_array_equal(here.weight, there.weight)
