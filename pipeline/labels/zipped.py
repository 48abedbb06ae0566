"""Shapefiles in ZIP archives, unpacked within limits."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath

from pipeline.errors import ConfigError, SceneError
from pipeline.labels.layers import LayerChoice
from pipeline.labels.limits import Limits
from pipeline.labels.opened import SHAPEFILE, VectorFile, open_vector_file
from pipeline.labels.vectors import refusal
from pipeline.scenes.archive.members import Member, read_archive_members

ZIP = b"PK\x03\x04"
_SHAPE = ".shp"
_PARTS = (_SHAPE, ".shx", ".dbf", ".prj", ".cpg")
_POLYGONS = (5, 15, 25)
"""Types of a Shapefile: Polygon, PolygonZ, PolygonM."""
_HEAD = 36


@contextmanager
def unzipped(
    file: VectorFile, choice: LayerChoice, limits: Limits, folder: Path
) -> Iterator[VectorFile]:
    """Yield a Shapefile of an archive as an open file.

    Args:
        file: The archive, open.
        choice: Which of several Shapefiles.
        limits: What reading may take; unpacked files take as much disk at most.
        folder: An empty folder.

    Raises:
        ConfigError: It is no whole archive, has no Shapefile or several, or takes too much.
    """
    try:
        members = read_archive_members(str(file.path))
    except SceneError as error:
        raise refusal(file.path, error.reason, "unpack it and name the file inside") from error
    shape = _chosen(file, choice, members)
    parts = _parts_of(file.path, shape, members)
    size = sum(member.size for member in parts.values())
    if size > limits.memory_bytes:
        reason = f"{shape.name} takes {size:,} bytes unpacked; the limit is {limits.memory_bytes:,}"
        raise refusal(file.path, reason, limits.hint)
    stem = PurePosixPath(shape.name).stem
    with file.bytes() as raw, zipfile.ZipFile(raw) as archive:
        for suffix, member in parts.items():
            _unpack(file.path, archive, member, folder / f"{stem}{suffix}")
    with open_vector_file(folder / f"{stem}{_SHAPE}") as found:
        yield replace(found, path=file.path / f"{stem}{_SHAPE}")


def _chosen(file: VectorFile, choice: LayerChoice, members: tuple[Member, ...]) -> Member:
    shapes = {
        PurePosixPath(member.name).stem: member
        for member in members
        if PurePosixPath(member.name).suffix.lower() == _SHAPE and not _hidden(member)
    }
    if not shapes:
        raise refusal(
            file.path,
            "it is a ZIP archive without a Shapefile",
            "unpack it and name the file inside",
        )
    with file.bytes() as raw, zipfile.ZipFile(raw) as archive:
        kinds = [(name, _kind(file.path, archive, one)) for name, one in shapes.items()]
    return shapes[choice.of(file.path, kinds)]


def _kind(path: Path, archive: zipfile.ZipFile, member: Member) -> str | None:
    """Return whether a Shapefile holds polygons, or else other geometries, by its header."""
    try:
        with archive.open(member.stored_name) as source:
            head = source.read(_HEAD)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
        raise _damaged(path, member, error) from error
    if not head.startswith(SHAPEFILE) or len(head) < _HEAD:
        return None
    return "Polygon" if int.from_bytes(head[32:36], "little") in _POLYGONS else "Other"


def _parts_of(path: Path, shape: Member, members: tuple[Member, ...]) -> dict[str, Member]:
    """Return the files of a Shapefile by suffix, the letters of which may be of any case."""
    place = PurePosixPath(shape.name)
    found: dict[str, Member] = {}
    for member in members:
        other = PurePosixPath(member.name)
        suffix = other.suffix.lower()
        if other.parent == place.parent and other.stem == place.stem and suffix in _PARTS:
            if suffix in found:
                reason = f"its members {found[suffix].name!r} and {member.name!r} are one file"
                raise refusal(path, reason, "keep one of them")
            found[suffix] = member
    missing = [suffix for suffix in (".shx", ".dbf", ".prj") if suffix not in found]
    if missing:
        unknown = ", so its CRS is not known" if missing == [".prj"] else ""
        reason = f"{' and '.join(missing)} not in it beside {shape.name!r}{unknown}"
        raise refusal(path, reason, "zip all files of the Shapefile")
    return found


def _hidden(member: Member) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(member.name).parts)


def _unpack(path: Path, archive: zipfile.ZipFile, member: Member, target: Path) -> None:
    written = 0
    try:
        with archive.open(member.stored_name) as source, target.open("xb") as file:
            while chunk := source.read(2**20):
                written += file.write(chunk)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise _damaged(path, member, error) from error
    except OSError as error:
        reason = f"its member {member.name!r} cannot be unpacked ({error.strerror or error})"
        raise refusal(path, reason, "free some space, or name another folder: TMPDIR") from error
    if written != member.size:
        raise _damaged(path, member, f"{written} of {member.size} bytes")


def _damaged(path: Path, member: Member, error: object) -> ConfigError:
    reason = f"its member {member.name!r} is damaged ({str(error)[:200]})"
    return refusal(path, reason, "fetch it again")
