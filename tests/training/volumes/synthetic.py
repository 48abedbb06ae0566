"""Small seismic volumes with a salt-like body, on disk as training expects them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import segyio
import yaml
from numpy.typing import NDArray

SHAPE = (24, 22, 32)
FIRST_INLINE, FIRST_CROSSLINE = 100, 300


def made_volume(
    seed: int, shape: tuple[int, int, int] = SHAPE
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return amplitudes of bent layers with a body of faint noise in them, and its labels."""
    rng = np.random.default_rng(seed)
    at = np.indices(shape).astype(np.float32)
    middle = np.array(shape) * rng.uniform(0.4, 0.6, 3)
    radii = np.array(shape) * rng.uniform(0.22, 0.3, 3)
    away = sum(((at[k] - middle[k]) / radii[k]) ** 2 for k in range(3))
    inside = away < 1
    dip = 3 * np.sin(at[0] / 9 + rng.uniform(0, 6)) + 2 * np.sin(at[1] / 7)
    layers = np.sin((at[2] + dip) * 1.1) * (1 + 0.4 * np.sin(at[2] * 0.4))
    noise = rng.normal(0, 0.15, shape)
    amplitude = np.where(inside, noise, layers + noise) * 1000
    return amplitude.astype(np.float32), inside.astype(np.float32)


def write_segy(
    path: Path, values: NDArray[np.float32], *, first: int = FIRST_INLINE, turned: bool = False
) -> Path:
    """Write a volume, sorted along inlines, or along crosslines."""
    spec = segyio.spec()
    spec.sorting, spec.format = (1 if turned else 2), 5
    spec.ilines = first + np.arange(values.shape[0])
    spec.xlines = FIRST_CROSSLINE + np.arange(values.shape[1])
    spec.samples = np.arange(values.shape[2]) * 4.0
    with segyio.create(path, spec) as file:
        file.bin[segyio.BinField.Interval] = 4000
        order = list(np.ndindex(values.shape[:2]))
        if turned:
            order.sort(key=lambda pair: (pair[1], pair[0]))
        for number, (i, x) in enumerate(order):
            file.header[number] = {
                segyio.TraceField.INLINE_3D: int(spec.ilines[i]),
                segyio.TraceField.CROSSLINE_3D: int(spec.xlines[x]),
                segyio.TraceField.offset: 1,
            }
            file.trace[number] = values[i, x]
    return path


def survey(folder: Path, seed: int, name: str) -> dict[str, Any]:
    """Write a volume and its labels; return what a config says of them."""
    amplitude, labels = made_volume(seed)
    volume = write_segy(folder / f"{name}.sgy", amplitude)
    mask = write_segy(folder / f"{name}_labels.sgy", labels)
    return {"name": name, "volume": str(volume), "labels": str(mask)}


def write_config(path: Path, volumes: dict[str, Any], **changes: Any) -> Path:
    """Write the config of a short training of a narrow network."""
    config: dict[str, Any] = {
        "classes": [{"name": "salt", "colour": "#3182bd", "values": [1]}],
        "volumes": volumes,
        "network": {"name": "unet_3d", "width": 4, "depth": 1},
        "crop": 16,
        "batch": 2,
        "threads": 1,
        "bfloat16": False,
        "device": "cpu",
        "save_every": 2,
        "log_every": 3,
        "schedule": {"steps": 6, "warmup": 2, "decay": 2},
    }
    path.write_text(yaml.safe_dump(config | changes))
    return path
