"""The loop: batches in, averaged weights out; may be killed and resumed at any step."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as to_safetensors
from torch import nn

from pipeline.errors import ModelError
from pipeline.training import network as networks
from pipeline.training import state as states
from pipeline.training.batches import Batch, draw_batch
from pipeline.training.config import ScheduleConfig, TrainingConfig, read_config
from pipeline.training.losses import bce_dice
from pipeline.training.made import made_places
from pipeline.training.places import Place, read_place
from pipeline.training.scores import scored_places

log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Trainer:
    """A training between two steps."""

    config: TrainingConfig
    """What it is."""
    network: nn.Module
    """What learns."""
    average: states.Average
    """What ships."""
    optimizer: torch.optim.AdamW
    """What turns gradients into steps."""
    step: int = 0
    """Steps done."""
    seconds: float = 0.0
    """Time they took, over all resumptions."""
    drawing: float = field(default=0.0)
    """The part of it that went into batches."""


def fit(config_path: Path, out_dir: Path, *, resume: bool = False) -> dict[str, Any]:
    """Train as a config file says and return the summary of the export.

    Args:
        config_path: YAML, see `TrainingConfig`; its paths are relative to where you are.
        out_dir: Gets checkpoints, the averaged weights and their summary.
        resume: Go on from the newest checkpoint there.

    Raises:
        ConfigError: Config, labels or checkpoint are unusable.
        ModelError: The loss is no longer a number.
    """
    config = read_config(config_path)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    out_dir.mkdir(parents=True, exist_ok=True)
    sigma = config.targets.contact_sigma
    places = [read_place(place, contact_sigma=sigma) for place in config.places]
    validation = [
        read_place(place, contact_sigma=sigma, halve=False) for place in config.validation
    ]
    made = made_places(config.made, cache=out_dir / "made", sigma=sigma) if config.made else []
    trainer = start(config, places, made)
    if resume:
        restore(trainer, states.load(out_dir, digest=config.digest()))
    return run(trainer, places, made, validation, out_dir)


def start(config: TrainingConfig, places: Sequence[Place], made: Sequence[Place]) -> Trainer:
    """Return a training before its first step."""
    torch.manual_seed(config.seed)
    network = networks.build(config.network)
    schedule = config.schedule
    if config.network.encoder_weights is not None:
        # Batches past the last step: nothing is seen twice.
        batches = [draw_batch(places, made, config, schedule.steps + k) for k in range(4)]
        networks.unfold_norms(network, torch.cat([batch.image for batch in batches]))
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        key = (name.startswith("encoder."), parameter.ndim > 1)
        groups.setdefault(key, []).append(parameter)
    optimizer = torch.optim.AdamW(
        [
            {
                "params": parameters,
                "scale": schedule.encoder_rate if encoder else 1.0,
                "weight_decay": schedule.weight_decay if decays else 0.0,
            }
            for (encoder, decays), parameters in sorted(groups.items(), key=lambda kv: kv[0])
        ],
        lr=schedule.rate,
    )
    average = states.Average(network, decay=schedule.average)
    return Trainer(config=config, network=network, average=average, optimizer=optimizer)


def rate_at(step: int, schedule: ScheduleConfig) -> float:
    """Return the rate: a linear rise, a plateau, half a cosine down to a hundredth."""
    if step < schedule.warmup:
        return schedule.rate * (step + 1) / schedule.warmup
    left = schedule.steps - step
    if left >= schedule.decay:
        return schedule.rate
    down = 0.5 + 0.5 * math.cos(math.pi * (1.0 - left / schedule.decay))
    return schedule.rate * (0.01 + 0.99 * down)


def advance(trainer: Trainer, batch: Batch) -> float:
    """Take one step and return its loss.

    Raises:
        ModelError: The loss is no longer a number.
    """
    rate = rate_at(trainer.step, trainer.config.schedule)
    for group in trainer.optimizer.param_groups:
        group["lr"] = rate * group["scale"]
    trainer.network.train()
    with torch.autocast("cpu", torch.bfloat16, enabled=trainer.config.bfloat16):
        logits = trainer.network(batch.image)
    loss = bce_dice(logits.float(), batch.target, batch.weight)
    value = float(loss.detach())
    if not math.isfinite(value):
        raise ModelError(f"the loss is {value} at step {trainer.step}; lower schedule.rate")
    trainer.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(trainer.network.parameters(), 5.0)
    trainer.optimizer.step()
    trainer.average.update(trainer.network, trainer.step)
    trainer.step += 1
    return value


def run(
    trainer: Trainer,
    places: Sequence[Place],
    made: Sequence[Place],
    validation: Sequence[Place],
    out_dir: Path,
) -> dict[str, Any]:
    """Take the steps that are left; save, score and export on the way."""
    config = trainer.config
    losses: list[float] = []
    scored_at = time.monotonic()
    while trainer.step < config.schedule.steps:
        began = time.monotonic()
        batch = draw_batch(places, made, config, trainer.step)
        drawn = time.monotonic()
        losses.append(advance(trainer, batch))
        trainer.drawing += drawn - began
        trainer.seconds += time.monotonic() - began
        if trainer.step % config.log_every == 0:
            _report(trainer, losses)
            losses.clear()
        if trainer.step % config.save_every == 0 or trainer.step == config.schedule.steps:
            states.save(out_dir, trainer.step, snapshot(trainer))
        if time.monotonic() - scored_at > 60 * config.score_every_minutes:
            export(trainer, validation, out_dir)
            scored_at = time.monotonic()
    return export(trainer, validation, out_dir)


def _report(trainer: Trainer, losses: Sequence[float]) -> None:
    log.info(
        "step %d  loss %.4f  rate %.2e  %.3f s/step  drawing %.0f %%",
        trainer.step,
        sum(losses) / len(losses),
        trainer.optimizer.param_groups[0]["lr"],
        trainer.seconds / trainer.step,
        100 * trainer.drawing / trainer.seconds,
    )


def snapshot(trainer: Trainer) -> dict[str, Any]:
    """Return all that a resumption needs: tensors and plain values."""
    return {
        "digest": trainer.config.digest(),
        "step": trainer.step,
        "seconds": trainer.seconds,
        "drawing": trainer.drawing,
        "network": trainer.network.state_dict(),
        "average": trainer.average.state,
        "optimizer": trainer.optimizer.state_dict(),
    }


def restore(trainer: Trainer, state: dict[str, Any]) -> None:
    """Set a training back to a snapshot."""
    trainer.network.load_state_dict(state["network"])
    trainer.optimizer.load_state_dict(state["optimizer"])
    trainer.average.state = state["average"]
    trainer.step = state["step"]
    trainer.seconds, trainer.drawing = state["seconds"], state["drawing"]


def export(trainer: Trainer, validation: Sequence[Place], out_dir: Path) -> dict[str, Any]:
    """Write the averaged weights and their summary; return the summary."""
    config = trainer.config
    states.write_whole(
        out_dir / "buildings_ema.safetensors",
        to_safetensors(states.plain(trainer.average.state)),
    )
    averaged = networks.build(config.network.model_copy(update={"encoder_weights": None}))
    averaged.load_state_dict(trainer.average.state)
    summary = {
        "arguments": networks.arguments(config.network),
        "steps": trainer.step,
        "minutes": round(trainer.seconds / 60, 1),
        "threshold": 0.5,
        "val": scored_places(averaged, validation),
    }
    states.write_whole(out_dir / "buildings_ema.json", json.dumps(summary, indent=2).encode())
    log.info("export at step %d: %s", trainer.step, json.dumps(summary["val"]))
    return summary
