"""A vector file opened once: what is looked at and what is decoded are the same bytes."""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from pipeline.labels.vectors import refusal

HEAD_BYTES = 4096
SHAPEFILE = b"\x00\x00\x27\x0a"
SQLITE = b"SQLite format 3\0"
_NEEDED, _LINKED = (".shx", ".dbf", ".prj"), (".shx", ".dbf", ".prj", ".cpg")
_MOST_BYTES = {".prj": 2**16, ".cpg": 2**10}
_HOT_JOURNAL = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
_ELSEWHERE = re.compile(r"/vsi\w+|[A-Za-z][\w+.-]+:/|[<{]")


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorFile:
    """An open vector file, and the files beside it that belong to it."""

    path: Path
    """Its name, for messages."""
    handle: int
    """Its file descriptor."""
    size: int
    """Its bytes when it was opened."""
    head: bytes
    """Its first bytes, at least one."""
    beside: Mapping[str, int] = field(default_factory=dict)
    """File descriptors of the other files of a Shapefile, by suffix."""

    @property
    def handles(self) -> tuple[int, ...]:
        """All file descriptors, its own first."""
        return (self.handle, *self.beside.values())

    def bytes(self) -> BinaryIO:
        """Return its bytes from the start; to be closed."""
        file = os.fdopen(os.dup(self.handle), "rb")
        file.seek(0)
        return file


@contextmanager
def open_vector_file(path: Path) -> Iterator[VectorFile]:
    """Open a vector file, and refuse what no format of files can be.

    Raises:
        ConfigError: It is no local file with content, not all of it is there, or it changed
            while it was open.
    """
    if _ELSEWHERE.match(str(path)):
        raise refusal(path, "it is the name of no local file", "fetch it, and name the file")
    with ExitStack() as stack:
        handle = _open(path, path)
        stack.callback(os.close, handle)
        before = os.fstat(handle)
        head = os.pread(handle, HEAD_BYTES, 0)
        if not head:
            raise refusal(path, "it is empty (0 bytes)", "export it again")
        beside: dict[str, int] = {}
        if head.startswith(SHAPEFILE):
            for suffix, other in _of_shapefile(path).items():
                beside[suffix] = _open(other, path)
                stack.callback(os.close, beside[suffix])
                _check_beside(path, suffix, os.fstat(beside[suffix]).st_size)
        elif head.startswith(SQLITE):
            _check_journals(path, head)
        yield VectorFile(path=path, handle=handle, size=before.st_size, head=head, beside=beside)
        after = os.fstat(handle)
        if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            raise refusal(path, "it changed while it was read", "run again when it is complete")


def _open(path: Path, named: Path) -> int:
    """Return a descriptor of a regular file; pipes and devices are not waited for."""
    try:
        if _irregular(path.stat().st_mode):
            raise _no_file(path, named)
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        if _irregular(os.fstat(handle).st_mode):  # exchanged since
            os.close(handle)
            raise _no_file(path, named)
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            os.close(handle)
            raise refusal(path, "is a directory", "check the path and its rights")
    except (OSError, ValueError) as error:
        reason = str(getattr(error, "strerror", None) or error).lower()
        raise refusal(path, reason, "check the path and its rights") from error
    return handle


def _irregular(mode: int) -> bool:
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _no_file(path: Path, named: Path) -> Exception:
    if path == named:
        return refusal(path, "it is no regular file", "name a file")
    return refusal(named, f"{path.name} beside it is no regular file", "remove that")


def _of_shapefile(path: Path) -> dict[str, Path]:
    """Return the other files of a Shapefile by suffix; those that only speed it up stay closed."""
    found: dict[str, Path] = {}
    for other in sorted(path.parent.glob(f"{glob.escape(path.stem)}.*")):
        suffix = other.suffix.lower()
        if suffix not in _LINKED or other.stem != path.stem:
            continue
        if other.is_symlink() and not path.is_symlink():
            raise refusal(path, f"{other.name} beside it is a link", "copy the file itself there")
        if other.exists():
            found[suffix] = other
    missing = [suffix for suffix in _NEEDED if suffix not in found]
    if missing:
        parts = " and ".join(missing)
        verb = "is" if len(missing) == 1 else "are"
        unknown = ", so its CRS is not known" if missing == [".prj"] else ""
        raise refusal(
            path, f"{parts} {verb} not beside it{unknown}", "copy all files of the Shapefile"
        )
    return found


def _check_beside(path: Path, suffix: str, size: int) -> None:
    most = _MOST_BYTES.get(suffix)
    if most is not None and size > most:
        reason = f"its {suffix} has {size:,} bytes; the limit is {most:,}"
        raise refusal(path, reason, "export it again")


def _check_journals(path: Path, head: bytes) -> None:
    """Refuse a database whose last changes are in another file: they would be missing."""
    for suffix, counts in (("-wal", head[18:20] == b"\x02\x02"), ("-journal", True)):
        beside = path.with_name(path.name + suffix)
        start = b""
        with suppress(OSError):
            if stat.S_ISREG(beside.lstat().st_mode):
                with beside.open("rb") as file:
                    start = file.read(len(_HOT_JOURNAL))
        if counts and start and (suffix == "-wal" or start == _HOT_JOURNAL):
            raise refusal(
                path,
                f"{beside.name} beside it holds changes that are not in it yet",
                "close the program that has it open, or save a copy of the layer",
            )
