"""What a training hands over: averaged weights, their scores, and the model folder."""

from __future__ import annotations

import json
import logging
import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save as to_safetensors
from torch import nn

from pipeline.training.callbacks import TrainingTimer
from pipeline.training.config import TrainingConfig
from pipeline.training.dashboard.callback import Live, final_page
from pipeline.training.export.export import card_of_training, write_graph, write_model
from pipeline.training.metrics import metric_rows
from pipeline.training.module import Segmenter
from pipeline.training.read_data import Data
from pipeline.training.step import network as networks
from pipeline.training.step import state as states
from pipeline.training.step.device import scoring
from pipeline.training.validate import Trial, best_trial, predict_places, trials
from pipeline.training.volumes.data import VolumeData

log = logging.getLogger(__name__)

WEIGHTS = "averaged.safetensors"
"""The averaged weights of the last export, in full precision."""
TOLD_ELSEWHERE: dict[str, Any] = {
    **dict.fromkeys(("export", "places", "validation", "test"), True),
    "volumes": {"train", "validation", "test"},
}
"""Parts of a config that are no part of the recipe in the card."""
OF_PICTURES: dict[str, Any] = dict.fromkeys(("augment", "images", "synthetic", "targets"), True)
"""Parts that a training of volumes has nothing to do with."""
MODEL = "model"
"""Folder of the model in a run's folder: what `overtile map --model` takes."""


@dataclass(slots=True, kw_only=True)
class Run:
    """A training that is under way."""

    config: TrainingConfig
    """What it is."""
    data: Data | VolumeData
    """What it reads."""
    folder: Path
    """Where it writes."""
    clock: TrainingTimer
    """How long it took."""
    live: Live
    """Shows it."""


def averaged(module: Segmenter) -> nn.Module:
    """Return the network with the averaged weights, on the CPU, ready to predict."""
    network = networks.build_network(module.config, started=False)
    network.load_state_dict({name: kept.cpu() for name, kept in module.average.state.items()})
    return network.eval()


def score_now(run: Run, module: Segmenter) -> None:
    """Write the averaged weights and note how good they are at threshold 0.5."""
    network = averaged(module)
    _write_weights(run, network)
    if not run.data.validation:
        return
    half = run.config.model_copy(
        update={"score": run.config.score.model_copy(update={"thresholds": (0.5,)})}
    )
    predictions = predict_places(scoring(network, run.config), run.data.validation, half)
    best = best_trial(trials(predictions, half), half.score)
    run.live.validated(predictions, best, step=module.step)
    log.info(
        "validation at step %d: %s %.4f, pixel IoU %.4f at threshold 0.5",
        module.step,
        run.config.score.kind,
        best.score,
        best.iou,
    )


def _write_weights(run: Run, network: nn.Module) -> None:
    plain = states.contiguous(network.state_dict())
    states.write_whole(run.folder / WEIGHTS, to_safetensors(plain))


def finish(run: Run, module: Segmenter) -> dict[str, Any]:
    """Choose the threshold on validation, score, pack the model; return the summary."""
    config, network = run.config, averaged(module)
    _write_weights(run, network)
    best, scores = _chosen_and_scored(run, scoring(network, config))
    network.cpu()
    left_out = TOLD_ELSEWHERE | (OF_PICTURES if config.volumes else {"volumes": True})
    training = {
        "steps": module.step,
        "hours": round(run.clock.seconds / 3600, 3),
        "seed": config.seed,
        "batch": config.batch,
        "crop": config.crop if isinstance(config.crop, int) else list(config.crop),
        "data": [one.name for one in (config.volumes.train if config.volumes else config.places)],
        "recipe": json.loads(config.model_dump_json(exclude=left_out)),
        "min_area_px": best.min_area_px,
        "redrawn_crops": module.redrawn,
        "skipped_crops": module.skipped,
    }
    if isinstance(run.data, VolumeData):
        spans = {part.name: [part.stretch.low, part.stretch.high] for part in run.data.train}
        training["black_and_white"] = spans
    training["recipe"] = _without_paths(training["recipe"])
    card = card_of_training(
        network, config, threshold=best.threshold, training=training, scores=scores
    )
    card = write_model(run.folder / MODEL, network.state_dict(), card)
    if reason := write_graph(run.folder / MODEL):
        log.warning("no model.onnx, the model maps with torch alone: %s", reason)
    summary = {
        "model": str(run.folder / MODEL),
        "sha256": card.sha256,
        "steps": module.step,
        "hours": training["hours"],
        "s_per_step": round(run.clock.seconds / max(module.step, 1), 4),
        "drawing": round(run.clock.drawing / max(run.clock.seconds, 1e-9), 4),
        "rf_radius_px": card.network.rf_radius,
        "threshold": best.threshold,
        "min_area_px": best.min_area_px,
        "skipped_crops": module.skipped,
        "scores": scores,
    }
    states.write_whole(run.folder / "summary.json", json.dumps(summary, indent=2).encode())
    return summary


def _chosen_and_scored(run: Run, network: nn.Module) -> tuple[Trial, dict[str, Any]]:
    config, data = run.config, run.data
    best = Trial(
        threshold=0.5,
        min_area_px=0,
        score=math.nan,
        precision=math.nan,
        recall=math.nan,
        iou=math.nan,
    )
    scores: dict[str, Any] = {}
    curve: list[Trial] = []
    if data.validation:
        predictions = predict_places(network, data.validation, config)
        curve = trials(predictions, config)
        best = best_trial(curve, config.score)
        if config.score.precision is not None and best.precision < config.score.precision:
            log.warning(
                "no threshold reaches precision %.2f on validation; %.2f at %.2f is the best",
                config.score.precision,
                best.precision,
                best.threshold,
            )
        scores["val"] = metric_rows(predictions, config, best)
        states.write_whole(
            run.folder / "thresholds.json",
            json.dumps([asdict(trial) for trial in curve], indent=1).encode(),
        )
        run.live.validated(predictions, best, step=config.schedule.steps, done=True)
        if not data.test:
            final_page(
                run.folder, config, predictions, split="validation", found=best, trials=curve
            )
    if data.test:
        predictions = predict_places(network, data.test, config)
        scores["test"] = metric_rows(predictions, config, best)
        found = trials(predictions, _at(config, best))[0]
        final_page(run.folder, config, predictions, split="test", found=found, trials=curve)
    return best, scores


def _at(config: TrainingConfig, best: Trial) -> TrainingConfig:
    """Return a config that tries what was chosen, and nothing else."""
    tried = {"thresholds": (best.threshold,), "min_area_px": (best.min_area_px,)}
    return config.model_copy(update={"score": config.score.model_copy(update=tried)})


def _without_paths(value: Any) -> Any:
    """Return a recipe without where its files lay: only their names."""
    if isinstance(value, dict):
        return {key: _without_paths(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_without_paths(part) for part in value]
    return os.path.basename(value) if isinstance(value, str) and "/" in value else value  # noqa: PTH119
