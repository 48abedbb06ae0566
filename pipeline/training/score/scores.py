"""How good a network is on whole places: pixels and objects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn

from pipeline.core.compiled import compiled
from pipeline.training.data.batches import normalise_images
from pipeline.training.data.sources.places import Level

WIDEST = 2**23
"""Pixels that are predicted at once."""
MIN_AREA_M2 = 4.0
"""Smaller predicted objects are specks, not buildings."""
MARKER = 0.7
"""Interior probability from which a pixel marks a building."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """True positives, false positives and false negatives."""

    tp: int
    """Found and true."""
    fp: int
    """Found, not true."""
    fn: int
    """True, not found."""

    @property
    def iou(self) -> float:
        """``tp / (tp + fp + fn)``, 1 where there is nothing at all."""
        return self.tp / max(self.tp + self.fp + self.fn, 1)

    @property
    def f1(self) -> float:
        """``2 tp / (2 tp + fp + fn)``."""
        return 2 * self.tp / max(2 * self.tp + self.fp + self.fn, 1)


@torch.inference_mode()
def predict(network: nn.Module, image: NDArray[np.uint8], *, stride: int = 16) -> Tensor:
    """Return (channels, rows, cols) logits of a whole scene, in strips with full context.

    Strips of more than `WIDEST` pixels are divided into columns, with as much around each.
    """
    network.eval()
    rows, cols = image.shape[1:]
    # Strips begin on multiples of the stride, as crops do.
    halo, core = -(-176 // stride) * stride, 1024
    out: Tensor | None = None
    for top, bottom, first, last in _overlapping(rows, core, halo):
        across = cols
        if (last - first) * cols > WIDEST:
            across = max(WIDEST // (last - first) - 2 * halo, halo) // stride * stride
        for left, right, begin, end in _overlapping(cols, across, halo):
            piece = torch.from_numpy(image[None, :, first:last, begin:end].copy())
            over = [-(-length // stride) * stride - length for length in piece.shape[2:]]
            padded = nn.functional.pad(
                normalise_images(piece), (0, over[1], 0, over[0]), mode="reflect"
            )
            logits = network(padded.contiguous(memory_format=torch.channels_last))[0]
            if out is None:
                out = torch.empty(len(logits), rows, cols, dtype=logits.dtype)
            out[:, top:bottom, left:right] = logits[
                :, top - first : bottom - first, left - begin : right - begin
            ]
    return torch.empty(0, rows, cols) if out is None else out


def _overlapping(length: int, core: int, halo: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield begin and end of each core along an axis, and those of what is seen for it."""
    for start in range(0, length, core):
        stop = min(start + core, length)
        yield start, stop, max(start - halo, 0), min(stop + halo, length)


def pixels(mask: NDArray[np.bool_], level: Level) -> Counts:
    """Return pixel counts where the truth is known."""
    truth = level.instances > 0
    tp, fp, fn = ((mask & truth), (mask & ~truth), (~mask & truth))
    return Counts(**{
        name: int((part & level.known).sum())
        for name, part in (("tp", tp), ("fp", fp), ("fn", fn))
    })  # fmt: skip


def objects(labels: NDArray[np.int32], level: Level) -> Counts:
    """Return object counts: greedy one-to-one matches of IoU 0.5 and more.

    At IoU above 0.5 no object has two partners, so the order is of no matter.
    """
    truth = level.instances
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    true_sizes = np.bincount(truth.ravel())
    true_sizes[0] = 0
    kept = sizes * level.pixel_size_m**2 >= MIN_AREA_M2
    both = (labels > 0) & (truth > 0)
    pairs, shared = np.unique(np.stack([labels[both], truth[both]]), axis=1, return_counts=True)
    union = sizes[pairs[0]] + true_sizes[pairs[1]] - shared
    hit = kept[pairs[0]] & (shared / union >= 0.5)
    tp = min(len(np.unique(pairs[0, hit])), len(np.unique(pairs[1, hit])))
    return Counts(tp=tp, fp=int(kept.sum()) - tp, fn=int((true_sizes > 0).sum()) - tp)


def plain_objects(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return the mask's 4-connected parts, numbered."""
    return np.asarray(ndimage.label(mask)[0], np.int32)


def marked_objects(
    mask: NDArray[np.bool_], interior: NDArray[np.float32], *, marker: float = MARKER
) -> NDArray[np.int32]:
    """Return the mask divided among its markers, each growing as fast as the others.

    A part of the mask without a marker is an object of its own.
    """
    markers = plain_objects(mask & (interior >= marker))
    grown = _grown(markers, mask)
    rest = plain_objects(mask & (grown == 0))
    return np.where(rest > 0, rest + markers.max(), grown).astype(np.int32)


@compiled
def _grown(
    markers: NDArray[np.int32], mask: NDArray[np.bool_]
) -> NDArray[np.int32]:  # pragma: no cover - compiled
    rows, cols = mask.shape
    out = markers.copy()
    queue = np.empty(rows * cols, np.int64)
    head, tail = 0, 0
    for at in range(rows * cols):
        if out[at // cols, at % cols] > 0:
            queue[tail] = at
            tail += 1
    while head < tail:
        row, col = queue[head] // cols, queue[head] % cols
        head += 1
        for step_row, step_col in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            r, c = row + step_row, col + step_col
            if 0 <= r < rows and 0 <= c < cols and mask[r, c] and out[r, c] == 0:
                out[r, c] = out[row, col]
                queue[tail] = r * cols + c
                tail += 1
    return out
