"""How outlines are shaped, in numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How buildings are regularised; lengths are pixels."""

    tolerance: float = 1.6
    """How far an outline may stray from a wall, before corners are looked for."""
    least_wall: float = 3.0
    """Shorter walls go."""
    least_diagonal: float = math.inf
    """Shortest wall that may lie at 45 degrees; infinite for none."""
    least_iou: float = 0.85
    """Least intersection over union of a building with its unregularised self."""
    stray: float = 5.0
    """Farthest that a new outline reaches out of the old one."""
    simplify: float = 0.0
    """How far those that are not regularised are simplified; 0 leaves them as they are."""

    @property
    def gap(self) -> float:
        """How near two outlines are at most that cannot come to overlap."""
        return 2 * self.stray
