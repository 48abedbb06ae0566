"""Threads of an engine on the CPU."""

from __future__ import annotations

import os
from contextlib import suppress


def compute_threads() -> int:
    """Return the number of threads: ``OMP_NUM_THREADS``, else the processors of this process."""
    with suppress(ValueError):
        asked = int(os.environ.get("OMP_NUM_THREADS", "").split(",")[0])
        if asked > 0:
            return asked
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
