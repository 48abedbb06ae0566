"""Scores of a network over thresholds, on places, on images and on volumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.core.metrics.rand import rand_error
from pipeline.core.metrics.salt import salt_scores
from pipeline.training.config import ScoreConfig, TrainingConfig
from pipeline.training.data.batches import normalise_images
from pipeline.training.data.sources.places import Place
from pipeline.training.score.predicted import PlacePrediction, Scored, exclusive
from pipeline.training.score.scores import marked_objects, objects, plain_objects, predict
from pipeline.training.step.objective import probabilities
from pipeline.training.volumes.outputs import predict_volumes
from pipeline.training.volumes.part import VolumePart


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What a threshold gives."""

    threshold: float
    """Probability from which a pixel belongs to a class."""
    min_area_px: int
    """Pixels below which a whole mask is dropped; images alone."""
    score: float
    """What the config asks for, larger is better; a mean over places or images."""
    precision: float
    """Of pixels, over all places or images."""
    recall: float
    """Of pixels, over all places or images."""
    iou: float
    """Of pixels, over all places or images."""


def predict_places(
    network: nn.Module, split: Sequence[Place] | Sequence[VolumePart], config: TrainingConfig
) -> Sequence[Scored]:
    """Predict places at every pixel size, images, or volumes."""
    if config.volumes is not None:
        parts = [one for one in split if isinstance(one, VolumePart)]
        return predict_volumes(network, parts, config)
    places = [one for one in split if isinstance(one, Place)]
    if config.images is not None:
        return _of_images(network, places, config)
    found = []
    for place in places:
        # The finest of several is finer than anything the network is trained for.
        levels = place.levels if len(place.levels) == 1 else place.levels[1:]
        for level in levels:
            logits = predict(network, level.image, stride=config.network.total_stride)
            predictions = probabilities(logits[None], config.loss, classes=len(config.classes))[0]
            name = f"{place.name} {level.pixel_size_m:.2f} m"
            found.append(
                PlacePrediction(name=name, level=level, probability=predictions.float().numpy())
            )
    return found


@torch.inference_mode()
def _of_images(
    network: nn.Module, places: Sequence[Place], config: TrainingConfig, *, at_once: int = 32
) -> list[PlacePrediction]:
    """Predict images, each in the middle of a mirrored square."""
    network.eval()
    stride = config.network.total_stride
    found: list[PlacePrediction] = []
    by_size: dict[tuple[int, ...], list[Place]] = {}
    for place in places:
        by_size.setdefault(place.levels[0].instances.shape, []).append(place)
    for (rows, cols), alike in by_size.items():
        least = config.export.pad_to or stride
        size = max(least, -(-max(rows, cols) // stride) * stride)
        top, left = (size - rows) // 2, (size - cols) // 2
        around = ((0, 0), (top, size - rows - top), (left, size - cols - left))
        for first in range(0, len(alike), at_once):
            levels = [place.levels[0] for place in alike[first : first + at_once]]
            padded = np.stack([np.pad(one.image, around, mode="symmetric") for one in levels])
            pixels = normalise_images(torch.from_numpy(padded))
            predictions = _said(network, pixels, config)
            if config.score.flip:
                predictions = (predictions + _said(network, pixels.flip(3), config).flip(3)) / 2
            inner = predictions[:, :, top : top + rows, left : left + cols].float().numpy()
            found.extend(
                PlacePrediction(name=place.name, level=level, probability=probability)
                for place, level, probability in zip(
                    alike[first : first + at_once], levels, inner, strict=True
                )
            )
    return found


def _said(network: nn.Module, pixels: torch.Tensor, config: TrainingConfig) -> torch.Tensor:
    return probabilities(network(pixels), config.loss, classes=len(config.classes))


def trials(predictions: Sequence[Scored], config: TrainingConfig) -> list[Trial]:
    """Return what each threshold, and each least size of a mask, gives."""
    sizes = config.score.min_area_px if config.images is not None else (0,)
    return [
        _trial(predictions, config, threshold=threshold, min_area_px=least)
        for threshold in config.score.thresholds
        for least in sizes
    ]


def best_trial(found: Sequence[Trial], score: ScoreConfig) -> Trial:
    """Return the trial with the best score, or the best of those that are precise enough.

    Where none is, the most precise one.
    """
    fit = [
        trial for trial in found if score.precision is None or trial.precision >= score.precision
    ]
    if not fit:
        return max(found, key=lambda trial: trial.precision)
    return max(fit, key=lambda trial: trial.score)


def _trial(
    predictions: Sequence[Scored], config: TrainingConfig, *, threshold: float, min_area_px: int
) -> Trial:
    counts = np.array([pixels_of(one, threshold, min_area_px, config) for one in predictions])
    tp, fp, fn = counts.reshape(-1, 3).sum(axis=0)
    scores = scores_of(predictions, counts, config, threshold=threshold)
    return Trial(
        threshold=threshold,
        min_area_px=min_area_px,
        score=float(np.mean(scores)),
        precision=float(tp / max(tp + fp, 1)),
        recall=float(tp / max(tp + fn, 1)),
        iou=float(tp / max(tp + fp + fn, 1)),
    )


def mask_of(
    one: PlacePrediction, threshold: float, min_area_px: int, config: TrainingConfig
) -> NDArray[np.bool_]:
    """Return (rows, cols) of the first class."""
    mask = (exclusive(one.probability, config)[0] >= threshold) & one.level.known
    return mask if mask.sum() >= max(min_area_px, 1) else np.zeros_like(mask)


def pixels_of(one: Scored, threshold: float, min_area_px: int, config: TrainingConfig) -> list[int]:
    """Return true positives, false positives and false negatives over the classes."""
    kinds, known = one.kinds(), one.known
    out = np.zeros(3, np.int64)
    for number, probability in enumerate(exclusive(one.probability, config), start=1):
        true = (kinds == number) & known
        found = (probability >= threshold) & known
        if found.sum() < min_area_px:
            found = np.zeros_like(found)
        both = int((found & true).sum())
        out += (both, int(found.sum()) - both, int(true.sum()) - both)
    return [int(count) for count in out]


def scores_of(
    predictions: Sequence[Scored],
    counts: NDArray[np.int64],
    config: TrainingConfig,
    *,
    threshold: float,
) -> NDArray[np.float64]:
    """Return the score of each answer, larger is better."""
    tp, fp, fn = counts.astype(np.float64).T
    kind = config.score.kind
    if kind == "salt":
        return salt_scores(tp, tp + fp, tp + fn)
    if kind == "pixels":
        return np.asarray(2 * tp / np.maximum(2 * tp + fp + fn, 1.0), np.float64)
    seen = [one for one in predictions if isinstance(one, PlacePrediction)]
    if kind == "membranes":
        return np.array([1.0 - _rand_error(one, threshold, config) for one in seen])
    return np.array([objects(objects_of(one, threshold, config), one.level).f1 for one in seen])


def objects_of(one: PlacePrediction, threshold: float, config: TrainingConfig) -> NDArray[np.int32]:
    """Return (rows, cols) numbered objects, parted by their interiors where there are some."""
    mask = mask_of(one, threshold, 0, config)
    if config.targets.interior:
        return marked_objects(mask, one.probability[-1])
    return plain_objects(mask)


def _rand_error(one: PlacePrediction, threshold: float, config: TrainingConfig) -> float:
    truth = one.level.instances.astype(np.int64)
    return rand_error(plain_objects(mask_of(one, threshold, 0, config)).astype(np.int64), truth)
