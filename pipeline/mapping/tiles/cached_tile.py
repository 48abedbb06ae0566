"""Cached tiles: the result of one task on disk, under a key of everything it depends on."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pyarrow as pa

from pipeline.errors import ExportError

MAGIC = b"overtile tile 1\n"
_CODEC = pa.Codec("zstd", compression_level=1)


def write_cached_tile(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays under a temporary name, sync, read back, rename.

    Raises:
        ExportError: The disk is full, or what was written does not read back.
    """
    plain = io.BytesIO()
    np.savez(plain, allow_pickle=False, **arrays)
    body = plain.getvalue()
    packed = bytes(_CODEC.compress(body, asbytes=True))
    text = len(body).to_bytes(8, "little") + packed
    stored = MAGIC + hashlib.sha256(text).digest() + text
    # Two processes may do the same task: each has its own temporary name.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{id(arrays):x}")
    try:
        with temporary.open("wb") as handle:
            handle.write(stored)
            handle.flush()
            os.fsync(handle.fileno())
        if temporary.read_bytes() != stored:
            raise ExportError(f"{path}: does not read back as written; check the disk")
        temporary.replace(path)
    except OSError as error:
        raise ExportError(
            f"{path}: cannot be written ({error.strerror}); free space or grant rights, "
            "then run the same command again"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def read_cached_tile(path: Path) -> dict[str, np.ndarray] | None:
    """Read the arrays of a cached tile; None where it is missing or damaged."""
    try:
        stored = path.read_bytes()
    except OSError:
        return None
    head = len(MAGIC)
    if stored[:head] != MAGIC or len(stored) < head + 40:
        return None
    digest, text = stored[head : head + 32], stored[head + 32 :]
    if hashlib.sha256(text).digest() != digest:
        return None
    size, packed = int.from_bytes(text[:8], "little"), text[8:]
    try:
        body = _CODEC.decompress(packed, decompressed_size=size, asbytes=True)
        with np.load(io.BytesIO(body), allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    except (pa.ArrowException, OSError, ValueError, BadZipFile):
        return None
