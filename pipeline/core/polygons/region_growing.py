"""Seeded region growing of markers inside a mask."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.core.compiled import compiled
from pipeline.core.polygons.fragments import Int32

UInt8 = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]


@compiled
def grow_regions(mask: UInt8, markers: Flags, max_steps: int) -> Int32:
    """Grow markers; return each pixel's marker by its place in reading order, -1 for none.

    All markers grow by one step at a time, so the owners of a pixel ``n`` steps away are
    those of its neighbours at ``n - 1`` steps, and the first of them is the first of all.

    Args:
        mask: Framed by zeros; steps lead only to an equal label.
        markers: Of the same shape.
        max_steps: Most steps.
    """
    cols = mask.shape[1]
    label = mask.ravel()
    owner, front = _sources(label, markers.ravel(), cols)
    arrived = np.zeros(len(label), np.int32)
    for steps in range(1, max_steps + 1):
        # A marker's edge may lie beside four pixels that are farther, others beside three.
        ahead = np.empty(4 * len(front), np.int32)
        reached = 0
        for pixel in front:
            for step in (-cols, -1, 1, cols):
                beside = pixel + step
                if label[beside] != label[pixel]:
                    continue
                if owner[beside] < 0:
                    arrived[beside] = steps
                    owner[beside] = owner[pixel]
                    ahead[reached] = beside
                    reached += 1
                elif arrived[beside] == steps and owner[pixel] < owner[beside]:
                    owner[beside] = owner[pixel]
        front = ahead[:reached]
    return owner.reshape(mask.shape)


@compiled
def _sources(label: UInt8, marked: Flags, cols: int) -> tuple[Int32, Int32]:
    """Return the owners at no steps at all, and the markers' pixels beside others' places."""
    owner = np.full(len(label), -1, np.int32)
    count = 0
    for pixel in range(cols, len(label) - cols):
        if label[pixel] and marked[pixel]:
            owner[pixel] = pixel
            count += 1
    front = np.empty(count, np.int32)
    count = 0
    for pixel in range(cols, len(label) - cols):
        if owner[pixel] < 0:
            continue
        for step in (-cols, -1, 1, cols):
            if owner[pixel + step] < 0 and label[pixel + step] == label[pixel]:
                front[count] = pixel
                count += 1
                break
    return owner, front[:count]
