"""The scene's imagery as the report's map shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Shaped, UInt8

from pipeline.core.window import Window
from pipeline.errors import PipelineError, SceneError
from pipeline.labels.formats.raster import open_labels
from pipeline.labels.objects import PixelGrid
from pipeline.outputs.report.pyramid import pyramid
from pipeline.scenes.scene import Scene

_SAMPLES = 8


def imagery(path: Path, grid: PixelGrid) -> tuple[dict[str, Any] | None, str | None]:
    """Return the scene as a pyramid of JPEG tiles, or None and the reason why not.

    Args:
        path: The scene's own file.
        grid: The pixels that predictions and truth are drawn on.
    """
    try:
        scene = open_labels(path)
    except (PipelineError, OSError) as error:
        return None, f"the map has no imagery: {error}"
    try:
        info = scene.info
        if (info.height, info.width) != (grid.height, grid.width):
            return None, (
                f"the map has no imagery: {path} has {info.height} x {info.width} pixels, "
                f"the prediction {grid.height} x {grid.width}"
            )
        bands = _bands(scene)
        limits = _limits(scene, bands)

        def read(
            window: Window,
        ) -> tuple[UInt8[np.ndarray, "rows cols 3"], Bool[np.ndarray, "rows cols"]]:
            pixels, valid = scene.read(window, bands)
            return _shown(pixels, limits), valid

        return pyramid(read, height=info.height, width=info.width), None
    except SceneError as error:
        return None, f"the map has no imagery: {error}"
    finally:
        scene.close()


def _bands(scene: Scene) -> tuple[int, ...]:
    """Return red, green and blue, else the first three, else the first band."""
    bands = scene.info.bands
    named = {band.colour: band.index for band in reversed(bands)}
    if {"red", "green", "blue"} <= set(named):
        return named["red"], named["green"], named["blue"]
    return tuple(band.index for band in bands[:3]) if len(bands) >= 3 else (bands[0].index,)


def _limits(scene: Scene, bands: tuple[int, ...]) -> Float64[np.ndarray, "bands 2"]:
    """Return what is shown as black and as white: all of 8 bits, else 2nd and 98th percentile."""
    if scene.info.dtype == "uint8":
        return np.tile([0.0, 255.0], (len(bands), 1))
    height, width = scene.info.height, scene.info.width
    side = min(256, height, width)
    samples = []
    for row in np.linspace(0, height - side, min(_SAMPLES, height)).astype(int):
        col = int(row * max(width - side, 0) / max(height - side, 1))
        pixels, valid = scene.read(Window(row=int(row), col=col, height=side, width=side), bands)
        samples.append(pixels[:, valid].astype(np.float64))
    known = np.concatenate(samples, axis=1)
    if not known.shape[1]:
        return np.tile([0.0, 1.0], (len(bands), 1))
    return np.asarray(np.percentile(known, [2, 98], axis=1).T, np.float64)


def _shown(
    pixels: Shaped[np.ndarray, "bands rows cols"], limits: Float64[np.ndarray, "bands 2"]
) -> UInt8[np.ndarray, "rows cols 3"]:
    if pixels.dtype == np.uint8:
        found = pixels
    else:
        low, high = limits[:, 0, None, None], limits[:, 1, None, None]
        scaled = (np.nan_to_num(pixels.astype(np.float64)) - low) / np.maximum(high - low, 1e-9)
        found = (np.clip(scaled, 0, 1) * 255).astype(np.uint8)
    found = np.moveaxis(found, 0, -1)
    return np.asarray(found if found.shape[-1] == 3 else np.repeat(found[..., :1], 3, axis=-1))
