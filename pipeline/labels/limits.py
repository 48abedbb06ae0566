"""What reading one vector file may take, checked before and while it is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from jaxtyping import Shaped

from pipeline.errors import ConfigError
from pipeline.labels.vectors import refusal

_FEATURE_BYTES, _CORNER_BYTES = 1000, 80
_LARGEST_SHARE = 25
MAX_TEXT_BYTES = 2 * 2**30
"""Larger GeoJSON, KML and GML files are refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Memory and time for reading a vector file; the other limits follow from the memory.

    With 4 GB: 4 million features, 50 million corners (2 million in one feature) and 1 GB of
    decoded columns.
    """

    memory_bytes: int = 4 * 10**9
    """Memory of the process that reads it, and size of what it returns."""
    seconds: float | None = None
    """Time; None for a minute and 4 s more for each MB of the file."""
    hint: str = "cut it into parts, or simplify its outlines"
    """What can be done about a file that takes more."""

    @property
    def features(self) -> int:
        """Most features of a file: a building with two attributes takes about 1 kB."""
        return self.memory_bytes // _FEATURE_BYTES

    @property
    def corners(self) -> int:
        """Most corners of a file: 16 bytes each, in some copies."""
        return self.memory_bytes // _CORNER_BYTES

    @property
    def corners_each(self) -> int:
        """Most corners of one feature: repairing a ring takes about 2 kB for each."""
        return self.corners // _LARGEST_SHARE

    @property
    def decoded_bytes(self) -> int:
        """Most bytes of decoded columns."""
        return self.memory_bytes // 4

    @property
    def feature_text(self) -> int:
        """Most characters of one feature's text; a corner takes about 40."""
        return 40 * self.corners_each

    def time(self, size: int) -> float:
        """Return the seconds for a file of so many bytes."""
        return self.seconds if self.seconds is not None else 60 + size / 250_000


DEFAULT = Limits()
"""Where no limit of memory is given."""


def memory_limits(max_memory: int, *, option: str) -> Limits:
    """Return the limits that follow from an option of memory, and name it in messages."""
    return Limits(memory_bytes=max_memory, hint=f"{DEFAULT.hint}, or raise {option}")


class Count:
    """What has been decoded of a file so far, against its limits."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path, self.limits = path, limits
        self._features = self._corners = self._bytes = 0

    def add(self, shapes: Shaped[np.ndarray, " n"] | shapely.Geometry | None) -> None:
        """Count geometries.

        Raises:
            ConfigError: There are too many, or they have too many corners.
        """
        corners = np.atleast_1d(shapely.get_num_coordinates(shapes))
        if len(corners):
            largest = int(np.argmax(corners))
            self.check_corners(int(corners[largest]), number=self._features + largest + 1)
        self._features += len(corners)
        self._corners += int(corners.sum())
        self.check_features(self._features)
        if self._corners > self.limits.corners:
            raise self._refusal(
                f"it has more than {self.limits.corners:,} corners, which is the limit"
            )

    def check_corners(self, count: int, *, number: int) -> None:
        """Check how many corners a feature has.

        Raises:
            ConfigError: It has too many.
        """
        most = self.limits.corners_each
        if count > most:
            raise self._refusal(f"feature {number:,} has {count:,} corners; the limit is {most:,}")

    def check_features(self, count: int) -> None:
        """Check the number of features, counted or declared.

        Raises:
            ConfigError: There are too many.
        """
        most = self.limits.features
        if count > most:
            raise self._refusal(f"it has {count:,} features or more; the limit is {most:,}")

    def add_bytes(self, count: int) -> None:
        """Count decoded bytes.

        Raises:
            ConfigError: There are too many.
        """
        self._bytes += count
        most = self.limits.decoded_bytes
        if self._bytes > most:
            raise self._refusal(
                f"it decodes to {self._bytes:,} bytes or more; the limit is {most:,}"
            )

    def _refusal(self, reason: str) -> ConfigError:
        return refusal(self.path, reason, self.limits.hint)
