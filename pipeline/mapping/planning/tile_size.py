"""How large a scene's tiles are: what memory allows, or what is asked for."""

from __future__ import annotations

import math

import numpy as np

from pipeline.core.grid import Sampling, TileGrid
from pipeline.errors import ConfigError
from pipeline.models.arguments import least_bytes_per_pixel
from pipeline.models.card import ModelCard
from pipeline.scenes.scene import SceneInfo

BASE_BYTES = 800 * 10**6
"""Memory of the process itself, its libraries and GDAL's cache; measured."""
NETWORK_BYTES = 1600 * 10**6
"""The same with torch or OpenVINO and a network loaded, compiled and at work; measured."""
ENGINE = 1.2
"""What OpenVINO takes of memory over torch: 478 bytes a pixel and 409, measured on CPUs."""
THREADS = 3
"""Tiles under way at once in one process: one is predicted, others read, trace, write."""
LARGEST_CORE = 4096
BLEND_HALO = 128


def base_bytes(card: ModelCard) -> int:
    """Return the memory that is taken whatever the tiles are."""
    return NETWORK_BYTES if _learnt(card) else BASE_BYTES


def _learnt(card: ModelCard) -> bool:
    return card.network.architecture != "threshold"


def pixel_bytes(card: ModelCard, info: SceneInfo, *, bands: int) -> float:
    """Return the memory that a pixel of the tiles takes: one predicted, others under way."""
    outputs = card.outputs
    waiting = bands * np.dtype(info.dtype).itemsize + 8 * outputs.channels + 4
    # Growing and tracing instances takes 13 to 17 more, measured on a dense town; a tile that
    # is predicted meanwhile does not.
    growing = 17 if outputs.separating else 0
    engine = ENGINE if _learnt(card) else 1.0
    # A card may claim less than one set of its network's features takes.
    least = least_bytes_per_pixel(card.network.arguments)
    predicted = max(card.bytes_per_pixel, least)
    return engine * predicted + THREADS * waiting + (THREADS - 1) * growing


def make_grid(
    card: ModelCard,
    sampling: Sampling,
    *,
    tile: int | None,
    per_pixel: float,
    max_memory: int,
    extra: int = 0,
) -> TileGrid:
    """Return the tile grid: the largest cores that memory allows, or of the size asked for.

    Args:
        card: The model's, for rf_radius and stride.
        sampling: The scene's grid and the network's.
        tile: Edge of a tile with its halo, in network pixels; None chooses.
        per_pixel: Bytes that a pixel of a tile takes, see `pixel_bytes`.
        max_memory: Bytes for the whole process.
        extra: Network pixels around a core that are needed beyond it, see `network_pixels`.

    Raises:
        ConfigError: The tile is too small for the halo, or memory for any tile.
    """
    stride, rf_radius = card.network.stride, card.network.rf_radius
    _check_fixed(card, per_pixel=per_pixel, max_memory=max_memory)
    if card.context == "pad" and max(sampling.net_height, sampling.net_width) <= card.pad_to:
        edge = _up(max(sampling.height, sampling.width), stride)
        return TileGrid(sampling=sampling, core=edge, halo=0, stride=stride, pad_to=card.pad_to)
    halo = _up(BLEND_HALO if rf_radius is None else rf_radius + extra, stride)
    if card.network.size is not None:
        halo, tile = _fixed(card.network.size, tile, stride=stride, whole=sampling.identity)
    scale = math.sqrt(sampling.height * sampling.width / (sampling.net_height * sampling.net_width))
    if tile is not None:
        inner = (tile - 2 * halo) // stride * stride
        if inner < max(stride, 2 * halo if rf_radius is None else 1):
            least = 2 * halo + max(stride, 2 * halo if rf_radius is None else 1)
            raise ConfigError(
                f"--tile {tile} leaves no room for a halo of {halo} px on every side, which model "
                f"{card.name!r} needs; give at least {least}"
            )
    else:
        edge = math.isqrt(max(0, int((max_memory - base_bytes(card)) / per_pixel)))
        inner = min((edge - 2 * halo) // stride * stride, _up(LARGEST_CORE, stride))
        if inner < max(stride, 64):
            need = base_bytes(card) + per_pixel * (2 * halo + max(stride, 64)) ** 2
            raise ConfigError(
                f"--max-memory {max_memory / 1e9:.3g} GB is too little for model {card.name!r}; "
                f"it needs {need / 1e9:.1f} GB"
            )
    core = max(stride, int(inner * scale) // stride * stride)
    core = min(core, _up(max(sampling.height, sampling.width), stride))
    return TileGrid(sampling=sampling, core=core, halo=halo, stride=stride)


def _check_fixed(card: ModelCard, *, per_pixel: float, max_memory: int) -> None:
    """Refuse a model whose only tiles, or padded images, memory does not hold.

    Raises:
        ConfigError: They do not fit; the message gives their size.
    """
    edge = card.network.size or card.pad_to
    need = base_bytes(card) + per_pixel * edge**2
    if edge and need > max_memory:
        raise ConfigError(
            f"model {card.name!r} takes tiles of {edge} px, of its card: that needs "
            f"{need / 1e9:.1f} GB, and --max-memory allows {max_memory / 1e9:.3g} GB; give more, "
            "or another model"
        )


def _fixed(size: int, tile: int | None, *, stride: int, whole: bool) -> tuple[int, int]:
    """Return halo and tile where the network takes tiles of one ``size`` only.

    Half of a tile is core, a quarter on every side halo; a resampled scene's box is up to
    two strides larger than its core, for which there must be room.

    Raises:
        ConfigError: Another size is asked for.
    """
    if tile not in (None, size):
        raise ConfigError(f"--tile {tile}: the network takes tiles of {size} px only; leave it out")
    room = size if whole else size - 2 * stride
    return room // 4 // stride * stride, room


def _up(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple
