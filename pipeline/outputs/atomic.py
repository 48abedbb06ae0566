"""Atomic writing of files."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pyarrow import ArrowException
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError

from pipeline.errors import ExportError

WRITE_FAULTS = (
    OSError,
    RasterioError,
    CPLE_BaseError,
    ArrowException,
    sqlite3.Error,
)
"""What the libraries raise when a disk is full, a folder read-only or a quota used up."""


@contextmanager
def write_atomically(path: Path, *, verify: Callable[[Path], None] | None = None) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; what is written there takes its place.

    ::

        write .name.part -> verify -> fsync -> rename to name -> fsync of the folder

    The temporary name is always the same, so that what a killed run left behind is
    written over by the next one. Files that a library puts beside it (``.part.*``)
    are removed with it.

    Args:
        path: The file to be; an older one stays as it was if anything fails.
        verify: Reads the finished temporary file and raises if it is not sound.

    Raises:
        ExportError: The file could not be written; names it and the reason.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        with write_faults(path):
            _remove(part)
            yield part
            if verify is not None:
                verify(part)
            _sync(part)
            part.replace(path)
            _sync(path.parent)
    finally:
        _remove(part)


@contextmanager
def write_faults(path: Path) -> Iterator[None]:
    """Turn what the libraries raise while they write ``path`` into an `ExportError`."""
    try:
        yield
    except WRITE_FAULTS as fault:
        text = fault.strerror if isinstance(fault, OSError) else None
        reason = text or str(fault) or repr(fault)
        raise ExportError(
            f"{path} could not be written: {reason}; free space or grant rights, then run again"
        ) from fault


def _remove(part: Path) -> None:
    # GDAL keeps overviews in NAME.ovr.tmp until the COG is put together.
    for leftover in (part, *part.parent.glob(f"{part.name}.*")):
        leftover.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
