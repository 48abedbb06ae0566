"""How many files a process may hold open (``ulimit -n``), checked before a command begins."""

from __future__ import annotations

import errno
import os
import resource
from contextlib import suppress

from pipeline.errors import ConfigError

LEAST = 64
"""Descriptors that a command needs; `map` on two threads goes wrong with 16 and not with 24."""
WANTED = 4096
"""Descriptors that it asks for; macOS gives a process 256 unless it does."""
_TEXT = os.strerror(errno.EMFILE)


def raise_open_files() -> None:
    """Raise the soft limit of open files towards the hard one.

    Raises:
        ConfigError: The hard limit is below what any command needs.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    wanted = WANTED if hard == unlimited else min(WANTED, hard)
    if soft != unlimited and soft < wanted:
        # macOS has a limit of its own below what it calls unlimited.
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    if soft != unlimited and soft < LEAST:
        raise ConfigError(
            f"this process may hold {soft} files open, and needs {LEAST}: raise the limit, for "
            f"example with `ulimit -n {WANTED}` (in a systemd unit LimitNOFILE={WANTED})"
        )


def lacks_open_files(error: BaseException | None) -> bool:
    """Return whether an error, or one behind it, is that no more files may be opened."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            return True
        # GDAL and the loader of libraries have nothing but the text.
        if _TEXT in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def too_few() -> str:
    """Return what to do where no more files may be opened."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (
        f"too many open files: this process may hold {soft} open; raise the limit, for example "
        f"with `ulimit -n {max(WANTED, 2 * soft)}`, then run the same command again"
    )
