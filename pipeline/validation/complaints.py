"""What is wrong with a file, counted by rule."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int64


@dataclass(slots=True)
class Findings:
    """Broken rules; one line each, however many features break them."""

    _first: dict[str, int | None] = field(default_factory=dict)
    _count: dict[str, int] = field(default_factory=dict)

    def add(self, rule: str, where: int | None = None) -> None:
        """Note that ``rule`` is broken, by feature number ``where`` or by the whole file."""
        self._first.setdefault(rule, where)
        self._count[rule] = self._count.get(rule, 0) + 1

    def add_all(self, rule: str, where: Int64[np.ndarray, " n"]) -> None:
        """Note that each of the features ``where`` breaks ``rule``."""
        for which in where.tolist():
            self.add(rule, which)

    def lines(self) -> list[str]:
        """Return a sentence for each broken rule, in the order they were met."""
        return [
            rule if first is None else f"{rule} ({self._count[rule]}x, first in feature {first})"
            for rule, first in self._first.items()
        ]
