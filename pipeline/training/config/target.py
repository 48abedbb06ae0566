"""What the network is asked for."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipeline.models.card import CardSection, Metres

Pixels = Annotated[float, Field(ge=0, le=64)]
"""Radius of an erosion: each pixel of its disk is looked at."""


class TargetConfig(CardSection):
    """What the network is asked for."""

    interior_m: Metres = 0.5
    """How far a building is eroded, on the ground, to get its interior."""
    interior_px: tuple[Pixels, Pixels] = (1.5, 4.0)
    """Least and largest erosion in pixels, whatever the ground size."""
    interior: bool = True
    """Ask for every object's interior too, as a channel after the classes."""
    gap: bool = True
    """Label pixels that touch another building as background: a 2 px line between them."""
    border_weight: float = Field(default=6.0, ge=0, le=1e6)
    """w0 of the U-Net paper's weight map: extra weight where two buildings meet."""
    border_inside: float = Field(default=0.3, ge=0, le=1)
    """Part of w0 on the buildings' own side; with 1 a doubtful wall is no likelier a gap."""
    border_sigma: float = Field(default=4.0, gt=0, le=64)
    """Sigma of that map, in pixels of the source."""
