"""Pixel counts of a scene of any size, block of ground by block of ground."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64, UInt8

from pipeline.core.metrics.bootstrap import Blocks, blocks_over
from pipeline.core.metrics.pixels import LEVELS, confusion, levels
from pipeline.core.metrics.rasterise import count_inside, rasterise_values
from pipeline.core.metrics.run_length import RunLengths, rasterize
from pipeline.core.window import Window
from pipeline.errors import ConfigError
from pipeline.evaluation.alignment import Compared
from pipeline.labels.formats.raster import open_labels, read_classes, read_levels
from pipeline.labels.objects import PixelGrid
from pipeline.labels.values import OWN, UNLABELLED, Meaning, meaning_of
from pipeline.scenes.scene import Scene

_LONGEST = 2048
_CELLS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelCounts:
    """Pixel counts by block."""

    blocks: Blocks
    """Squares of ground, in pixels."""
    counts: Int64[np.ndarray, "blocks true_class class"]
    """Pixels of each pair of classes."""
    levels: Int64[np.ndarray, "2 levels"] | None
    """Pixels at each quantised probability, false ones and true ones."""
    evaluated: int
    """Pixels that count."""
    missing: int
    """Pixels of the scene, inside the labelled area, for which there is no prediction."""
    cell: int
    """Edge of the cells of ``holes``, in pixels."""
    holes: Bool[np.ndarray, "cell_rows cell_cols"]
    """Cells of the scene that lack a prediction in at least half of their pixels."""
    valid_predicted: Int64[np.ndarray, " predictions"]
    """Pixels of each prediction that count."""
    valid_reference: Int64[np.ndarray, " references"]
    """Pixels of each truth that count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layers:
    """What is painted or read in each window."""

    predicted: RunLengths
    reference: RunLengths
    aoi: RunLengths | None
    unknown: RunLengths | None
    mask: Scene | None
    probability: Scene | None
    meaning: Meaning
    """What the values of the mask mean."""


def count_pixels(compared: Compared) -> PixelCounts:
    """Return the pixel counts of a scene, read in windows.

    The mask decides where there is a prediction; without one, the polygons do, and
    every pixel counts.

    Raises:
        SceneError: A raster cannot be read.
        ConfigError: A raster is not on the scene's pixels.
    """
    grid = compared.frame.grid
    blocks = pixel_blocks(grid)
    side = len(compared.classes) + 1
    counts = np.zeros((len(blocks), side, side), np.int64)
    histogram = np.zeros((2, LEVELS), np.int64)
    valid_predicted = np.zeros(len(compared.predicted), np.int64)
    valid_reference = np.zeros(len(compared.reference), np.int64)
    evaluated = missing = 0
    cell = max(4, math.ceil(max(grid.height, grid.width) / _CELLS))
    lacking = np.zeros((math.ceil(grid.height / cell), math.ceil(grid.width / cell)), np.int64)
    with ExitStack() as stack:
        layers = _layers(compared, stack)
        for block, window in _windows(blocks, grid):
            valid, wanted, probability = _valid(layers, window)
            reference = rasterise_values(
                layers.reference, compared.label_reference.astype(np.uint8), window
            )
            predicted = _labels(layers, compared, window)
            counts[block] += confusion(predicted, reference, valid, classes=side - 1)
            if probability is not None:
                histogram += levels(probability, reference > 0, valid)
            valid_predicted += count_inside(layers.predicted, valid, window)
            valid_reference += count_inside(layers.reference, valid, window)
            evaluated += int(valid.sum())
            rows, cols = np.nonzero(wanted & ~valid)
            missing += len(rows)
            np.add.at(lacking, ((rows + window.row) // cell, (cols + window.col) // cell), 1)
    return PixelCounts(
        blocks=blocks,
        counts=counts,
        levels=histogram if layers.probability else None,
        evaluated=evaluated,
        missing=missing,
        cell=cell,
        holes=lacking * 2 >= cell * cell,
        valid_predicted=valid_predicted,
        valid_reference=valid_reference,
    )


def pixel_blocks(grid: PixelGrid) -> Blocks:
    """Return about 64 square blocks, of a multiple of 64 pixels where they are that large."""
    about = blocks_over((0.0, 0.0, float(grid.width), float(grid.height)))
    unit = 64 if about.size > 128 else 1
    size = max(1, math.ceil(about.size / unit) * unit)
    return Blocks(
        left=0.0,
        top=0.0,
        size=float(size),
        cols=math.ceil(grid.width / size),
        rows=math.ceil(grid.height / size),
    )


def _windows(blocks: Blocks, grid: PixelGrid) -> Iterator[tuple[int, Window]]:
    size = int(blocks.size)
    for block in range(len(blocks)):
        top, left = block // blocks.cols * size, block % blocks.cols * size
        for row in range(top, min(top + size, grid.height), _LONGEST):
            for col in range(left, min(left + size, grid.width), _LONGEST):
                height = min(_LONGEST, top + size - row, grid.height - row)
                width = min(_LONGEST, left + size - col, grid.width - col)
                yield block, Window(row=row, col=col, height=height, width=width)


def _layers(compared: Compared, stack: ExitStack) -> _Layers:
    grid = compared.frame.grid

    def opened(what: str) -> Scene | None:
        path = getattr(compared.prediction, what)
        if path is None:
            return None
        scene = open_labels(path)
        stack.callback(scene.close)
        if (scene.info.height, scene.info.width) != (grid.height, grid.width):
            raise ConfigError(
                f"{path}: it has {scene.info.height} x {scene.info.width} pixels, the scene "
                f"{grid.height} x {grid.width}; give the rasters of one run"
            )
        return scene

    def drawn(areas: np.ndarray | None) -> RunLengths | None:
        if areas is None:
            return None
        return rasterize(areas, height=grid.height, width=grid.width).by_row()

    mask = opened("mask")
    return _Layers(
        predicted=compared.predicted.runs.by_row(),
        reference=compared.reference.runs.by_row(),
        aoi=drawn(compared.aoi),
        unknown=drawn(compared.unknown),
        mask=mask,
        probability=opened("probability"),
        meaning=_meaning(compared, mask),
    )


def _meaning(compared: Compared, mask: Scene | None) -> Meaning:
    """Return what the values of the mask mean: beside polygons it may be of any tool."""
    predicted = compared.prediction
    if predicted.objects.values is not None:
        return predicted.objects.values
    return OWN if mask is None or predicted.manifest else meaning_of(mask)


def _valid(
    layers: _Layers, window: Window
) -> tuple[
    Bool[np.ndarray, "rows cols"],
    Bool[np.ndarray, "rows cols"],
    UInt8[np.ndarray, "rows cols"] | None,
]:
    """Return which pixels count, which should, and their probability."""
    wanted = np.ones((window.height, window.width), bool)
    if layers.aoi is not None:
        wanted &= rasterise_values(layers.aoi, np.ones(layers.aoi.count, np.uint8), window) > 0
    if layers.unknown is not None:
        wanted &= (
            rasterise_values(layers.unknown, np.ones(layers.unknown.count, np.uint8), window) == 0
        )
    valid = wanted.copy()
    if layers.mask is not None:
        valid &= read_classes(layers.mask, window, layers.meaning) != UNLABELLED
    probability = None
    if layers.probability is not None:
        probability = read_levels(layers.probability, window)
        valid &= probability != 255
    return valid, wanted, probability


def _labels(layers: _Layers, compared: Compared, window: Window) -> UInt8[np.ndarray, "rows cols"]:
    """Return predicted classes: the mask's where there is one class, else the polygons'."""
    if layers.mask is not None and len(compared.classes) == 1:
        labels = read_classes(layers.mask, window, layers.meaning)
        return ((labels > 0) & (labels < UNLABELLED)).astype(np.uint8)
    return rasterise_values(layers.predicted, compared.label_predicted.astype(np.uint8), window)
