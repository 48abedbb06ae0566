"""The loop: a resumed training is the undisturbed one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import nn

from pipeline.errors import ConfigError, ModelError
from pipeline.training import state as states
from pipeline.training.batches import draw_batch
from pipeline.training.config import NetworkConfig, ScheduleConfig, read_config
from pipeline.training.fit import Trainer, advance, fit, rate_at, snapshot, start
from pipeline.training.network import build, unfold_norms
from pipeline.training.places import Place, read_place


def _begun(config_path: Path) -> tuple[Trainer, list[Place]]:
    config = read_config(config_path)
    places = [read_place(place, contact_sigma=4.0) for place in config.places]
    return start(config, places, []), places


def test_a_killed_and_resumed_training_ends_with_the_same_bytes(
    small: Path, tmp_path: Path
) -> None:
    fit(small, tmp_path / "whole")
    trainer, places = _begun(small)
    for _ in range(3):
        advance(trainer, draw_batch(places, [], trainer.config, trainer.step))
    (tmp_path / "killed").mkdir()
    states.save(tmp_path / "killed", trainer.step, snapshot(trainer))
    summary = fit(small, tmp_path / "killed", resume=True)
    whole, killed = (tmp_path / name / "buildings_ema.safetensors" for name in ("whole", "killed"))
    assert whole.read_bytes() == killed.read_bytes()
    assert summary["steps"] == 6


def test_an_export_loads_into_the_network_that_its_summary_describes(
    small: Path, tmp_path: Path
) -> None:
    summary = fit(small, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "buildings_ema.json").read_text())["steps"] == 6
    network = build(NetworkConfig(depth=3, decoder=(16, 8, 8)))
    network.load_state_dict(load_file(tmp_path / "out" / "buildings_ema.safetensors"))
    (scores,) = summary["val"].values()
    assert set(scores) == {"threshold", "pixel_iou", "object_f1", "marked_f1"}


def test_only_the_last_two_checkpoints_are_kept_and_they_hold_plain_values(
    small: Path, tmp_path: Path
) -> None:
    fit(small, tmp_path / "out")
    kept = states.checkpoints(tmp_path / "out")
    assert [path.name for path in kept] == ["state-0000004.pt", "state-0000006.pt"]
    assert torch.load(kept[-1], weights_only=True)["step"] == 6
    assert not list((tmp_path / "out").glob("*.part"))


def test_resuming_from_nothing_is_refused(small: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="without --resume"):
        fit(small, tmp_path / "empty", resume=True)


def test_resuming_another_training_is_refused(small: Path, tmp_path: Path) -> None:
    fit(small, tmp_path / "out")
    other = yaml.safe_load(small.read_text()) | {"seed": 9}
    small.write_text(yaml.safe_dump(other))
    with pytest.raises(ConfigError, match="another training"):
        fit(small, tmp_path / "out", resume=True)


def test_a_loss_that_is_no_number_stops_the_training(small: Path) -> None:
    trainer, places = _begun(small)
    batch = draw_batch(places, [], trainer.config, 0)
    batch.image.fill_(float("nan"))
    with pytest.raises(ModelError, match="step 0"):
        advance(trainer, batch)


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


def test_unfolding_norms_changes_no_output_and_takes_the_statistics_on() -> None:
    torch.manual_seed(0)
    network = build(NetworkConfig(depth=3, decoder=(16, 8, 8))).eval()
    image = torch.rand(2, 3, 64, 64)
    before = network(image)
    unfold_norms(network, image)
    torch.testing.assert_close(network(image), before, rtol=1e-3, atol=1e-4)
    first = network.get_submodule("encoder.features.0")
    seen = first[0](image)  # type: ignore[index]
    torch.testing.assert_close(first[1].running_mean, seen.mean(dim=(0, 2, 3)))  # type: ignore[index]
