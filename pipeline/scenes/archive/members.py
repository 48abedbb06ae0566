"""What is in a ZIP archive, believed only within bounds.

Source: PKWARE's APPNOTE.TXT 6.3.3, sections 4.3 (records) and 4.4 (fields).
"""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from pipeline.errors import SceneError
from pipeline.scenes.access.location import JPEG_2000, PICTURES
from pipeline.scenes.kinds import GEOTIFF

SUFFIX = ".zip"
SCENES = (*GEOTIFF, *JPEG_2000, *PICTURES)
"""Suffixes of the members that are mapped."""
MAX_MEMBERS = 20_000
MAX_LIST_BYTES = 16 * 2**20
"""Bytes of the list of members (central directory), which is read whole."""
MAX_MEMBER_BYTES = 128 * 2**30
MAX_TOTAL_BYTES = 512 * 2**30
"""Bytes of a member, and of all of them, extracted."""
MAX_RATIO = 250
FREE_BYTES = 16 * 2**20
"""A member of more than this many bytes is at most so many times larger than its stored bytes:
rasters of one value, which compress further, are small."""
_LOCAL_HEADER = 30
_END, _END_64, _LOCATOR_64 = b"PK\5\6", b"PK\6\6", b"PK\6\7"
_READ = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
_REPACK = "unpack it with a program that you trust, and name the scenes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file in an archive."""

    name: str
    """Its path in the archive, with slashes."""
    stored_name: str
    """The same as the archive has it."""
    size: int
    """Bytes when extracted."""

    @property
    def is_scene(self) -> bool:
        """Whether its suffix is that of a scene, and neither it nor a folder is hidden."""
        parts = PurePosixPath(self.name).parts
        hidden = any(part.startswith((".", "__MACOSX")) for part in parts)
        return self.name.lower().endswith(SCENES) and not hidden


def archive_of(href: str) -> tuple[str, str] | None:
    """Return the archive and the member that a path such as ``/a/b.zip/c.tif`` names.

    None where no part of the path but the last is a file.
    """
    path = Path(href)
    for parent in path.parents:
        try:
            if parent.is_file():
                return str(parent), path.relative_to(parent).as_posix()
        except OSError:
            return None
        if parent.is_dir():
            return None
    return None


def read_archive_members(path: str) -> tuple[Member, ...]:
    """Return the files in an archive, in its order.

    Raises:
        SceneError: It is no whole archive, or has members that are encrypted, links, doubled,
            outside it, too many or too large; names the first of them.
    """
    try:
        with Path(path).open("rb") as file:
            _check_list(path, file)
            with zipfile.ZipFile(file) as archive:
                return _members(path, archive.infolist(), Path(path).stat().st_size)
    except (zipfile.BadZipFile, NotImplementedError, UnicodeError, ValueError) as error:
        reason = f"it is not a whole ZIP archive ({str(error)[:200]})"
        raise SceneError(path, reason, "fetch it again") from error
    except OSError as error:
        raise SceneError(path, f"it cannot be read ({error})", "fetch it again") from error


def _check_list(path: str, file: BinaryIO) -> None:
    """Refuse a long list of members before it is read, which takes a hundred times its bytes."""
    size = file.seek(0, 2)
    file.seek(max(0, size - 65_557))
    tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) < at + 22:
        return  # zipfile reports what is wrong
    listed = int.from_bytes(tail[at + 12 : at + 16], "little")
    if tail[max(0, at - 20) : at].startswith(_LOCATOR_64):
        file.seek(int.from_bytes(tail[at - 12 : at - 4], "little"))
        head = file.read(56)
        listed = int.from_bytes(head[40:48], "little") if head.startswith(_END_64) else size
    file.seek(0)
    if listed > MAX_LIST_BYTES:
        raise SceneError(
            path,
            f"the list of its members takes {listed} bytes, the limit is {MAX_LIST_BYTES}",
            _REPACK,
        )


def _members(
    path: str, listed: Sequence[zipfile.ZipInfo], archive_bytes: int
) -> tuple[Member, ...]:
    if len(listed) > MAX_MEMBERS:
        reason = f"it has {len(listed)} members, the limit is {MAX_MEMBERS}"
        raise SceneError(path, reason, _REPACK)
    found: dict[str, Member] = {}
    for info in listed:
        name = info.filename.replace("\\", "/")
        shown = f"its member {name[:200]!r}"
        for fault in _faults(info, name):
            raise SceneError(path, f"{shown} {fault}", _REPACK)
        if name.endswith("/"):
            continue
        if name in found:
            raise SceneError(path, f"{shown} is there twice", _REPACK)
        found[name] = Member(name=name, stored_name=info.filename, size=info.file_size)
    total = sum(member.size for member in found.values())
    if total > MAX_TOTAL_BYTES:
        largest = max(found.values(), key=lambda member: member.size)
        raise SceneError(
            path,
            f"its {len(found)} members take {total} bytes extracted, the limit is "
            f"{MAX_TOTAL_BYTES} (the largest, {largest.name!r}, takes {largest.size})",
            _REPACK,
        )
    _check_overlaps(path, listed, archive_bytes)
    return tuple(found.values())


def _faults(info: zipfile.ZipInfo, name: str) -> Iterator[str]:
    """Yield why a member is not read."""
    mode = info.external_attr >> 16
    parts = name.split("/")
    if name.startswith("/") or ":" in parts[0] or ".." in parts or "\0" in name:
        yield "lies outside it (a name that is absolute, or has ..)"
    if stat.S_ISLNK(mode):
        yield "is a link"
    elif mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        yield "is no regular file"
    if info.flag_bits & 0x1:
        yield "is encrypted"
    if info.compress_type not in _READ and info.file_size:
        yield f"is compressed by a method that is not read (number {info.compress_type})"
    if info.file_size > MAX_MEMBER_BYTES:
        yield f"takes {info.file_size} bytes extracted, the limit is {MAX_MEMBER_BYTES}"
    if info.file_size > max(FREE_BYTES, MAX_RATIO * info.compress_size):
        yield (
            f"is {info.file_size / max(1, info.compress_size):.0f} times larger than its "
            f"{info.compress_size} stored bytes, the limit is {MAX_RATIO}"
        )


def _check_overlaps(path: str, listed: Sequence[zipfile.ZipInfo], archive_bytes: int) -> None:
    """Refuse members that share stored bytes, by which small archives hold endless data."""
    end = 0
    for info in sorted(listed, key=lambda info: info.header_offset):
        if info.header_offset < end:
            name = info.filename[:200]
            raise SceneError(path, f"its member {name!r} shares bytes with another", _REPACK)
        end = info.header_offset + _LOCAL_HEADER + info.compress_size
    if end > archive_bytes:
        raise SceneError(path, f"its members end at byte {end}, and it at {archive_bytes}", _REPACK)
