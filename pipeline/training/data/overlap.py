"""Overlap of two splits."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitOverlap:
    """Something that two splits share."""

    splits: tuple[str, str]
    """Which ones."""
    first: str
    """What in the first."""
    second: str
    """What in the second."""
    why: str
    """Ground or picture, and how much."""

    def __str__(self) -> str:
        """Return the overlap as a sentence."""
        one, other = self.splits
        return f"{self.first} ({one}) and {self.second} ({other}) {self.why}"
