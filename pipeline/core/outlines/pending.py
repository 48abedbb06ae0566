"""Polygons that wait for neighbours that influence their shape."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.core.outlines.touching import Int64, Polygons
from pipeline.core.polygons.fragments import Fragments

Flags = npt.NDArray[np.bool_]


@dataclass(slots=True, kw_only=True, eq=False)
class PendingOutlines:
    """Polygons and what has become of them, in reading order of their anchors."""

    fragments: Fragments
    """As they were merged."""
    outlines: Polygons
    """The same as polygons along pixel edges."""
    polygons: Polygons
    """Their final outlines where they have one."""
    regularised: Flags
    """True where these have walls at right angles."""
    final: Flags
    """True where the outline is final."""
    given: Flags
    """True where that was given away, and only neighbours ask for it."""
    large: Flags
    """True where the cluster is known to be larger than a cell."""

    def __len__(self) -> int:
        """Return the number of polygons."""
        return len(self.outlines)

    @classmethod
    def of(cls, fragments: Fragments) -> PendingOutlines:
        """Return polygons that nothing is known of yet."""
        fragments = fragments.by_anchor()
        outlines = fragments.to_shapely()
        no = [np.zeros(len(fragments), bool) for _ in range(4)]
        return cls(
            fragments=fragments,
            outlines=outlines,
            polygons=outlines.copy(),
            regularised=no[0],
            final=no[1],
            given=no[2],
            large=no[3],
        )

    def joined(self, other: PendingOutlines) -> PendingOutlines:
        """Return the polygons of both."""
        order = np.lexsort(
            [
                np.concatenate([getattr(held.fragments, name) for held in (self, other)])
                for name in ("col", "row")
            ]
        )
        columns = {
            name: np.concatenate([getattr(self, name), getattr(other, name)])[order]
            for name in _columns()
        }
        fragments = Fragments.concatenate([self.fragments, other.fragments]).take(order)
        return PendingOutlines(fragments=fragments, **columns)

    def take(self, which: npt.NDArray[Any]) -> PendingOutlines:
        """Return the polygons that a mask selects."""
        columns = {name: getattr(self, name)[which] for name in _columns()}
        return PendingOutlines(fragments=self.fragments.take(which), **columns)

    def settle(self, places: Int64, polygons: Polygons, regularised: Flags) -> None:
        """Note the final outlines of the polygons at the places."""
        self.polygons[places] = polygons
        self.regularised[places] = regularised
        self.final[places] = True


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FinishedOutlines:
    """Polygons that have their final outline, in reading order of their anchors."""

    fragments: Fragments
    """As they were merged."""
    outlines: Polygons
    """The same as polygons along pixel edges."""
    polygons: Polygons
    """Their final outlines, in pixels."""
    regularised: Flags
    """True where walls were put at right angles."""

    @classmethod
    def of(cls, held: PendingOutlines) -> FinishedOutlines:
        """Return what is final of polygons, all of which are."""
        return cls(
            fragments=held.fragments,
            outlines=held.outlines,
            polygons=held.polygons,
            regularised=held.regularised,
        )


def _columns() -> list[str]:
    return [field.name for field in fields(PendingOutlines) if field.name != "fragments"]
