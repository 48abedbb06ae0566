"""Volumes as SEG-Y: the geometry, headers and sampling of the file that they were made from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from pipeline.errors import ExportError
from pipeline.outputs.atomic import write_atomically

IEEE_FLOAT = 5
"""SEG-Y's number of a format: four bytes, big-endian."""
NO_DATA = -1.0
"""Where nothing is known: SEG-Y has no mark for that."""
_LINES, _WIDTH = 40, 80


def write_segy(
    path: Path,
    source: Path,
    traces: Iterator[Float32[np.ndarray, "traces samples"]],
    *,
    note: str,
) -> None:
    """Write a volume trace by trace, in the order of the file that lends it its headers.

    Samples are IEEE floats, which all that reads SEG-Y takes.

    Args:
        path: The file to be.
        source: The volume that it was made from, sorted as it is.
        traces: All traces, in batches.
        note: What the samples are: takes the last lines of the textual header.

    Raises:
        ExportError: The file could not be written.
    """
    import segyio

    with write_atomically(path, verify=_verified) as part, segyio.open(source) as given:
        spec = segyio.tools.metadata(given)
        spec.format = IEEE_FLOAT
        with segyio.create(part, spec) as file:
            file.text[0] = add_header_note(bytes(given.text[0]), note)
            for number in range(1, 1 + given.ext_headers):
                file.text[number] = given.text[number]
            file.bin = given.bin
            file.bin.update({segyio.BinField.Format: IEEE_FLOAT})
            done = 0
            for batch in traces:
                for samples in batch:
                    file.header[done] = given.header[done]
                    file.trace[done] = samples
                    done += 1
        if done != given.tracecount:
            raise ExportError(f"{path}: {done} of {given.tracecount} traces came")


def add_header_note(text: bytes, note: str) -> bytes:
    """Return a textual header with a note in its last lines.

    Args:
        text: 3200 characters of ASCII, 40 lines of 80.
        note: Text of the header; as many lines as it takes, 76 characters each.
    """
    lines = [text[at : at + _WIDTH].ljust(_WIDTH) for at in range(0, _LINES * _WIDTH, _WIDTH)]
    room = _WIDTH - 4
    detail = note.encode("ascii", "replace")
    parts = [detail[at : at + room] for at in range(0, len(detail), room)]
    for at, part in enumerate(parts):
        number = _LINES - len(parts) + at
        lines[number] = f"C{number + 1:<3d}".encode() + part.ljust(room)
    return b"".join(lines)


def _verified(part: Path) -> None:
    import segyio

    with segyio.open(part) as file:
        if int(file.format) != IEEE_FLOAT or not np.isfinite(file.trace[file.tracecount - 1]).all():
            raise ExportError(f"{part}: does not read back as written; check the disk")
