"""What a network says of something, beside what is true of it: a picture or a volume."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray


@runtime_checkable
class Said(Protocol):
    """Probabilities and truth; pixels may be voxels."""

    @property
    def name(self) -> str:
        """What scores call it."""
        ...

    @property
    def probability(self) -> NDArray[Any]:
        """(channels, ...), 0 to 1."""
        ...

    @property
    def known(self) -> NDArray[Any]:
        """(...), True where the truth is known."""
        ...

    def kinds(self) -> NDArray[Any]:
        """Return the class of each pixel, (...), from 1; 0 for none; where it is known."""
        ...
