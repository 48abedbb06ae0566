"""What is done to the probabilities and to the mask of a scene, and how far it looks."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.core.refine.guided import Guided


@dataclass(frozen=True, slots=True, kw_only=True)
class Refinement:
    """Steps between probability and polygon: filter, threshold, open, close."""

    guided: Guided | None = None
    """How probabilities follow the image's edges; None: they stay."""
    opening: int = 0
    """Radius in pixels of the disks that the mask is opened by; 0: not at all."""
    closing: int = 0
    """Radius in pixels of the disks that it is then closed by; 0: not at all."""

    @property
    def margin(self) -> int:
        """Pixels around a pixel on which its label depends."""
        guided = 0 if self.guided is None else self.guided.margin
        return guided + 2 * self.opening + 2 * self.closing
