"""Members of archives as files: extracted once a machine, removed after the last reader.

All processes of a user on a machine share what is extracted, below the folder for temporary
files (``TMPDIR``). A reader of a folder holds a shared lock on the file beside it, which ends with
the process, whatever ends that; whoever takes the exclusive lock may remove it. So a run that was
killed leaves nothing that the next does not remove.
"""

from __future__ import annotations

import atexit
import fcntl
import hashlib
import os
import shutil
import tempfile
import threading
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.errors import SceneError
from pipeline.scenes.archive.members import SCENES, Member, read_archive_members

KEPT_BYTES = 8 * 2**30
KEPT = 64
"""Extracted scenes that a process keeps while none of its scenes is open."""
_SPARE_BYTES = 64 * 2**20
_CHUNK = 2**20
_AGAIN = "fetch the archive again"


@dataclass(slots=True, kw_only=True)
class _Held:
    """A folder with an extracted scene, and the lock on it."""

    folder: Path
    lock: int
    size: int
    users: int = 0


_held: OrderedDict[str, _Held] = OrderedDict()
_guard = threading.RLock()
_owner = 0


@contextmanager
def extracted(archive: str, name: str) -> Iterator[Path]:
    """Yield a member of an archive as a file, with the files that belong to it.

    Args:
        archive: The archive's path.
        name: The member's path in it.

    Raises:
        SceneError: The archive or the member cannot be read, or the disk has no room for it.
    """
    key = take(archive, name)
    try:
        yield file_of(key, name)
    finally:
        release(key)


def take(archive: str, name: str) -> str:
    """Extract a member, unless it is; return the key by which it is given back.

    Raises:
        SceneError: As `extracted` raises.
    """
    key = _key(archive, name)
    with _guard:
        held = _held.get(key)
        if held is None:
            held = _held[key] = _extract(archive, name, key)
            _register()
        held.users += 1
        _held.move_to_end(key)
    return key


def file_of(key: str, name: str) -> Path:
    """Return where the member lies that was taken."""
    return _held[key].folder / PurePosixPath(name).name


def release(key: str) -> None:
    """Allow a folder to be removed, the oldest ones first where many are unused."""
    with _guard:
        _held[key].users -= 1
        unused = [one for one, held in _held.items() if not held.users]
        while unused and (
            len(unused) > KEPT or sum(_held[one].size for one in unused) > KEPT_BYTES
        ):
            _release(_held.pop(unused.pop(0)))


def root() -> Path:
    """Return the folder of this user for extracted scenes, to which no other user can write.

    Raises:
        SceneError: It belongs to somebody else.
    """
    place = Path(tempfile.gettempdir()) / f"overtile-scenes-{os.geteuid()}"
    place.mkdir(mode=0o700, exist_ok=True)
    found = place.lstat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o077 or place.is_symlink():
        raise SceneError(
            str(place),
            "this folder for extracted scenes belongs to another user, or others may write there",
            "remove it, or name another folder for temporary files (TMPDIR)",
        )
    return place


def _key(archive: str, name: str) -> str:
    """Return a key of a member of an archive in its present state."""
    try:
        found = Path(archive).stat()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SceneError(archive, reason, "check that it is there and may be read") from error
    state = (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev)
    return hashlib.sha256(repr((archive, name, state)).encode()).hexdigest()[:32]


def _extract(archive: str, name: str, key: str) -> _Held:
    try:
        place = root()
        while True:
            lock = os.open(place / f"{key}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                held = _locked(place, key, lock, (archive, name))
            except BaseException:
                os.close(lock)
                raise
            if held is not None:
                return held
            os.close(lock)
    except OSError as error:
        raise SceneError(
            archive,
            f"its member {name!r} cannot be extracted to {tempfile.gettempdir()} "
            f"({error.strerror or error})",
            "name another folder for temporary files (TMPDIR), or unpack it",
        ) from error


def _locked(place: Path, key: str, lock: int, member: tuple[str, str]) -> _Held | None:
    """Return a folder that is whole and locked; None where another process removed it meanwhile."""
    folder = place / key
    fcntl.flock(lock, fcntl.LOCK_SH)
    if not folder.is_dir():
        fcntl.flock(lock, fcntl.LOCK_EX)
    if not _stands(place / f"{key}.lock", lock):
        return None
    if not folder.is_dir():
        _sweep(place)
        partial = place / f"{key}.part"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        try:
            _write_members(*member, partial)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            (place / f"{key}.lock").unlink(missing_ok=True)
            raise
        partial.rename(folder)
    # Between the two locks another process may have removed it.
    fcntl.flock(lock, fcntl.LOCK_SH)
    if not _stands(place / f"{key}.lock", lock) or not folder.is_dir():
        return None
    return _Held(
        folder=folder, lock=lock, size=sum(path.stat().st_size for path in folder.iterdir())
    )


def _stands(path: Path, lock: int) -> bool:
    """Return whether a lock is still on the file of its name."""
    with suppress(OSError):
        return os.path.samestat(path.stat(), os.fstat(lock))
    return False


def _belonging(members: Sequence[Member], name: str) -> list[Member]:
    """Return a member, and those beside it whose names begin with its stem and a dot."""
    path = PurePosixPath(name)
    start = f"{path.stem}.".casefold()
    return [
        member
        for member in members
        if member.name == name
        or (
            PurePosixPath(member.name).parent == path.parent
            and PurePosixPath(member.name).name.casefold().startswith(start)
            and not member.name.lower().endswith(SCENES)
        )
    ]


def _write_members(archive: str, name: str, folder: Path) -> None:
    members = _belonging(read_archive_members(archive), name)
    if not any(member.name == name for member in members):
        raise SceneError(archive, f"it has no member {name!r}", "list its members (unzip -l)")
    needed, free = sum(member.size for member in members), shutil.disk_usage(folder).free
    if needed + _SPARE_BYTES > free:
        raise SceneError(
            archive,
            f"its member {name!r} takes {needed} bytes extracted, {folder.parent} has {free} free",
            "free some, name another folder for temporary files (TMPDIR), or unpack it elsewhere",
        )
    with zipfile.ZipFile(archive) as opened:
        for member in members:
            _write_member(archive, opened, member, folder / PurePosixPath(member.name).name)


def _write_member(archive: str, opened: zipfile.ZipFile, member: Member, target: Path) -> None:
    written = 0
    try:
        with opened.open(member.stored_name) as source, target.open("xb") as file:
            while chunk := source.read(_CHUNK):
                written += file.write(chunk)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        reason = f"its member {member.name!r} is damaged ({str(error)[:200]})"
        raise SceneError(archive, reason, _AGAIN) from error
    # zipfile ends at the size that the list of members has.
    if written != member.size:
        reason = f"its member {member.name!r} holds {written} of {member.size} bytes"
        raise SceneError(archive, reason, _AGAIN)


def _sweep(place: Path) -> None:
    """Remove what processes that were killed left."""
    for path in place.glob("*.lock"):
        if path.stem in _held:
            continue
        with suppress(OSError):
            lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                _remove(path.with_suffix(""), lock)
            finally:
                os.close(lock)


def _remove(folder: Path, lock: int) -> None:
    """Remove a folder and its lock, unless another process reads it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    if not _stands(folder.with_suffix(".lock"), lock):
        return
    shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(folder.with_suffix(".part"), ignore_errors=True)
    folder.with_suffix(".lock").unlink(missing_ok=True)


def _release(held: _Held) -> None:
    with suppress(OSError):
        _remove(held.folder, held.lock)
        os.close(held.lock)


def _register() -> None:
    global _owner
    if _owner != os.getpid():
        _owner = os.getpid()
        atexit.register(_release_all)


def _release_all() -> None:
    if _owner != os.getpid():  # a fork: they are its parent's
        return
    with _guard:
        while _held:
            _release(_held.popitem()[1])
        with suppress(OSError, SceneError):
            root().rmdir()
