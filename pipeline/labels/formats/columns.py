"""Arrow columns of Python values, and back.

They are made of buffers: handed values, Arrow would import pandas first, which takes longer
than reading a small file.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from jaxtyping import Shaped

from pipeline.labels.vectors import from_wkb

_JSON = {b"json": b"1"}
_NUMBERS: dict[type, tuple[str, Any]] = {int: ("<i8", pa.int64()), float: ("<f8", pa.float64())}


def geometry_column(shapes: Shaped[np.ndarray, " n"]) -> pa.Array:
    """Return geometries as well-known binary."""
    return _bytes_column(shapely.to_wkb(shapes).tolist(), pa.large_binary())


def decode_geometries(column: pa.ChunkedArray) -> Shaped[np.ndarray, " n"]:
    """Return the geometries of a column of well-known binary."""
    return from_wkb(np.array([*column.to_pylist(), None], object)[:-1])


def column(values: list[Any]) -> tuple[pa.Array, dict[bytes, bytes] | None]:
    """Return a column of values, and the metadata by which `column_values` gives them back.

    Values of one type among int, float and str keep it in Arrow; all others are JSON texts.
    """
    kinds = {type(value) for value in values}
    if kinds == {int} or kinds == {float}:
        dtype, kind = _NUMBERS[kinds.pop()]
        try:
            raw = np.array(values, dtype)
        except OverflowError:  # more digits than 64 bits
            return _texts_column([json.dumps(one) for one in values]), _JSON
        return pa.Array.from_buffers(kind, len(raw), [None, pa.py_buffer(raw)]), None
    if kinds <= {str, type(None)}:
        return _texts_column(values), None
    return _texts_column([json.dumps(one, default=str) for one in values]), _JSON


def column_values(values: pa.ChunkedArray, about: pa.Field) -> list[Any]:
    """Return the values of a column that `column` made."""
    found: list[Any] = values.to_pylist()
    return [json.loads(one) for one in found] if about.metadata == _JSON else found


def _texts_column(values: list[str | None]) -> pa.Array:
    # Half of a surrogate pair is a character of JSON, but none of UTF-8.
    raw = [None if one is None else one.encode(errors="replace") for one in values]
    return _bytes_column(raw, pa.large_string())


def _bytes_column(values: list[bytes | None], kind: pa.DataType) -> pa.Array:
    offsets = np.zeros(len(values) + 1, "<i8")
    np.cumsum([0 if one is None else len(one) for one in values], out=offsets[1:])
    there = np.array([one is not None for one in values], bool)
    mask = None if there.all() else pa.py_buffer(np.packbits(there, bitorder="little"))
    data = b"".join([one for one in values if one is not None])
    buffers = [mask, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.Array.from_buffers(kind, len(values), buffers)
