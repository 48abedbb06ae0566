"""Where compiled loops are kept between processes: never where another user could put code.

Numba keeps machine code and pickles, and runs what it finds. By itself it looks beside the source,
then in the user's cache folder, and fails where neither can be written to (an installation of
root, HOME unset, ``/`` or missing), or makes a folder ``~`` where HOME is not known at all.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

SOURCE = Path(__file__).parent
"""Its ``__pycache__`` is numba's first choice."""
_WRITABLE_BY_OTHERS = stat.S_IWOTH
_OPEN_TO_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def choose_folder(*, given: str, source: Path = SOURCE) -> str | None:
    """Choose the folder of compiled code, for numba's ``CACHE_DIR``.

    The first of these that can be written to: the folder given (NUMBA_CACHE_DIR); beside the
    source; ``numba`` in the user's cache folder; ``overtile-<uid>`` in the folder for temporary
    files, of mode 700. The last two must be ours, below folders in which nobody else can rename
    them.

    Args:
        given: What the user chose; may be empty.
        source: Folder of the sources that are compiled.

    Returns:
        The folder; empty: beside the source; None: none can be used.
    """
    if given and _can_be_written(Path(given), mode=0o777):
        return given
    if _can_be_written(source / "__pycache__", mode=0o777):
        return ""
    for folder in _user_folders():
        if _can_be_written(folder, mode=0o700) and _is_ours(folder, closed=_WRITABLE_BY_OTHERS):
            return str(folder)
    for folder in _temporary_folders():
        # Looked at before anything is written there.
        if _is_made(folder) and _is_ours(folder, closed=_OPEN_TO_OTHERS):
            with suppress(OSError):
                tempfile.TemporaryFile(dir=folder).close()
                return str(folder)
    return None


def count_kept(*, given: str, source: Path = SOURCE) -> int | None:
    """Count the loops whose machine code is kept; None where no folder can be used.

    Args:
        given: As for `choose_folder`.
        source: Likewise.
    """
    folder = choose_folder(given=given, source=source)
    if folder is None:
        return None
    return sum(1 for _ in (Path(folder) if folder else source).rglob("*.nbi"))


def _user_folders() -> Iterator[Path]:
    from numba.misc.appdirs import AppDirs

    # Stays "~..." where neither HOME nor the system knows a home.
    known = AppDirs(appname="numba", appauthor=False)  # type: ignore[no-untyped-call]
    found = Path(known.user_cache_dir)
    if found.is_absolute():
        yield found


def _temporary_folders() -> Iterator[Path]:
    given = os.environ.get("TMPDIR")
    for place in (given,) if given else ("/tmp", "/var/tmp"):
        if Path(place).is_absolute():
            with suppress(OSError):
                yield Path(place).resolve() / f"overtile-{os.geteuid()}"


def _is_made(folder: Path) -> bool:
    """Make a folder for us alone where there is nothing; return whether something is there."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return True
    except OSError:
        return False
    return True


def _can_be_written(folder: Path, *, mode: int) -> bool:
    """Make a folder where it is missing; return whether a file can be written there."""
    try:
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


def _is_ours(folder: Path, *, closed: int) -> bool:
    """Return whether a folder is ours, lacks the rights ``closed``, and cannot be replaced."""
    try:
        found = folder.lstat()
        above = [parent.stat() for parent in folder.resolve().parents]
    except OSError:
        return False
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & closed:
        return False
    return all(
        one.st_uid in (0, os.geteuid())
        and (not one.st_mode & _WRITABLE_BY_OTHERS or bool(one.st_mode & stat.S_ISVTX))
        for one in above
    )
