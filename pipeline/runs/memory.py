"""Memory that is free again, given back to the system."""

from __future__ import annotations

import ctypes


def give_back() -> None:
    """Give back what was freed: glibc keeps it, and every thread of a pool has its own.

    Does nothing where the C library is another.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
