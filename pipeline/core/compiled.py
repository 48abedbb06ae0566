"""Loops over pixels, compiled to machine code."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import ParamSpec, TypeVar, cast

import numba
from numba.core import config

from pipeline.core.code_cache import choose_folder

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def compiled(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Return the function compiled at its first call, run without holding the GIL.

    The machine code is kept in the folder of `choose_folder`, so that the next process loads it.
    Wrappers put around the source by a checker of types at run time are taken
    off, as they cannot be compiled.
    """
    plain = inspect.unwrap(function)
    try:
        found = numba.njit(nogil=True, cache=_is_kept())(plain)
    except RuntimeError:  # it finds no folder by itself, such as for sources in an archive
        found = numba.njit(nogil=True)(plain)
    return cast(Callable[Arguments, Result], found)


@cache
def _is_kept() -> bool:
    """Set the folder of machine code for this process; return whether there is one."""
    folder = choose_folder(given=config.CACHE_DIR)  # type: ignore[attr-defined]
    config.CACHE_DIR = folder or ""  # type: ignore[attr-defined]
    return folder is not None
