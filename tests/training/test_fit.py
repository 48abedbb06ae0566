"""A whole training: killed and resumed it is the undisturbed one; what it exports, maps."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import nn

from pipeline.errors import ConfigError, ModelError
from pipeline.models.checkpoint import load_checkpoint, read_onnx
from pipeline.models.engines.torch_predictor import TorchPredictor
from pipeline.models.predictor import Stretch
from pipeline.models.registry import card_of
from pipeline.training.callbacks import Scorer
from pipeline.training.config import ScheduleConfig, TrainingConfig, read_config
from pipeline.training.data.sampler import CropSampler
from pipeline.training.export.finish import WEIGHTS
from pipeline.training.fit import fit
from pipeline.training.module import Segmenter, generator_seed, rate_at
from pipeline.training.read_data import read_data
from pipeline.training.step import state as states
from pipeline.training.step.network import build_network, unfold_norms

ROOT = Path(__file__).parents[2]


def _changed(path: Path, **changes: Any) -> Path:
    values = yaml.safe_load(path.read_text()) | changes
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.mark.slow
def test_a_training_killed_and_resumed_ends_with_the_same_bytes(
    small: Path, tmp_path: Path
) -> None:
    _changed(
        small,
        # Dropout: its chance must come from the step as well.
        network={"name": "dropout_unet", "width": 4, "depth": 2},
        schedule={"steps": 60, "warmup": 2, "decay": 2},
        save_every=7,
    )
    fit(small, tmp_path / "whole")
    killed = tmp_path / "killed"
    command = [sys.executable, "-m", "pipeline.cli", "train", str(small), "--out", str(killed)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 240
    while not states.checkpoints(killed) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (killed / "model").exists()
    summary = fit(small, killed, resume=True)
    for name in (WEIGHTS, "model/model.safetensors", "state-0000060.pt"):
        one, other = (load_state(folder / name) for folder in (tmp_path / "whole", killed))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one), name
    assert summary["steps"] == 60


def load_state(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a file: weights, or a checkpoint's weights and optimiser."""
    if path.suffix == ".safetensors":
        return load_file(path)
    state = torch.load(path, weights_only=True)
    moments = {
        f"{number}.{name}": value
        for number, kept in state["optimizer"]["state"].items()
        for name, value in kept.items()
    }
    return {**state["network"], **moments}


def test_a_signal_stops_a_training_as_any_command_and_the_second_one_counts(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handled, before = [], signal.getsignal(signal.SIGINT)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    def while_it_ends(*_: object) -> None:
        handled.append(signal.getsignal(signal.SIGINT))

    monkeypatch.setattr(Segmenter, "training_step", interrupted)
    monkeypatch.setattr(Scorer, "on_exception", while_it_ends)
    with pytest.raises(KeyboardInterrupt):
        fit(small, tmp_path / "out")
    assert handled == [before]
    assert signal.getsignal(signal.SIGINT) == before


def test_an_export_is_a_model_that_predicts_as_the_training_did(
    small: Path, tmp_path: Path
) -> None:
    summary = fit(small, tmp_path / "out")
    card, tensors = load_checkpoint(tmp_path / "out" / "model" / "model.safetensors")
    assert summary["sha256"] == card.sha256
    folder = tmp_path / "out" / "model"
    graph, _ = read_onnx(folder / "model.onnx")
    assert graph == card == card_of(str(folder))
    assert card.training["steps"] == 6
    assert json.loads((tmp_path / "out" / "summary.json").read_text()) == summary
    predictor = TorchPredictor(card, tensors)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32), np.uint8)
    said = predictor.predict(pixels, np.ones((32, 32), np.bool_), Stretch(low=0, high=255))
    network = build_network(read_config(small), started=False).eval()
    network.load_state_dict(load_file(tmp_path / "out" / WEIGHTS))
    with torch.inference_mode():
        expected = network(torch.from_numpy(pixels)[None].float() / 127.5 - 1)[0].sigmoid()
    np.testing.assert_allclose(said, expected.numpy(), atol=2e-3)  # half precision


def test_a_training_tells_what_it_did_and_leaves_two_plain_checkpoints(
    small: Path, tmp_path: Path
) -> None:
    summary = fit(small, tmp_path / "out")
    kept = states.checkpoints(tmp_path / "out")
    assert [path.name for path in kept] == ["state-0000004.pt", "state-0000006.pt"]
    assert torch.load(kept[-1], weights_only=True)["step"] == 6
    assert not list((tmp_path / "out").glob("*.part"))
    lines = (tmp_path / "out" / "history.jsonl").read_text().splitlines()
    told = [json.loads(line) for line in lines]
    assert [(line["kind"], line["step"]) for line in told] == [
        ("train", 3),
        ("train", 6),
        ("validation", 6),
    ]
    assert {"loss", "dice", "iou", "precision", "recall"} <= told[0].keys()
    row = summary["scores"]["val"]["here 0.25 m"]
    assert {"pixel_iou", "pixel_iou_95", "object_f1", "marked_f1"} <= row.keys()
    assert summary["threshold"] in read_config(small).score.thresholds
    # A finished training that is resumed only exports again.
    assert fit(small, tmp_path / "out", resume=True)["sha256"] == summary["sha256"]
    with pytest.raises(ConfigError, match="holds a training"):
        fit(small, tmp_path / "out")
    # A checkpoint that was torn is passed over.
    kept[-1].write_bytes(kept[-1].read_bytes()[:1000])
    digest = read_config(small).digest()
    assert states.load_state(tmp_path / "out", digest=digest)["step"] == 4
    with pytest.raises(ConfigError, match="another training"):
        fit(_changed(small, seed=9), tmp_path / "out", resume=True)


def test_resuming_from_nothing_is_refused(small: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="without --resume"):
        fit(small, tmp_path / "empty", resume=True)


def test_a_loss_that_is_no_number_stops_the_training(small: Path, tmp_path: Path) -> None:
    _changed(small, schedule={"steps": 9, "warmup": 0, "decay": 0, "rate": 1e20})
    with pytest.raises(ModelError, match=r"the loss is (nan|inf) at step \d"):
        fit(small, tmp_path / "out")


def test_every_rank_takes_its_part_of_the_same_batch(small: Path, tmp_path: Path) -> None:
    config = read_config(small)
    draws = read_data(config, cache=tmp_path).draws(config)
    whole = CropSampler(draws, steps=range(2, 4))
    parts = [CropSampler(draws, steps=range(2, 4), rank=rank, ranks=2) for rank in (0, 1)]
    items = [query.item for query in whole]
    assert len(whole) == len(items) == 4
    assert sorted(query.item for part in parts for query in part) == items


def test_the_rate_rises_stays_and_falls_to_a_hundredth() -> None:
    schedule = ScheduleConfig(steps=100, warmup=10, decay=40, rate=1.0)
    assert [rate_at(step, schedule) for step in (0, 9, 10, 60)] == [0.1, 1.0, 1.0, 1.0]
    assert rate_at(80, schedule) == pytest.approx(0.505)
    assert rate_at(100, schedule) == pytest.approx(0.01)


def test_the_average_starts_at_the_weights_and_follows_them() -> None:
    network = nn.Linear(1, 1, bias=False)
    average = states.Average(network, decay=0.5)
    start_value = network.weight.item()
    with torch.no_grad():
        network.weight += 1.0
    average.update(network, step=1000)
    assert average.state["weight"].item() == pytest.approx(start_value + 0.5)


def test_every_step_has_a_chance_of_its_own() -> None:
    drawn = {generator_seed(seed, step) for seed in range(3) for step in range(100)}
    assert len(drawn) == 300
    assert all(0 <= chance < 2**63 for chance in drawn)


def test_an_unknown_network_or_argument_is_refused(small: Path, tmp_path: Path) -> None:
    _changed(small, network={"name": "unet", "wdth": 4, "depth": 2})
    config = read_config(small)
    with pytest.raises(ConfigError, match="wdth"):
        Segmenter(config, read_data(config, cache=tmp_path).draws(config))


def test_unfolding_norms_changes_no_output_and_takes_the_statistics_on() -> None:
    torch.manual_seed(0)
    config = TrainingConfig.model_validate(
        {
            "images": {"folder": "x"},
            "network": {"encoder_depth": 3, "decoder_channels": [16, 8, 8]},
            "schedule": {"steps": 1, "warmup": 0, "decay": 0},
        }
    )
    network = build_network(config).eval()
    image = torch.rand(2, 3, 64, 64)
    before = network(image)
    unfold_norms(network, image)
    torch.testing.assert_close(network(image), before, rtol=1e-3, atol=1e-4)
    first = network.get_submodule("encoder.features.0")
    seen = first[0](image)  # type: ignore[index]
    torch.testing.assert_close(first[1].running_mean, seen.mean(dim=(0, 2, 3)))  # type: ignore[index]
