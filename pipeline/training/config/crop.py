"""How large crops are."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator

from pipeline.models.arguments import shortened

LEAST, MOST = 16, 4096
"""Smallest and largest edge of a crop."""


def _crop(found: Any) -> Any:
    edges = found if isinstance(found, list | tuple) else [found]
    whole = all(isinstance(edge, int) and not isinstance(edge, bool) for edge in edges)
    if len(edges) not in (1, 3) or not whole or min(edges) < LEAST or max(edges) > MOST:
        raise ValueError(
            f"{shortened(found)} is no size: "
            f"give one whole number of at least {LEAST}, and at most "
            f"{MOST}, or for volumes three: inlines, crosslines and samples"
        )
    return edges[0] if len(edges) == 1 else tuple(edges)


Crop = Annotated[int | tuple[int, int, int], BeforeValidator(_crop)]
"""One edge, or three."""
