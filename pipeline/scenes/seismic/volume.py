"""A whole SEG-Y volume: any block of its amplitudes, without reading the rest."""

from __future__ import annotations

from types import TracebackType

import numpy as np
from jaxtyping import Float32

from pipeline.core.block import Block, Three
from pipeline.errors import SceneError
from pipeline.scenes.access.location import content_digest
from pipeline.scenes.seismic.segy import opened

CROSSLINE_SORTED = 1
"""segyio's number for traces that follow each other along crosslines."""
SAMPLES = 2_000_000
"""Amplitudes from which percentiles are taken."""


class SegyVolume:
    """A post-stack volume; axes are inline, crossline, sample, however the file is sorted."""

    def __init__(self, path: str) -> None:
        """Open a volume.

        Raises:
            SceneError: It is no SEG-Y file, or not sorted into inlines and crosslines.
        """
        self.path = path
        self._opening = opened(path, "inline")
        self._file = self._opening.__enter__()
        file = self._file
        self.shape: Three = (len(file.ilines), len(file.xlines), len(file.samples))
        self.turned = int(file.sorting) == CROSSLINE_SORTED
        """Whether traces follow each other along crosslines in the file."""
        if file.tracecount != self.shape[0] * self.shape[1]:
            found = f"{file.tracecount} traces are not {self.shape[0]} x {self.shape[1]}"
            self.close()
            raise SceneError(path, found, "fill the volume with dead traces first")

    @property
    def inlines(self) -> list[int]:
        """Numbers of the inlines, in order."""
        return [int(number) for number in self._file.ilines]

    @property
    def crosslines(self) -> list[int]:
        """Numbers of the crosslines, in order."""
        return [int(number) for number in self._file.xlines]

    @property
    def times(self) -> list[float]:
        """Time or depth of each sample, as the file has it."""
        return [float(time) for time in self._file.samples]

    def span(self, percentiles: tuple[float, float]) -> tuple[float, float]:
        """Return two percentiles of the amplitudes, of evenly spaced inlines; they rise.

        Raises:
            SceneError: None of them is a number.
        """
        inlines, crosslines, samples = self.shape
        every = max(1, inlines * crosslines * samples // SAMPLES)
        seen = [
            self.read(Block(start=(at, 0, 0), shape=(1, crosslines, samples)))
            for at in range(0, inlines, every)
        ]
        values = np.concatenate([part[np.isfinite(part)] for part in seen]).astype(np.float64)
        if not values.size:
            raise SceneError(self.path, "none of its amplitudes is a number", "export it again")
        low, high = (float(value) for value in np.percentile(values, percentiles))
        return low, high if high > low else low + 1.0

    def fingerprint(self) -> str:
        """Return the digest of its content."""
        return content_digest(self.path)

    def read(self, block: Block) -> Float32[np.ndarray, "inlines crosslines samples"]:
        """Return the amplitudes of a block inside the volume.

        Raises:
            SceneError: The file cannot be read there.
        """
        (i, x, s), (rows, cols, samples) = block.start, block.shape
        out = np.empty(block.shape, np.float32)
        lines = out.swapaxes(0, 1) if self.turned else out
        first, second = (x, i) if self.turned else (i, x)
        length = self.shape[0] if self.turned else self.shape[1]
        count, along = (cols, rows) if self.turned else (rows, cols)
        try:
            for line in range(count):
                start = (first + line) * length + second
                lines[line] = self._file.trace.raw[start : start + along][:, s : s + samples]
        except (RuntimeError, ValueError, OSError) as error:
            raise SceneError(
                self.path, f"its traces cannot be read ({error})", "fetch or export it again"
            ) from error
        return out

    def close(self) -> None:
        """Let the file go."""
        self._opening.__exit__(None, None, None)

    def __enter__(self) -> SegyVolume:
        """Return the volume."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let the file go."""
        self.close()
