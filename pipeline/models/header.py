"""The header of a safetensors file: which tensors it holds, checked before one is read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import ModelError
from pipeline.models.arguments import shortened

LARGEST_HEADER = 8 * 2**20
"""Bytes of a header: 60,000 tensors, and a card."""
LARGEST_WEIGHTS = 4 * 2**30
"""Bytes of all tensors of a file together."""
MOST_TENSORS, MOST_AXES, LONGEST_NAME = 60_000, 8, 500
BITS: Mapping[str, int] = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "I16": 16, "U16": 16, "F16": 16,
    "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "F64": 64, "I64": 64, "U64": 64,
}  # fmt: skip
"""Types of values by their names in the header."""


NOT_JSON = (ValueError, TypeError, RecursionError)
"""What is raised where a header is no JSON, or nested too deeply."""


class NoHeaderError(Exception):
    """The file does not begin as a safetensors file does."""

    def __str__(self) -> str:
        """Return so."""
        return "not a safetensors file"


def read_safetensors_header(path: Path) -> dict[str, Any]:
    """Return the header of a safetensors file; at most `LARGEST_HEADER` bytes are read.

    Raises:
        NoHeaderError: It has none, or one that is too large.
        OSError: It cannot be read.
        ValueError, TypeError, RecursionError: See `NOT_JSON`.
    """
    with path.open("rb") as handle:
        size = int.from_bytes(handle.read(8), "little")
        if not 2 <= size <= min(LARGEST_HEADER, path.stat().st_size - 8):
            raise NoHeaderError
        header = json.loads(handle.read(size))
    if not isinstance(header, dict):
        raise TypeError(shortened(header))
    return header


def check_tensors(path: Path, header: Mapping[str, Any]) -> None:
    """Prove that a file holds the tensors that its header names, and not too many.

    Raises:
        ModelError: A type, shape or place cannot be, or all together are too large.
    """
    named = [(name, entry) for name, entry in header.items() if name != "__metadata__"]
    with path.open("rb") as handle:
        body = path.stat().st_size - 8 - int.from_bytes(handle.read(8), "little")
    total = 0
    if len(named) > MOST_TENSORS:
        raise ModelError(f"{path}: holds {len(named)} tensors, the limit is {MOST_TENSORS}")
    for name, entry in named:
        size = _bytes_of(entry)
        if size is None or len(name) > LONGEST_NAME:
            raise ModelError(
                f"{path}: tensor {shortened(name)} is "
                f"{shortened(entry)}, which cannot be; fetch the file "
                "again"
            )
        if entry["data_offsets"][1] > body:
            raise ModelError(
                f"{path}: damaged or cut short: tensor {shortened(name)} ends at byte "
                f"{entry['data_offsets'][1]} of {body}; fetch it again"
            )
        total += size
    if total > LARGEST_WEIGHTS:
        raise ModelError(
            f"{path}: its tensors take {total / 2**30:.1f} GiB, the limit is "
            f"{LARGEST_WEIGHTS / 2**30:.0f} GiB; give a smaller model"
        )


def _bytes_of(entry: Any) -> int | None:
    """Return how many bytes a tensor takes; None where type, shape and place do not agree."""
    if not isinstance(entry, dict) or entry.get("dtype") not in BITS:
        return None
    shape, place = entry.get("shape"), entry.get("data_offsets")
    if not (isinstance(shape, list) and isinstance(place, list)):
        return None
    numbers = [*shape, *place]
    if len(shape) > MOST_AXES or len(place) != 2:
        return None
    if any(type(number) is not int or not 0 <= number < 2**48 for number in numbers):
        return None
    size = math.prod(shape) * BITS[entry["dtype"]] // 8
    return size if place[1] - place[0] == size else None
