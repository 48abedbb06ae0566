"""Temporary folders that live as long as the results in them."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from pathlib import Path


class TemporaryFolder:
    """A folder that is removed when nothing refers to this object, or at the end of the process."""

    def __init__(self, prefix: str = "overtile-") -> None:
        """Make the folder."""
        self.path = Path(tempfile.mkdtemp(prefix=prefix)).resolve()
        self._finalizer = weakref.finalize(self, _remove, self.path, os.getpid())

    def remove(self) -> None:
        """Remove the folder now."""
        self._finalizer()


def _remove(path: Path, owner: int) -> None:
    # A forked process holds a copy of the object, not the folder.
    if os.getpid() == owner:
        shutil.rmtree(path, ignore_errors=True)
