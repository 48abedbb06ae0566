"""What a network says of volumes: one forward pass, whatever the blocks, and its figures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, jaccard_score, precision_score, recall_score

from pipeline.models.predictor import Stretch
from pipeline.training.config import TrainingConfig
from pipeline.training.dashboard.page import crops_of
from pipeline.training.metrics import metric_rows
from pipeline.training.step.network import build_network, described_by
from pipeline.training.validate import best_trial, predict_places, trials
from pipeline.training.volumes import outputs as of_volumes
from pipeline.training.volumes.cut import network_amplitudes
from pipeline.training.volumes.outputs import VolumePrediction, grid_of
from pipeline.training.volumes.part import UNKNOWN, VolumePart, seeds_of
from pipeline.training.volumes.sections import sections_of
from tests.training.volumes.synthetic import made_volume

TWO = [
    {"name": "salt", "colour": "#3182bd", "values": [1]},
    {"name": "gas", "colour": "#ff0000", "values": [2]},
]


def _config(**changes: Any) -> TrainingConfig:
    values: dict[str, Any] = {
        "volumes": {"train": [{"name": "x", "volume": "x.sgy", "labels": "l.sgy"}]},
        "network": {"width": 4, "depth": 1},
        "crop": 16,
        "schedule": {"steps": 5, "warmup": 0, "decay": 0},
    }
    return TrainingConfig.model_validate(values | changes)


def _part(classes: int = 1) -> VolumePart:
    amplitude, labels = made_volume(3, (21, 18, 30))
    kinds = labels.astype(np.uint8)
    kinds[:, :, :4] = classes
    kinds[:5, :5, :5] = UNKNOWN
    return VolumePart(
        name="here", amplitude=amplitude, kinds=kinds, stretch=Stretch(low=-900.0, high=1100.0),
        seeds=seeds_of(kinds, classes=classes), inlines=tuple(range(200, 242, 2)),
    )  # fmt: skip


@pytest.mark.parametrize("softmax", [False, True], ids=["sigmoid", "softmax"])
def test_blocks_are_one_forward_pass_over_the_mirrored_part(
    monkeypatch: pytest.MonkeyPatch, *, softmax: bool
) -> None:
    config = _config(loss={"softmax": softmax}, classes=TWO)
    torch.manual_seed(0)
    network, part = build_network(config).eval(), _part(2)
    rf_radius = described_by(config).rf_radius
    assert rf_radius is not None
    # Room for small blocks alone.
    monkeypatch.setattr(of_volumes, "MEMORY", 4e6)
    assert len(grid_of(network, part, config)) > 4
    (said,) = predict_places(network, [part], config)
    halo = 2 * rf_radius
    padded = np.pad(part.amplitude, halo, mode="symmetric")
    padded = np.pad(padded, [(0, side % 2) for side in padded.shape], mode="edge")
    with torch.inference_mode():
        logits = network(torch.from_numpy(network_amplitudes(padded, part.stretch))[None, None])[0]
        whole = logits.softmax(0)[1:] if softmax else logits.sigmoid()
    inner = tuple(slice(halo, halo + side) for side in part.shape)
    np.testing.assert_allclose(said.probability, whole.numpy()[(slice(None), *inner)], atol=1e-5)
    assert np.std(said.probability) > 0.01


def _said(classes: int) -> VolumePrediction:
    part = _part(classes)
    rng = np.random.default_rng(0)
    probability = rng.random((classes, *part.shape), np.float32)
    return VolumePrediction(name=part.name, part=part, probability=probability)


@pytest.mark.parametrize("classes", [1, 2])
def test_figures_are_those_of_scikit_learn_over_the_known_voxels(classes: int) -> None:
    said = _said(classes)
    config = _config(classes=TWO[:classes], score={"thresholds": [0.4, 0.6]})
    curve = trials([said], config)
    best = best_trial(curve, config.score)
    known = said.part.known
    true = np.concatenate([(said.part.kinds == k)[known] for k in range(1, classes + 1)])
    surest = said.probability.argmax(axis=0)
    found = np.concatenate(
        [
            ((one >= best.threshold) & (surest == at))[known]
            for at, one in enumerate(said.probability)
        ]
    )
    assert best.iou == pytest.approx(jaccard_score(true, found))
    assert best.score == pytest.approx(f1_score(true, found))
    row = metric_rows([said], config, best)["here"]
    wanted = {
        "voxel_iou": jaccard_score(true, found), "voxel_f1": f1_score(true, found),
        "precision": precision_score(true, found), "recall": recall_score(true, found),
    }  # fmt: skip
    for name, value in wanted.items():
        assert row[name] == pytest.approx(value, abs=1e-4), name
    low, high = row["voxel_iou_95"]  # type: ignore[misc]
    assert low < row["voxel_iou"] < high  # type: ignore[operator]


def test_pages_show_the_middle_sections_of_crops_as_they_lie() -> None:
    said = _said(2)
    one, other = sections_of(said, box=(16, 16, 16), classes=2)
    assert one.name == "here inline 216"
    # The last row of crops is moved in: inlines 5 to 20, its middle the 13th.
    assert other.name == "here inline 226"
    part = said.part
    np.testing.assert_array_equal(one.known, part.known[8].T)
    np.testing.assert_array_equal(one.kinds(), np.where(part.known[8], part.kinds[8], 0).T)
    np.testing.assert_array_equal(one.probability, said.probability[:, 8].swapaxes(1, 2))
    share = ((part.amplitude[8].T + 900) / 2000).clip(0, 1)
    assert np.abs(one.level.image / 255 - share).max() <= 0.5 / 255 + 1e-6
    crops = crops_of([said], _config(classes=TWO, crop=[16, 16, 20]), threshold=0.5)
    assert crops.shown["fixed"]
    assert {part.level.known.shape for part in crops.parts("fixed")} == {(20, 16)}
