"""Which scenes an archive holds."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from pipeline.errors import SceneError
from pipeline.scenes.archive.members import SCENES, SUFFIX, Member, archive_of, read_archive_members
from pipeline.scenes.scene import SceneRef

_MAGIC = (b"PK\3\4", b"PK\5\6")


def is_archive(path: str) -> bool:
    """Return whether a local file is a ZIP archive, by its content, or is called so."""
    if path.lower().endswith(SUFFIX):
        return True
    if path.lower().endswith(SCENES):
        return False
    try:
        with Path(path).open("rb") as file:
            return file.read(4) in _MAGIC
    except OSError:
        return False


def scenes_of_archive(path: str, below: str, notes: list[str]) -> tuple[SceneRef, ...]:
    """Return the scenes in an archive, in its order.

    Args:
        path: The archive.
        below: A member, or a folder in the archive: only scenes there; empty for all.
        notes: Takes a line for each archive in it, which is not opened.

    Raises:
        SceneError: It cannot be read, or holds no scene.
    """
    members = [one for one in read_archive_members(path) if _is_below(one, below)]
    for one in members:
        if one.name.lower().endswith(SUFFIX) and one.name != below:
            notes.append(
                f"{path}/{one.name}: not mapped: archives in an archive are not opened; unpack it, "
                "and name it itself"
            )
    scenes = [one for one in members if one.is_scene or one.name == below]
    if not scenes:
        kinds = ", ".join(SCENES)
        where = f"{below!r} in it" if below else "it"
        raise SceneError(path, f"{where} holds no scene ({kinds})", "name an archive of scenes")
    return tuple(SceneRef(kind="zipped", href=f"{path}/{one.name}") for one in scenes)


def _is_below(member: Member, below: str) -> bool:
    path = PurePosixPath(member.name)
    return not below or member.name == below or path.is_relative_to(PurePosixPath(below))


def is_there(path: str) -> bool:
    """Return whether a local scene is there: its file, or the archive that it is in."""
    return Path(path).exists() or named_in_archive(path) is not None


def named_in_archive(path: str) -> tuple[str, str] | None:
    """Return the archive and what is named in it by a path such as ``b.zip/c.tif``; else None."""
    found = archive_of(path)
    return found if found is not None and is_archive(found[0]) else None
