"""Which crops a process cuts, and in which order."""

from __future__ import annotations

from collections.abc import Iterator

from torch.utils.data import Sampler

Item = tuple[int, int]
"""A step, and which crop of its batch."""


class Items(Sampler[Item]):
    """The items of steps, one batch after the other, or one process's part of each."""

    def __init__(self, *, batch: int, steps: range, rank: int = 0, ranks: int = 1) -> None:
        """Take every ``ranks``-th of the items of each step from ``rank`` on."""
        self.steps = steps
        self.items = range(rank, batch, ranks)

    def __iter__(self) -> Iterator[Item]:
        """Yield step and item."""
        for step in self.steps:
            for item in self.items:
                yield step, item

    def __len__(self) -> int:
        """Return how many items there are."""
        return len(self.steps) * len(self.items)
