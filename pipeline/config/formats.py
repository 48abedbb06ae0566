"""Formats of polygons, as tasks and regions name them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator

from pipeline.outputs.vectors.formats import FormatName, known_format, unknown_format


def _known(value: object) -> object:
    if isinstance(value, str) and (fault := unknown_format(value)):
        raise ValueError(fault)
    return known_format(value) if isinstance(value, str) else value


def _known_output(value: object) -> object:
    if isinstance(value, str) and (fault := unknown_format(value, also=("stac",))):
        raise ValueError(fault)
    return known_format(value) if isinstance(value, str) else value


Format = Annotated[FormatName, BeforeValidator(_known)]
"""A format of polygons."""
Output = Annotated[FormatName | Literal["stac"], BeforeValidator(_known_output)]
"""A form of a region's layer: a format of polygons, or ``stac``, its catalogue."""
