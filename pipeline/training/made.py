"""Scenes that the project makes itself, as places to train on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.training.config import MadeConfig
from pipeline.training.places import Place, level_of, make_place


def made_places(config: MadeConfig, *, cache: Path, sigma: float) -> list[Place]:
    """Return made scenes as places; each is made once and kept in ``cache``."""
    cache.mkdir(parents=True, exist_ok=True)
    return [
        _made_place(seed, config, cache=cache, sigma=sigma)
        for seed in range(config.first_seed, config.first_seed + config.count)
    ]


def _made_place(seed: int, config: MadeConfig, *, cache: Path, sigma: float) -> Place:
    low, high = config.pixel_m
    pixel_m = float(low * (high / low) ** np.random.default_rng(seed).random())
    path = cache / f"{seed}-{config.size}-{pixel_m:.3f}.npz"
    if not path.exists():
        _make(path, seed=seed, size=config.size, pixel_m=pixel_m)
    with np.load(path) as kept:
        level = level_of(kept["image"], kept["instances"], pixel_m=pixel_m, sigma=sigma)
    return make_place(f"made {seed}", [level], share=1.0, sigma=sigma)


def _make(path: Path, *, seed: int, size: int, pixel_m: float) -> None:
    # Imported here: a training without made scenes does not need their maker.
    from pipeline.scenes.made import settlement  # noqa: PLC0415

    scene = settlement(seed=seed, height=size, width=size, pixel_m=pixel_m)
    part = path.with_suffix(".part.npz")
    np.savez(part, image=scene.image, instances=scene.instances)
    part.replace(path)
