"""Loops over pixels, compiled to machine code."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numba

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def compiled(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Return the function compiled at its first call, run without holding the GIL.

    The machine code is kept beside the source, so that the next process loads it.
    Wrappers put around the source by a checker of types at run time are taken
    off, as they cannot be compiled.
    """
    compile_ = numba.njit(nogil=True, cache=True)
    return cast(Callable[Arguments, Result], compile_(inspect.unwrap(function)))
