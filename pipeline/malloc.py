"""Memory that is free again: given back to the system, or kept for the next layer."""

from __future__ import annotations

import ctypes

_ARENA_MAX = -8
_MMAP_THRESHOLD = -3
_TRIM_THRESHOLD = -1
_KEPT_BYTES = 1 << 30


def malloc_trim() -> None:
    """Give back what was freed: glibc keeps it, and every thread of a pool has its own.

    Does nothing where the C library is another.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def limit_arenas() -> None:
    """Let threads share two pools of memory: glibc gives each its own, and none gives back.

    Does nothing where the C library is another. (A tile of 880 px predicted by torch beside
    others under way: 1.86 GB at most instead of 2.21.)
    """
    _set(_ARENA_MAX, 2)


def keep_freed_memory() -> None:
    """Keep what is freed for what is asked next, blocks of up to 1 GiB.

    glibc takes every block above 32 MB from the system and gives it back when it is freed: in a
    training, whole layers at every step, each page of them cleared anew. Does nothing where
    the C library is another. (A step of the `buildings` training on 2 cores: 2.0 s instead of
    2.5; the network's steps alone, without data and scoring, took 2.44 GB instead of 2.39.)
    """
    _set(_MMAP_THRESHOLD, _KEPT_BYTES)
    _set(_TRIM_THRESHOLD, _KEPT_BYTES)


def _set(parameter: int, value: int) -> None:
    """Set one of glibc's parameters of memory; nothing where the C library is another."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(parameter, value)
