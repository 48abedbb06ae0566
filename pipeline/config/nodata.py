"""The nodata value of scenes, as a task, a region or a command gives it."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BeforeValidator

_WORDS = ("declared", "none", "nan")


def _parsed(value: object) -> object:
    """Return one of the words, or a number as it was written."""
    text = value.strip().lower() if isinstance(value, str) else value
    if isinstance(text, str) and text not in _WORDS:
        try:
            text = float(text)
        except ValueError:
            text = math.inf
    if isinstance(text, float) and math.isnan(text):
        return "nan"
    if text is None or (isinstance(text, float) and math.isinf(text)):
        raise ValueError(f"{value!r} is none of {', '.join(_WORDS)}, and no finite number")
    return text


Nodata = Annotated[Literal["declared", "none", "nan"] | float, BeforeValidator(_parsed)]
"""``declared`` (each scene's own), ``none`` (no value marks missing pixels), or the value."""
