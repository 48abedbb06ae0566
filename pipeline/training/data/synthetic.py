"""Scenes that the project makes itself, as places to train on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.training.config import SyntheticConfig
from pipeline.training.data.sources.places import Level, Place, level_of, make_place


def synthetic_places(config: SyntheticConfig, *, cache: Path, sigma: float) -> list[Place]:
    """Return synthetic scenes as places; each is drawn once and kept in ``cache``."""
    cache.mkdir(parents=True, exist_ok=True)
    return [
        _synthetic_place(seed, config, cache=cache, sigma=sigma)
        for seed in range(config.first_seed, config.first_seed + config.count)
    ]


def _synthetic_place(seed: int, config: SyntheticConfig, *, cache: Path, sigma: float) -> Place:
    low, high = config.pixel_size_m
    pixel_size_m = float(low * (high / low) ** np.random.default_rng(seed).random())
    path = cache / f"{seed}-{config.size}-{pixel_size_m:.3f}-{sigma:g}.npz"
    if not path.exists():
        _keep(path, _make(seed, size=config.size, pixel_size_m=pixel_size_m, sigma=sigma))
    return make_place(f"synthetic {seed}", _kept(path), share=1.0, sigma=sigma, halve=False)


def _make(seed: int, *, size: int, pixel_size_m: float, sigma: float) -> Place:
    # Imported here: a training without synthetic scenes does not need their maker.
    from pipeline.synthetic import settlement

    scene = settlement(seed=seed, height=size, width=size, pixel_size_m=pixel_size_m)
    level = level_of(scene.image, scene.instances, pixel_size_m=pixel_size_m, sigma=sigma)
    return make_place(f"synthetic {seed}", [level], share=1.0, sigma=sigma)


def _keep(path: Path, place: Place) -> None:
    arrays: dict[str, Any] = {}
    for number, level in enumerate(place.levels):
        arrays[f"image_{number}"] = level.image
        arrays[f"instances_{number}"] = level.instances
        arrays[f"contact_{number}"] = level.contact
    part = path.with_suffix(".part.npz")
    arrays["pixel_size_m"] = np.array([level.pixel_size_m for level in place.levels])
    np.savez(part, **arrays)
    part.replace(path)


def _kept(path: Path) -> list[Level]:
    with np.load(path) as kept:
        return [
            Level(
                image=kept[f"image_{number}"],
                instances=kept[f"instances_{number}"],
                contact=kept[f"contact_{number}"],
                known=np.ones(kept[f"instances_{number}"].shape, np.bool_),
                pixel_size_m=float(pixel_size_m),
            )
            for number, pixel_size_m in enumerate(kept["pixel_size_m"])
        ]
