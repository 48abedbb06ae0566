"""Kinds of settlement: town, suburb, village."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Style = Literal["town", "suburb", "village"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Character:
    """Parameters of a kind of settlement."""

    block_m2: float
    """Blocks larger than this are cut by another street."""
    lot_m2: tuple[float, float]
    """Area of a lot where the settlement is thick, and where it thins out."""
    street_m: tuple[float, ...]
    """Widths of first, second, ... streets."""
    paved: float
    """Share of the lesser streets that are paved."""
    attached: float
    """Share of lots that are built from wall to wall."""
    built: float
    """Share of lots that are built on where the settlement is thick."""
    storeys: tuple[float, float]
    """Least and most storeys, the mean being near the least."""
    green: float
    """How much grows on open ground, 0 to 1."""
    trees_per_ha: float
    """Trees on a hectare of green ground."""
    roofs: dict[str, float]
    """Roof material and its weight."""


CHARACTERS: dict[Style, Character] = {
    "town": Character(
        block_m2=4200,
        lot_m2=(105, 160),
        street_m=(15, 8, 5.5, 4, 2.6),
        paved=0.6,
        attached=0.72,
        built=0.88,
        storeys=(1, 5),
        green=0.45,
        trees_per_ha=34,
        roofs={
            "concrete": 6.0,
            "zinc": 2.6,
            "blue": 1.3,
            "red": 0.8,
            "rust": 1.6,
            "tile": 0.7,
            "terrace": 1.2,
        },
    ),
    "suburb": Character(
        block_m2=7000,
        lot_m2=(290, 520),
        street_m=(12, 7, 6, 4.5, 4),
        paved=0.7,
        attached=0.16,
        built=0.82,
        storeys=(1, 3),
        green=0.62,
        trees_per_ha=55,
        roofs={
            "concrete": 3.6,
            "zinc": 2.0,
            "blue": 1.0,
            "red": 1.0,
            "rust": 0.8,
            "tile": 2.4,
            "terrace": 1.0,
        },
    ),
    "village": Character(
        block_m2=22000,
        lot_m2=(360, 2400),
        street_m=(8, 4.5, 3.2, 2.4, 2),
        paved=0.1,
        attached=0.03,
        built=0.74,
        storeys=(1, 1.8),
        green=0.72,
        trees_per_ha=75,
        roofs={
            "concrete": 0.7,
            "zinc": 4.5,
            "blue": 0.7,
            "red": 0.5,
            "rust": 2.6,
            "tile": 0.8,
            "thatch": 1.6,
        },
    ),
}
